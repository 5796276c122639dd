"""How a call speaks to its user: plain lines, colour and bars on a terminal, or JSON."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click

from liftlock import settings
from liftlock.errors import LiftlockError, SettingsError
from liftlock.events import Event

_LINE_SECONDS = 5.0
_COLOURS = {True: "yellow", False: None}


@dataclass(slots=True)
class Console:
    """How this call speaks: plain lines, colour on a terminal, or JSON."""

    as_json: bool
    config: str | None
    x_arguments: tuple[str, ...]
    overrides: dict[str, str] = field(default_factory=dict)
    _bar: Any = None
    _advanced: float = 0.0

    def tell(self, event: Event) -> None:
        """Show an event, on standard error: standard output is for results.

        Progress is a bar on a terminal; elsewhere it is a line now and then.
        """
        if event.name.endswith(".advanced") and not event.facts.get("last"):
            if not self.as_json and sys.stderr.isatty() and event.facts.get("total"):
                self._draw(event)
                return
            if time.monotonic() - self._advanced < _LINE_SECONDS:
                return
            self._advanced = time.monotonic()
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
        if self.as_json:
            click.echo(
                json.dumps({"event": event.name, "text": event.text, **event.facts}, default=str),
                err=True,
            )
            return
        clock = time.strftime("%H:%M:%S")
        click.secho(f"{clock} liftlock  {event.text}", err=True, fg=_COLOURS[event.warning])

    def _draw(self, event: Event) -> None:
        total, done = int(str(event.facts["total"])), int(str(event.facts["rows"]))
        if self._bar is None:
            label = f"backfill of {event.facts['relation']}"
            self._bar = click.progressbar(
                length=total,
                label=label,
                file=sys.stderr,
                show_pos=True,
                item_show_func=lambda rate: rate or "",
            )
            self._bar.update(done)
        self._bar.update(max(done - self._bar.pos, 0), f"{event.facts['rate']} rows a second")

    def result(self, value: object, lines: Sequence[str]) -> None:
        """Show a result: JSON for programs, lines for people."""
        click.echo(json.dumps(value, indent=1, default=str) if self.as_json else "\n".join(lines))

    def files(self, wanted: Sequence[str]) -> list[tuple[Callable[[Any], str], Path]]:
        """What ``--output`` asks for: how it is written, and where; a mistake ends the call."""
        from liftlock.check.formats import FORMATS

        pairs = [one.partition("=") for one in wanted]
        for kind, _, path in pairs:
            if kind not in FORMATS or not path:
                now = f"Write KIND=FILE, with one of {', '.join(FORMATS)}."
                self.fail(
                    SettingsError(
                        "LL-OUTPUT-SYNTAX", f"--output {kind}={path} can't be understood.", now=now
                    )
                )
            if kind == "html" and importlib.util.find_spec("jinja2") is None:
                now = "Install the extra: pip install 'liftlock[check]'."
                self.fail(
                    SettingsError(
                        "LL-OUTPUT-NEEDS-JINJA",
                        "--output html needs Jinja2, which isn't installed.",
                        now=now,
                    )
                )
        return [(FORMATS[kind], Path(path)) for kind, _, path in pairs]

    def write(self, path: Path, text: str) -> None:
        """Write a file; a fault ends the call."""
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self.fail(
                SettingsError(
                    "LL-OUTPUT-NOT-WRITTEN",
                    f"{path} can't be written: {error.strerror}.",
                    now="Name another file.",
                )
            )

    def fail(self, error: LiftlockError) -> NoReturn:
        """Show an error and end with its exit code."""
        if self.as_json:
            click.echo(json.dumps(error.as_dict()), err=True)
        else:
            click.secho(str(error), err=True, fg="red")
        sys.exit(error.exit_code)

    def settings(self) -> settings.Settings:
        """The environment's settings, with the options of this call on top."""
        given = {**os.environ, **self.overrides}
        if self.config:
            given["ALEMBIC_CONFIG"] = self.config
        return settings.read(given)
