"""The command line: parse, call, print. It and ``console`` are the only places that exit or print."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from liftlock import __version__, settings
from liftlock.console import Console
from liftlock.errors import LiftlockError, SettingsError
from liftlock.postgres.signals import Signals

if TYPE_CHECKING:
    from liftlock.broker.client import DataBroker

P = ParamSpec("P")


def _run(console: Console, call: Callable[[settings.Settings, Signals], int | None]) -> None:
    """Call a command, let signals stop it, and end with the right exit code."""
    code: int | None = 0
    try:
        found = console.settings()
        with Signals() as interrupts:
            code = call(found, interrupts)
    except LiftlockError as error:
        console.fail(error)
    except BrokenPipeError:
        code = 0
    if code:
        sys.exit(code)


def _seconds(
    name: str, variable: str, default: float, text: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """An option in seconds that stands for an environment variable, and shows its default."""

    def keep(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
        if value is not None:
            context.ensure_object(dict)
            context.find_object(Console).overrides[variable] = str(value)  # type: ignore[union-attr]

    return click.option(
        name,
        type=float,
        metavar="SECONDS",
        expose_value=False,
        callback=keep,
        help=f"{text} [{variable}; default: {default:g}]",
    )


_wait = _seconds(
    "--wait", "LIFTLOCK_WAIT", settings.WAIT_SECONDS, "How long to wait for the database."
)
_deadline = _seconds(
    "--deadline", "LIFTLOCK_DEADLINE", settings.DEADLINE_SECONDS, "How long to try for locks."
)
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
    help="Passed to env.py, as Alembic's -x.",
)
@click.option(
    "--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def cli(
    context: click.Context, config: str | None, x_arguments: tuple[str, ...], shape: str
) -> None:
    """Move a PostgreSQL database along its Alembic revisions: exactly once, whoever else tries.

    Exit codes: 0 done; 1 the answer is no; 2 settings; 3 a revision; 4 not now, run again; 5 a step failed.
    """
    context.obj = Console(as_json=shape == "json", config=config, x_arguments=x_arguments)


@cli.command()
@_wait
@_console
def wait(console: Console) -> None:
    """Wait until the database can be used; tell at once what waiting can't heal."""
    from liftlock.commands import wait as waiting
    from liftlock.revisions import build

    def call(found: settings.Settings, interrupts: Signals) -> None:
        address = build.address_of(found)
        waiting.wait(address, found.wait, interrupts=interrupts, notify=console.tell)
        console.result({"ready": repr(address)}, [f"{address!r} is ready"])

    _run(console, call)


