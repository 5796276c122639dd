"""Console: output of the command line, as lines, colors and progress bars, or as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from liftlock import settings, variables
from liftlock.errors import LiftlockError, SettingsError
from liftlock.events import Event

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_PROGRESS_SECONDS = 5.0
_COLORS = {True: "yellow", False: None}


@dataclass(slots=True)
class Console:
    """Output of one call of the command line.

    Parameters:
        as_json: write JSON for programs instead of text for people.
        config: path of ``alembic.ini``; None for the environment's.
        x_arguments: values of Alembic's ``-x``.
        overrides: environment variables that options of the call replace.
    """

    as_json: bool
    config: str | None
    x_arguments: tuple[str, ...]
    overrides: dict[str, str] = field(default_factory=dict)
    _bar: ProgressBar[int] | None = None
    _progress_shown: float = 0.0

    def tell(self, event: Event) -> None:
        """Show an event on standard error, because standard output is for results.

        Progress is shown by a bar on a terminal, and by a line every few seconds elsewhere.
        """
        if self._is_progress(event):
            if self._draws_bar(event):
                self._draw(event)
                return
            if time.monotonic() - self._progress_shown < _PROGRESS_SECONDS:
                return
            self._progress_shown = time.monotonic()
        self._finish_bar()
        if self.as_json:
            fields = {"event": event.name, "text": event.text, **event.facts}
            click.echo(json.dumps(fields, default=str), err=True)
            return
        clock = time.strftime("%H:%M:%S")
        click.secho(f"{clock} liftlock  {event.text}", err=True, fg=_COLORS[event.warning])

    @staticmethod
    def _is_progress(event: Event) -> bool:
        return event.name.endswith(".advanced") and not event.facts.get("last")

    def _draws_bar(self, event: Event) -> bool:
        return not self.as_json and sys.stderr.isatty() and bool(event.facts.get("total"))

    def _draw(self, event: Event) -> None:
        done = int(str(event.facts["rows"]))
        if self._bar is None:
            self._bar = click.progressbar(
                length=int(str(event.facts["total"])),
                label=f"backfill of {event.facts['relation']}",
                file=sys.stderr,
                show_pos=True,
                item_show_func=_rate,
            )
            self._bar.update(done)
        # The bar shows the current item beside it, and so the rate.
        rate = int(str(event.facts["rate"]))
        self._bar.update(max(done - self._bar.pos, 0), rate)

    def _finish_bar(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def result(self, value: object, lines: Sequence[str]) -> None:
        """Show a result on standard output.

        Parameters:
            value: the result for programs, written as JSON.
            lines: the result for people.
        """
        text = json.dumps(value, indent=1, default=str) if self.as_json else "\n".join(lines)
        click.echo(text)

    def write(self, path: Path, text: str) -> None:
        """Write a file; end the process with an error if that fails."""
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            fault = SettingsError(
                "LL-OUTPUT-NOT-WRITTEN",
                f"{path} can't be written: {error.strerror}.",
                now="Name another file.",
            )
            self.fail(fault)

    def fail(self, error: LiftlockError) -> NoReturn:
        """Show an error and end the process with its exit code."""
        self.show_error(error)
        sys.exit(error.exit_code)

    def show_error(self, error: LiftlockError) -> None:
        """Show an error on standard error."""
        if self.as_json:
            click.echo(json.dumps(error.as_dict()), err=True)
        else:
            click.secho(str(error), err=True, fg="red")

    def settings(self) -> settings.Settings:
        """Return the settings of the environment, with this call's options instead of theirs.

        Raises:
            SettingsError: some are wrong.
        """
        environ = {**os.environ, **self.overrides}
        if self.config:
            environ[variables.ALEMBIC_CONFIG.name] = self.config
        return settings.read(environ)


def _rate(rows_per_second: int | None) -> str:
    return "" if rows_per_second is None else f"{rows_per_second} rows a second"
