"""Options of the command line that several commands share, and the call of a command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec

import click

from liftlock import settings, variables
from liftlock.console import Console
from liftlock.errors import LiftlockError
from liftlock.postgres.signals import Signals
from liftlock.variables import Number

P = ParamSpec("P")


def run_command(
    console: Console,
    call: Callable[[settings.Settings, Signals], int | None],
    *,
    cleans_up: bool = False,
) -> None:
    """Call a command while signals can stop it, and end with the right exit code.

    Parameters:
        console: shows errors.
        call: the command.
        cleans_up: the command has throwaway databases or servers to remove after a signal. All
            other commands end within two seconds of a signal, even during a statement.
    """
    code: int | None = 0
    try:
        found = console.settings()
        with Signals(None if cleans_up else console.show_error) as interrupts:
            code = call(found, interrupts)
    except LiftlockError as error:
        console.fail(error)
    except BrokenPipeError:
        code = 0  # the reader of a pipe, such as head, has seen enough
    except Exception as error:
        lost = _connection_lost(error)
        if lost is None:
            raise
        console.fail(lost)
    if code:
        sys.exit(code)


def _connection_lost(error: Exception) -> LiftlockError | None:
    """Return the error of a connection that was lost or refused; None for any other error."""
    if "psycopg" not in sys.modules:
        return None
    from liftlock.postgres.sqlstates import connection_lost, is_connection_lost

    if not is_connection_lost(error):
        return None
    return connection_lost(error, why="The command couldn't be finished.")


def _seconds(
    option: str, variable: Number, text: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that adds an option in seconds, which replaces a variable."""

    def keep(context: click.Context, _parameter: click.Parameter, value: float | None) -> None:
        console = context.find_object(Console)
        if console is not None and value is not None:
            console.overrides[variable.name] = str(value)

    return click.option(
        option,
        type=float,
        metavar="SECONDS",
        expose_value=False,
        callback=keep,
        help=f"{text} [{variable.name}; default: {variable.default}]",
    )


def shadow_option(text: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Return a decorator that adds the option for the server of throwaway databases."""
    name = variables.SHADOW_URL.name
    return click.option("--shadow-url", envvar=name, metavar="URL", help=f"{text} [{name}]")


def server_of(shadow_url: str | None) -> settings.Address | None:
    """Return the address of the shadow's option; None without one."""
    return settings.from_url(shadow_url) if shadow_url else None


def ready_address(
    console: Console,
    found: settings.Settings,
    interrupts: Signals,
    *,
    writable: bool = False,
) -> settings.Address:
    """Wait for the database and return its address."""
    from liftlock.commands.wait import wait as run

    return run(found, interrupts=interrupts, notify=console.tell, writable=writable)


wait_option = _seconds("--wait", variables.WAIT, "How long to wait for the database.")
deadline_option = _seconds("--deadline", variables.DEADLINE, "How long to try to get locks.")
console_argument = click.make_pass_decorator(Console)
