"""Output of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liftlock.console import Console
from liftlock.errors import NotNow
from liftlock.events import Event

FACTS = {"relation": "t", "rows": 10, "total": 100, "rate": 5}
ADVANCED = Event("backfill.advanced", "10 rows", FACTS)


def console(*, as_json: bool = False) -> Console:
    """Return a console without options."""
    return Console(as_json=as_json, config=None, x_arguments=())


def test_event_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    console().tell(Event("run.started", "begun"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("liftlock  begun\n")


def test_event_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, with the facts."""
    console(as_json=True).tell(Event("run.started", "begun", {"revision": "r1"}))
    body = json.loads(capsys.readouterr().err)
    assert body == {"event": "run.started", "text": "begun", "revision": "r1"}


def test_progress_is_shown_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Not on a terminal there is no bar; the last event is always shown."""
    shown = console()
    for _ in range(3):
        shown.tell(ADVANCED)
    shown.tell(Event("backfill.advanced", "100 rows", {**FACTS, "last": True}))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("  ")[2] for line in lines] == ["10 rows", "100 rows"]


@pytest.mark.parametrize("as_json", [False, True])
def test_error_ends_the_process(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """With the exit code of its family."""
    with pytest.raises(SystemExit) as ended:
        console(as_json=as_json).fail(NotNow("LL-X", "It happened.", now="Do this."))
    assert ended.value.code == 4
    assert "LL-X" in capsys.readouterr().err


def test_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of wrong settings."""
    console().write(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"
    with pytest.raises(SystemExit) as ended:
        console().write(tmp_path / "nowhere" / "a", "text")
    assert ended.value.code == 2
    assert "LL-OUTPUT-NOT-WRITTEN" in capsys.readouterr().err


def test_options_replace_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As --wait does."""
    monkeypatch.setenv("LIFTLOCK_WAIT", "7")
    shown = Console(
        as_json=False,
        config="app/alembic.ini",
        x_arguments=(),
        overrides={"LIFTLOCK_WAIT": "9"},
    )
    settings = shown.settings()
    assert (settings.wait, settings.config) == (9, "app/alembic.ini")
