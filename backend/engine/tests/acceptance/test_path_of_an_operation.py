"""The path of an operation to its ledger row is the one that the architecture page shows."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from helpers import Project

import liftlock
from liftlock import settings
from liftlock.commands.upgrade import upgrade
from liftlock.events import silent
from liftlock.postgres.signals import Signals

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PACKAGE = Path(liftlock.__file__).parent
_CALL = re.compile(r"^\| \d+ \| `([\w.]+)` \| (?:`([\w/.]+)`)? ?\|", re.MULTILINE)


def path_on_the_page() -> list[str]:
    """Return the calls of the page, in order, as ``file:qualified name``."""
    files: dict[str, str] = {}
    found = []
    for name, file in _CALL.findall(PAGE.read_text()):
        files.setdefault(name.partition(".")[0], file)
        found.append(f"{files[name.partition('.')[0]]}:{name}")
    return found


def layers() -> list[str]:
    """Return the folders of the engine, from the highest layer to the lowest."""
    configuration = tomllib.loads((ROOT / "backend" / "pyproject.toml").read_text())
    contracts = configuration["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["type"] == "layers")
    return [layer.removeprefix("liftlock.") for layer in contract["layers"]]


@contextmanager
def recorded_calls() -> Iterator[list[tuple[str, str]]]:
    """Record each call of a function of liftlock, with its caller; both as ``file:name``."""
    calls: list[tuple[str, str]] = []

    def record(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            caller = frame.f_back
            calls.append((_place(frame), _place(caller) if caller else ""))

    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def _place(frame: FrameType) -> str:
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(PACKAGE):
        return ""
    return f"{file.relative_to(PACKAGE)}:{frame.f_code.co_qualname}"


def test_the_calls_of_add_column_are_those_of_the_architecture_page(project: Project) -> None:
    """op.add_column reaches its ledger row by at most twelve calls, none of them upward."""
    project.revision("r1", None, 'op.create_table("person", sa.Column("id", sa.Integer()))')
    project.revision("r2", "r1", 'op.add_column("person", sa.Column("nick", sa.Text()))')
    found = settings.read(project.variables())
    found.config = str(project.ini)
    with Signals() as signals:
        upgrade(found, "r1", interrupts=signals, notify=silent)
        with recorded_calls() as calls:
            upgrade(found, "r2", interrupts=signals, notify=silent)
    expected = path_on_the_page()
    assert len(expected) <= 12
    callers = dict(reversed(calls))
    missing = [call for call in expected if call not in callers]
    assert not missing
    order = [call for call, _ in calls if call in expected]
    assert list(dict.fromkeys(order)) == expected
    rank = {layer: number for number, layer in enumerate(layers())}
    for call in expected:
        caller = callers[call].partition("/")[0]
        assert rank.get(caller, -1) <= rank[call.partition("/")[0]], f"{callers[call]} → {call}"
