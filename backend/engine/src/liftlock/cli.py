"""Command line: parse, call a command, print. Only it and ``console`` print and exit.

Each command is imported when it is called, so that one command doesn't load the others' modules.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from liftlock import settings
from liftlock.cli_check import check
from liftlock.cli_options import (
    console_argument,
    deadline_option,
    ready_address,
    run_command,
    server_of,
    shadow_option,
    wait_option,
)
from liftlock.console import Console
from liftlock.errors import LiftlockError, SettingsError
from liftlock.postgres.signals import Signals
from liftlock.version import __version__

if TYPE_CHECKING:
    from liftlock.commands.doctor import Diagnosis
    from liftlock.revisions.repetition import RunReport

_RECENT_REVISIONS = 5


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


cli.add_command(check)


@cli.command()
@wait_option
@console_argument
def wait(console: Console) -> None:
    """Wait until the database can be used. Fail at once on errors that waiting can't resolve."""

    def call(found: settings.Settings, interrupts: Signals) -> None:
        address = ready_address(console, found, interrupts, writable=True)
        console.result({"ready": repr(address)}, [f"{address!r} is ready"])

    run_command(console, call)


@cli.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--require",
    is_flag=True,
    help="Never migrate: wait until another process has. [LIFTLOCK_REQUIRE=1]",
)
@wait_option
@deadline_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@console_argument
def exec_(console: Console, command: tuple[str, ...], *, require: bool) -> None:
    """Migrate the database to what this build requires, then replace this process by COMMAND."""
    from liftlock.commands.exec import prepare_exec

    def call(found: settings.Settings, interrupts: Signals) -> None:
        prepare_exec(found, command, require=require, interrupts=interrupts, notify=console.tell)

    run_command(console, call)
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
@wait_option
@deadline_option
@console_argument
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

    run_command(console, call)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("target")
@wait_option
@deadline_option
@console_argument
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

    run_command(console, call)


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
@console_argument
def status(console: Console) -> None:
    """Show the revision of the database; exit 1 when revisions are pending."""
    from liftlock.commands.status import status as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        state = run(found, ready_address(console, found, interrupts))
        recent = [
            f"  {row.at:%Y-%m-%d %H:%M}  {row.revision.id}  {row.revision.message}  by {row.by}"
            for row in state.applied[-_RECENT_REVISIONS:]
        ]
        console.result(state.as_dict(), [state.describe(), *recent])
        return 0 if state.satisfied else 1

    run_command(console, call)


@cli.command()
@click.argument("target", default="head")
@wait_option
@console_argument
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

    run_command(console, call)


@cli.command()
@click.argument("verb", required=False, type=click.Choice(["pause", "resume", "cancel"]))
@console_argument
def backfill(console: Console, verb: str | None) -> None:
    """Show unfinished backfills; pause, resume or cancel them; exit 1 when there are none."""
    from liftlock.commands.backfill import backfill as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        address = ready_address(console, found, interrupts, writable=verb is not None)
        unfinished = run(address, verb)
        lines = [backfill.describe() for backfill in unfinished]
        value = [backfill.as_dict() for backfill in unfinished]
        console.result(value, lines or ["No backfill is unfinished."])
        return 0 if unfinished else 1

    run_command(console, call)


@cli.command()
@shadow_option("Server for the throwaway database; an embedded one by default.")
@wait_option
@console_argument
def drift(console: Console, shadow_url: str | None) -> None:
    """Compare the database with its revisions and with the models; exit 1 when they differ."""
    from liftlock.commands.drift import drift as run

    def call(found: settings.Settings, interrupts: Signals) -> int:
        ready_address(console, found, interrupts)
        differences = run(
            found,
            server=server_of(shadow_url),
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

    run_command(console, call, cleans_up=True)


@cli.command()
@console_argument
def doctor(console: Console) -> None:
    """Look for the usual causes of trouble; exit 1 when there is one."""
    from liftlock.commands import doctor as module

    def call(found: settings.Settings, _interrupts: Signals) -> int:
        return _show_diagnoses(console, module.doctor(found))

    try:
        console.settings()
    except LiftlockError as error:
        sys.exit(_show_diagnoses(console, [module.failed(error, "setting")]))
    run_command(console, call)


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
@shadow_option("Server for the throwaway database; an embedded one by default.")
@console_argument
def bake(console: Console, snapshot: Path, shadow_url: str | None) -> None:
    """Prove the chain on a throwaway PostgreSQL, at build time; write manifest and snapshot."""
    from liftlock.commands.bake import BakeOptions
    from liftlock.commands.bake import bake as run

    def call(found: settings.Settings, interrupts: Signals) -> None:
        options = BakeOptions(snapshot, server_of(shadow_url), console.x_arguments)
        baked = run(found, options, interrupts=interrupts, notify=console.tell)
        text = f"{baked.revisions} revisions proven on PostgreSQL {baked.postgres}"
        console.result(baked.as_dict(), [text])

    run_command(console, call, cleans_up=True)
