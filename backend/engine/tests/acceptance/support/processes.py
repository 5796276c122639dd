"""Commands of liftlock in a forked process: as real as a program, without its start-up time."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from helpers import Project

from liftlock import settings
from liftlock.commands.downgrade import downgrade
from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError
from liftlock.events import silent
from liftlock.postgres.signals import Signals

UNEXPECTED = 99
"""The exit code of a forked process that raised an error other than liftlock's."""


def run_in_fork(run: Callable[[], object]) -> int:
    """Call a function in a forked process.

    Returns its exit code, or the negative number of the signal that ended it.
    """
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = UNEXPECTED
    try:
        run()
        code = 0
    except LiftlockError as error:
        os.write(2, f"{error}\n".encode())
        code = error.exit_code
    except BaseException as error:  # noqa: BLE001 - the process must not run on in pytest
        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(code)


def run_liftlock(
    project: Project, command: str, prepare: Callable[[], None] | None = None, **variables: str
) -> int:
    """Run ``upgrade`` (to head) or ``downgrade`` (to r0) in a forked process.

    All tables count as large, so that operations take their online form.

    Parameters:
        project: the project.
        command: ``upgrade`` or ``downgrade``.
        prepare: is called in the forked process first, such as to kill it at a commit.
        variables: further environment variables.

    Returns the exit code, or the negative number of the signal that ended the process.
    """

    def run() -> None:
        environment = {
            "ALEMBIC_CONFIG": project.ini,
            "LIFTLOCK_SMALL_TABLE": "0",
            "LIFTLOCK_DEADLINE": "60",
            **variables,
        }
        read = settings.read(environment)
        if prepare:
            prepare()
        with Signals() as interrupts:
            if command == "upgrade":
                upgrade(read, interrupts=interrupts, notify=silent)
            else:
                downgrade(read, "r0", interrupts=interrupts, notify=silent)

    return run_in_fork(run)
