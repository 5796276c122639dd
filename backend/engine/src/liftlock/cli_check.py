"""Command line of ``check``: confine the revisions, call the command, write the report."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from liftlock import settings, variables
from liftlock.cli_options import console_argument, run_command, server_of, shadow_option
from liftlock.console import Console
from liftlock.errors import LiftlockError, SettingsError
from liftlock.postgres.signals import Signals

if TYPE_CHECKING:
    from liftlock.broker.client import DataBroker
    from liftlock.check.report import Report


class _CheckArguments(TypedDict):
    """Values of the options and arguments of ``check``."""

    revisions: str
    way: str
    chain: bool
    shadow_url: str | None
    data_url: str | None
    trust: bool
    output: tuple[str, ...]


@click.command()
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
@shadow_option("Server for the throwaway databases; an embedded one by default.")
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
@console_argument
def check(console: Console, **arguments: Unpack[_CheckArguments]) -> None:
    """Run REVISIONS on a throwaway PostgreSQL and judge them; exit 1 when there are findings.

    REVISIONS is a:b (after a, up to b) or one revision; by default what is new compared with
    git's main branch, else what is pending on the database, else all.
    """
    with _confined(console, arguments) as (data, server):
        # Only now: it imports Alembic, whose plugins may be code of the project.
        from liftlock.check.run import CheckOptions
        from liftlock.commands.check import check as run

        files = output_files(console, arguments["output"])
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

        run_command(console, call, cleans_up=True)


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
        server = server_of(arguments["shadow_url"])
        if arguments["data_url"]:
            broker.start_broker(arguments["data_url"])
        data = broker.connect_to_broker(
            ports_of(server), trust=arguments["trust"], notify=console.tell
        )
    except LiftlockError as error:
        console.fail(error)
    with contextlib.closing(data) if data else contextlib.nullcontext():
        yield data, server


def output_files(
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
