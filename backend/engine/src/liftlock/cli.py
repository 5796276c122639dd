"""Command line: parse, call a command, print. Only it and ``console`` print and exit.

Each command is imported when it is called, so that one command doesn't load the others' modules.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypedDict, Unpack

import click

from liftlock import settings, variables
from liftlock.console import Console
from liftlock.errors import LiftlockError, SettingsError
from liftlock.postgres.signals import Signals
from liftlock.variables import Number
from liftlock.version import __version__

if TYPE_CHECKING:
    from liftlock.broker.client import DataBroker
    from liftlock.check.report import Report
    from liftlock.commands.doctor import Diagnosis
    from liftlock.revisions.runner import RunReport

P = ParamSpec("P")
_RECENT_REVISIONS = 5


def _run(console: Console, call: Callable[[settings.Settings, Signals], int | None]) -> None:
    """Call a command while signals can stop it, and end with the right exit code."""
    code: int | None = 0
    try:
        found = console.settings()
        with Signals() as interrupts:
            code = call(found, interrupts)
    except LiftlockError as error:
        console.fail(error)
    except BrokenPipeError:
        code = 0  # the reader of a pipe, such as head, has seen enough
    if code:
        sys.exit(code)


def _seconds(
    option: str, variable: Number, text: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that adds an option in seconds, which replaces a variable."""

    def keep(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
        if value is not None:
            console = context.find_object(Console)
            assert console is not None  # noqa: S101 - the group has made it
            console.overrides[variable.name] = str(value)

    return click.option(
        option,
        type=float,
        metavar="SECONDS",
        expose_value=False,
        callback=keep,
        help=f"{text} [{variable.name}; default: {variable.default}]",
    )


def _shadow_url(text: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that adds the option for the server of throwaway databases."""
    name = variables.SHADOW_URL.name
    return click.option("--shadow-url", envvar=name, metavar="URL", help=f"{text} [{name}]")


def _server(shadow_url: str | None) -> settings.Address | None:
    return settings.from_url(shadow_url) if shadow_url else None


def _ready_address(
    console: Console,
    found: settings.Settings,
    interrupts: Signals,
    *,
    writable: bool = False,
) -> settings.Address:
    """Wait for the database and return its address."""
    from liftlock.commands.wait import wait as run

    return run(found, interrupts=interrupts, notify=console.tell, writable=writable)


_wait = _seconds("--wait", variables.WAIT, "How long to wait for the database.")
_deadline = _seconds("--deadline", variables.DEADLINE, "How long to try to get locks.")
_console = click.make_pass_decorator(Console)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    help="Path of alembic.ini. [ALEMBIC_CONFIG; default: alembic.ini]",
)
@click.option(
    "-x",
    "x_arguments",
    metavar="KEY=VALUE",
    multiple=True,
    help="Value that env.py can read, as with Alembic's -x.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of results, events and errors.",
)
@click.pass_context
def cli(
    context: click.Context, config: str | None, x_arguments: tuple[str, ...], shape: str
) -> None:
    """Run Alembic revisions on PostgreSQL: each exactly once, without blocking the application.

    Exit codes: 0 success; 1 the answer is no, such as pending revisions or findings; 2 wrong
    settings; 3 unsafe revision; 4 not possible now, run it again; 5 a step failed.
    """
    context.obj = Console(as_json=shape == "json", config=config, x_arguments=x_arguments)


@cli.command()
@_wait
@_console
def wait(console: Console) -> None:
    """Wait until the database can be used. Fail at once on errors that waiting can't resolve."""

    def call(found: settings.Settings, interrupts: Signals) -> None:
        address = _ready_address(console, found, interrupts, writable=True)
        console.result({"ready": repr(address)}, [f"{address!r} is ready"])

    _run(console, call)


@cli.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--require",
    is_flag=True,
    help="Never migrate: wait until another process has. [LIFTLOCK_REQUIRE=1]",
)
@_wait
@_deadline
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_console
def exec_(console: Console, command: tuple[str, ...], *, require: bool) -> None:
    """Migrate the database to what this build requires, then replace this process by COMMAND."""
    from liftlock.commands.exec import prepare_exec

    def call(found: settings.Settings, interrupts: Signals) -> None:
        prepare_exec(found, command, require=require, interrupts=interrupts, notify=console.tell)

    _run(console, call)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        console.fail(
            SettingsError(
                "LL-COMMAND-NOT-STARTED",
                f"{command[0]}: {error.strerror}",
                now="Correct the command that follows exec.",
            )
        )


@cli.command()
@click.argument("target", default="head")
@_wait
@_deadline
@_console
def upgrade(console: Console, target: str) -> None:
    """Run the pending revisions up to TARGET (default: head)."""
    from liftlock.commands.upgrade import upgrade as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        reports = run(
            found,
            target,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        _show_runs(console, reports)

    _run(console, call)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("target")
@_wait
@_deadline
@_console
def downgrade(console: Console, target: str) -> None:
    """Revert revisions, down to TARGET."""
    from liftlock.commands.downgrade import downgrade as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        reports = run(
            found,
            target,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        _show_runs(console, reports)

    _run(console, call)


def _show_runs(console: Console, reports: Sequence[RunReport]) -> None:
    value = [
        {
            "version_table": report.version_table,
            "before": sorted(report.before),
            "after": sorted(report.after),
            "ran": report.ran,
        }
        for report in reports
    ]
    lines = [
        f"{report.version_table}: {', '.join(sorted(report.after)) or 'base'}"
        f" ({len(report.ran)} revisions run)"
        for report in reports
    ]
    console.result(value, lines)


@cli.command()
@_console
def status(console: Console) -> None:
    """Show the revision of the database; exit 1 when revisions are pending."""
    from liftlock.commands.status import status as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        state = run(found, _ready_address(console, found, interrupts))
        recent = [
            f"  {row.at:%Y-%m-%d %H:%M}  {row.revision.id}  {row.revision.message}  by {row.by}"
            for row in state.applied[-_RECENT_REVISIONS:]
        ]
        console.result(state.as_dict(), [state.describe(), *recent])
        return 0 if state.satisfied else 1

    _run(console, call)


@cli.command()
@click.argument("target", default="head")
@_wait
@_console
def plan(console: Console, target: str) -> None:
    """Show the steps that an upgrade to TARGET would run."""
    from liftlock.commands.plan import plan as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        planned = run(
            found,
            target,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        lines = [
            click.style(line, bold=bold) for revision in planned for line, bold in revision.lines()
        ]
        value = [revision.as_dict() for revision in planned]
        console.result(value, lines or ["Nothing is pending."])

    _run(console, call)


@cli.command()
@click.argument("verb", required=False, type=click.Choice(["pause", "resume", "cancel"]))
@_console
def backfill(console: Console, verb: str | None) -> None:
    """Show unfinished backfills; pause, resume or cancel them; exit 1 when there are none."""
    from liftlock.commands.backfill import backfill as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        address = _ready_address(console, found, interrupts, writable=verb is not None)
        unfinished = run(address, verb)
        lines = [backfill.describe() for backfill in unfinished]
        value = [backfill.as_dict() for backfill in unfinished]
        console.result(value, lines or ["No backfill is unfinished."])
        return 0 if unfinished else 1

    _run(console, call)


class _CheckArguments(TypedDict):
    """Values of the options and arguments of ``check``."""

    revisions: str
    way: str
    chain: bool
    shadow_url: str | None
    data_url: str | None
    trust: bool
    output: tuple[str, ...]


@cli.command()
@click.argument("revisions", default="")
@click.option(
    "--as",
    "way",
    type=click.Choice(["liftlock", "plain"]),
    default="liftlock",
    show_default=True,
    help="The way in which production will run them: by liftlock or by plain Alembic.",
)
@click.option("--chain", is_flag=True, help="Check the whole chain, from its base.")
@_shadow_url("Server for the throwaway databases; an embedded one by default.")
@click.option(
    "--data-url",
    envvar=variables.DATA_URL.name,
    metavar="URL",
    help=f"Database whose existing rows are checked too. [{variables.DATA_URL.name}]",
)
@click.option(
    "--trust",
    is_flag=True,
    envvar=variables.TRUST.name,
    help=f"Use --data-url even where revisions can't be confined. [{variables.TRUST.name}]",
)
@click.option(
    "-o",
    "--output",
    metavar="KIND=FILE",
    multiple=True,
    help="Write a file too: github, html, json, junit, markdown or sarif.",
)
@_console
def check(console: Console, **arguments: Unpack[_CheckArguments]) -> None:
    """Run REVISIONS on a throwaway PostgreSQL and judge them; exit 1 when there are findings.

    REVISIONS is a:b (after a, up to b) or one revision; by default what is new compared with
    git's main branch, else what is pending on the database, else all.
    """
    with _confined(console, arguments) as (data, server):
        # Only now: it imports Alembic, whose plugins may be code of the project.
        from liftlock.check.run import CheckOptions
        from liftlock.commands.check import check as run

        files = _output_files(console, arguments["output"])
        options = CheckOptions(
            arguments["way"], arguments["chain"], data, server, console.x_arguments
        )

        def call(found: settings.Settings, interrupts: Signals) -> int:
            report = run(
                found,
                arguments["revisions"],
                options,
                interrupts=interrupts,
                notify=console.tell,
            )
            for write, path in files:
                console.write(path, write(report))
            _show_report(console, report)
            return 0 if report.ok else 1

        _run(console, call)


@contextlib.contextmanager
def _confined(
    console: Console, arguments: _CheckArguments
) -> Iterator[tuple[DataBroker | None, settings.Address | None]]:
    """Keep the address of the real database from the revisions.

    With ``--data-url``, this process is replaced by one without the address, which comes here
    again, and from then on can connect to the shadow only.

    Yields:
        The broker that asks the real database, and the server of the shadow.
    """
    from liftlock.broker import client as broker
    from liftlock.broker.sandbox import ports_of

    try:
        server = _server(arguments["shadow_url"])
        if arguments["data_url"]:
            broker.start_broker(arguments["data_url"])
        data = broker.connect_to_broker(
            ports_of(server), trust=arguments["trust"], notify=console.tell
        )
    except LiftlockError as error:
        console.fail(error)
    with contextlib.closing(data) if data else contextlib.nullcontext():
        yield data, server


def _output_files(
    console: Console, wanted: Sequence[str]
) -> list[tuple[Callable[[Report], str], Path]]:
    """Return the writer and the path of each ``--output``; fail on one that can't be written."""
    from liftlock.check.formats import FORMATS

    files = []
    for argument in wanted:
        kind, _, path = argument.partition("=")
        if kind not in FORMATS or not path:
            console.fail(
                SettingsError(
                    "LL-OUTPUT-SYNTAX",
                    f"--output {argument} can't be understood.",
                    now=f"Write KIND=FILE, with one of {', '.join(FORMATS)}.",
                )
            )
        if kind == "html" and importlib.util.find_spec("jinja2") is None:
            console.fail(
                SettingsError(
                    "LL-OUTPUT-NEEDS-JINJA",
                    "--output html needs Jinja2, which isn't installed.",
                    now="Install the extra: pip install 'liftlock[check]'.",
                )
            )
        files.append((FORMATS[kind], Path(path)))
    return files


def _show_report(console: Console, report: Report) -> None:
    from liftlock.check.formats import text

    lines = [click.style(line, fg=color, bold=bold) for line, color, bold in text.lines(report)]
    console.result(report.as_dict(), lines)


@cli.command()
@_shadow_url("Server for the throwaway database; an embedded one by default.")
@_wait
@_console
def drift(console: Console, shadow_url: str | None) -> None:
    """Compare the database with its revisions and with the models; exit 1 when they differ."""
    from liftlock.commands.drift import drift as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        _ready_address(console, found, interrupts)
        differences = run(
            found,
            server=_server(shadow_url),
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        lines = []
        for difference in differences:
            for number, line in enumerate(difference.what.splitlines()):
                indent = "  " if number else ""
                lines.append(f"{difference.kind:<9}  {indent}{line}")
        value = [difference.as_dict() for difference in differences]
        console.result(value, lines or ["The database has the schema of its revisions."])
        return 1 if differences else 0

    _run(console, call)


@cli.command()
@_console
def doctor(console: Console) -> None:
    """Look for the usual causes of trouble; exit 1 when there is one."""
    from liftlock.commands import doctor as module

    def call(found: settings.Settings, _interrupts: Signals) -> int:
        return _show_diagnoses(console, module.doctor(found))

    try:
        console.settings()
    except LiftlockError as error:
        sys.exit(_show_diagnoses(console, [module.failed(error, "setting")]))
    _run(console, call)


def _show_diagnoses(console: Console, diagnoses: Sequence[Diagnosis]) -> int:
    lines = []
    for diagnosis in diagnoses:
        if diagnosis.ok:
            mark = click.style("ok  ", fg="green")
        else:
            mark = click.style("FIX ", fg="red", bold=True)
        lines.append(f"{mark} {diagnosis.topic:<12} {diagnosis.text}")
        if not diagnosis.ok:
            lines.append(f"                  → {diagnosis.remedy}")
    console.result([diagnosis.as_dict() for diagnosis in diagnoses], lines)
    return 0 if all(diagnosis.ok for diagnosis in diagnoses) else 1


@cli.command()
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    default="snapshot.sql",
    show_default=True,
    help="Path of the SQL script that creates the migrated database.",
)
@_shadow_url("Server for the throwaway database; an embedded one by default.")
@_console
def bake(console: Console, snapshot: Path, shadow_url: str | None) -> None:
    """Prove the chain on a throwaway PostgreSQL, at build time; write manifest and snapshot."""
    from liftlock.commands.bake import BakeOptions
    from liftlock.commands.bake import bake as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        options = BakeOptions(snapshot, _server(shadow_url), console.x_arguments)
        baked = run(found, options, interrupts=interrupts, notify=console.tell)
        text = f"{baked.revisions} revisions proven on PostgreSQL {baked.postgres}"
        console.result(baked.as_dict(), [text])

    _run(console, call)