@cli.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--require",
    is_flag=True,
    help="Never migrate: wait until somebody else has. [LIFTLOCK_REQUIRE=1]",
)
@_wait
@_deadline
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_console
def exec_(console: Console, command: tuple[str, ...], *, require: bool) -> None:
    """Bring the database to what this build requires, then become COMMAND."""
    from liftlock.commands.exec import prepare_exec

    _run(
        console,
        lambda found, interrupts: prepare_exec(
            found, command, require=require, interrupts=interrupts, notify=console.tell
        ),
    )
    try:
        os.execvp(command[0], command)
    except OSError as error:
        console.fail(
            SettingsError(
                "LL-COMMAND-NOT-STARTED",
                f"{command[0]}: {error.strerror}",
                now="Check the command after exec.",
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

    _run(console, lambda found, interrupts: _moved(console, run, found, target, interrupts))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("target")
@_wait
@_deadline
@_console
def downgrade(console: Console, target: str) -> None:
    """Take revisions back, down to TARGET."""
    from liftlock.commands.downgrade import downgrade as run

    _run(console, lambda found, interrupts: _moved(console, run, found, target, interrupts))


def _moved(
    console: Console,
    run: Callable[..., Any],
    found: settings.Settings,
    target: str,
    interrupts: Signals,
) -> None:
    reports = run(
        found, target, interrupts=interrupts, notify=console.tell, x_arguments=console.x_arguments
    )
    value = [
        {
            "version_table": one.version_table,
            "before": sorted(one.before),
            "after": sorted(one.after),
            "ran": one.ran,
        }
        for one in reports
    ]
    lines = [
        f"{one.version_table}: {', '.join(sorted(one.after)) or 'base'} ({len(one.ran)} revisions run)"
        for one in reports
    ]
    console.result(value, lines)


@cli.command()
@_console
def status(console: Console) -> None:
    """Tell where the database stands; exit 1 when revisions are pending."""
    from liftlock.commands import status as looking
    from liftlock.commands import wait as waiting
    from liftlock.revisions import build

    def call(found: settings.Settings, interrupts: Signals) -> int:
        address = build.address_of(found)
        waiting.wait(
            address, found.wait, interrupts=interrupts, notify=console.tell, writable=False
        )
        seen = looking.status(found, address)
        recent = [
            f"  {row.at:%Y-%m-%d %H:%M}  {row.revision.id}  {row.revision.message}  by {row.by}"
            for row in seen.applied[-5:]
        ]
        console.result(seen.as_dict(), [seen.describe(), *recent])
        return 0 if seen.satisfied else 1

    _run(console, call)


@cli.command()
@click.argument("target", default="head")
@_wait
@_console
def plan(console: Console, target: str) -> None:
    """Show the steps that an upgrade to TARGET would run."""
    from liftlock.commands import plan_text as text
    from liftlock.commands.plan import plan as look

    def call(found: settings.Settings, interrupts: Signals) -> None:
        planned = look(
            found,
            target,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        lines = [
            click.style(line, bold=bold)
            for one in planned
            for line, bold in text.lines(one.revision, one.look)
        ]
        console.result([one.as_dict() for one in planned], lines or ["Nothing is pending."])

    _run(console, call)


@cli.command()
@click.argument("verb", required=False, type=click.Choice(["pause", "resume", "cancel"]))
@_console
def backfill(console: Console, verb: str | None) -> None:
    """Show the backfills that are begun and not finished; pause, resume or cancel them; exit 1 when there are none."""
    from liftlock.commands import backfill as filling
    from liftlock.commands import wait as waiting
    from liftlock.revisions import build

    def call(found: settings.Settings, interrupts: Signals) -> int:
        address = build.address_of(found)
        waiting.wait(
            address,
            found.wait,
            interrupts=interrupts,
            notify=console.tell,
            writable=verb is not None,
        )
        seen = filling.backfill(address, verb)
        console.result(
            [one.as_dict() for one in seen],
            [one.explained() for one in seen] or ["No backfill is unfinished."],
        )
        return 0 if seen else 1

    _run(console, call)


@cli.command()
@click.argument("revisions", default="")
@click.option(
    "--as",
    "way",
    type=click.Choice(["liftlock", "plain"]),
    default="liftlock",
    show_default=True,
    help="How they will be run.",
)
@click.option("--chain", is_flag=True, help="Check the chain as a whole, from its base.")
@click.option(
    "--shadow-url",
    envvar="LIFTLOCK_SHADOW_URL",
    metavar="URL",
    help="Try them on this server instead. [LIFTLOCK_SHADOW_URL]",
)
@click.option(
    "--data-url",
    envvar="LIFTLOCK_DATA_URL",
    metavar="URL",
    help="Look at the rows of this database too. [LIFTLOCK_DATA_URL]",
)
@click.option(
    "--trust",
    is_flag=True,
    envvar="LIFTLOCK_TRUST",
    help="Run them beside --data-url though they can't be confined. [LIFTLOCK_TRUST]",
)
@click.option(
    "-o",
    "--output",
    metavar="KIND=FILE",
    multiple=True,
    help="Write a file too: github, html, json, junit, markdown or sarif.",
)
@_console
def check(
    console: Console,
    revisions: str,
    way: str,
    shadow_url: str | None,
    data_url: str | None,
    output: tuple[str, ...],
    *,
    chain: bool,
    trust: bool,
) -> None:
    """Try REVISIONS on a throwaway PostgreSQL, and judge what it reports; exit 1 when something is found.

    REVISIONS is a:b (what comes after a, up to b) or a single one; by default what is new against git's main branch,
    else what is pending on the database, else all.
    """

    def call(found: settings.Settings, interrupts: Signals) -> int:
        report = run(
            found,
            revisions,
            way=way,
            chain=chain,
            data=data,
            server=server,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        for write, path in files:
            console.write(path, write(report))
        shown = [
            click.style(line, fg=colour, bold=bold) for line, colour, bold in text.lines(report)
        ]
        console.result(report.as_dict(), shown)
        return 0 if report.ok else 1

    with _confined(console, data_url, shadow_url, trust=trust) as (data, server):
        # It imports Alembic, and that its plugins, which may be the project's.
        from liftlock.check.formats import text
        from liftlock.commands.check import check as run

        files = console.files(output)
        _run(console, call)


@contextlib.contextmanager
def _confined(
    console: Console, data_url: str | None, shadow_url: str | None, *, trust: bool
) -> Iterator[tuple[DataBroker | None, settings.Address | None]]:
    """What keeps the address of a real database from the revisions, and where these are tried.

    With an address, this command begins anew. Without it, it comes here again, and is kept from the network but for the shadow.
    """
    from liftlock.broker import client as broker
    from liftlock.broker.sandbox import ports_of

    try:
        server = settings.from_url(shadow_url) if shadow_url else None
        if data_url:
            broker.start_broker(data_url)
        data = broker.connect_to_broker(ports_of(server), trust=trust, notify=console.tell)
    except LiftlockError as error:
        console.fail(error)
    with contextlib.closing(data) if data else contextlib.nullcontext():
        yield data, server


@cli.command()
@click.option(
    "--shadow-url",
    envvar="LIFTLOCK_SHADOW_URL",
    metavar="URL",
    help="Run the history on this server instead. [LIFTLOCK_SHADOW_URL]",
)
@_wait
@_console
def drift(console: Console, shadow_url: str | None) -> None:
    """Compare the database with what its revisions make, and with the models; exit 1 when they differ."""
    from liftlock.commands import wait as waiting
    from liftlock.commands.drift import drift as run
    from liftlock.revisions import build

    def call(found: settings.Settings, interrupts: Signals) -> int:
        waiting.wait(
            build.address_of(found),
            found.wait,
            interrupts=interrupts,
            notify=console.tell,
            writable=False,
        )
        server = settings.from_url(shadow_url) if shadow_url else None
        seen = run(
            found,
            server=server,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        lines = [
            f"{one.kind:<9}  {line if not number else '  ' + line}"
            for one in seen
            for number, line in enumerate(one.what.splitlines())
        ]
        console.result(
            [one.as_dict() for one in seen], lines or ["The database is what its revisions make."]
        )
        return 1 if seen else 0

    _run(console, call)


@cli.command()
@_console
def doctor(console: Console) -> None:
    """Look at what usually goes wrong; exit 1 when something is."""
    from liftlock.commands import doctor as looking

    def call(found: settings.Settings, _interrupts: Signals) -> int:
        return _told(console, looking.doctor(found))

    try:
        console.settings()
    except LiftlockError as error:
        sys.exit(_told(console, [looking.failed(error, "setting")]))
    _run(console, call)


def _told(console: Console, findings: Sequence[Any]) -> int:
    lines = []
    for one in findings:
        mark = (
            click.style("ok  ", fg="green") if one.ok else click.style("FIX ", fg="red", bold=True)
        )
        lines.append(
            f"{mark} {one.topic:<12} {one.text}"
            + ("" if one.ok else f"\n                  → {one.remedy}")
        )
    console.result([one.as_dict() for one in findings], lines)
    return 0 if all(one.ok for one in findings) else 1


@cli.command()
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    default="snapshot.sql",
    show_default=True,
    help="Where the schema snapshot goes.",
)
@click.option(
    "--shadow-url",
    envvar="LIFTLOCK_SHADOW_URL",
    metavar="URL",
    help="Prove it on this server instead. [LIFTLOCK_SHADOW_URL]",
)
@_console
def bake(console: Console, snapshot: Path, shadow_url: str | None) -> None:
    """At build: prove the chain on a throwaway PostgreSQL; write the manifest and the schema snapshot."""
    from liftlock.commands.bake import bake as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        server = settings.from_url(shadow_url) if shadow_url else None
        baked = run(
            found,
            snapshot,
            server=server,
            interrupts=interrupts,
            notify=console.tell,
            x_arguments=console.x_arguments,
        )
        console.result(
            baked.as_dict(), [f"{baked.revisions} revisions proven on PostgreSQL {baked.postgres}"]
        )

    _run(console, call)
