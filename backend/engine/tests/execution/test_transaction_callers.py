"""Commits and rollbacks in the source of liftlock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import liftlock

_ROOT = Path(liftlock.__file__).parent
_OWNER = "execution/transaction.py"
_TRANSACTIONS = frozenset({"self._transaction", "transaction"})
"""Names of a ``liftlock.execution.transaction.Transaction``, which decides about each commit."""
_ENGINE_SESSIONS: dict[str, str] = {}
"""Calls on the engine's own sessions, with a reason each, such as ``postgres/ledger.py``.

They are in autocommit, or within ``with session.transaction()``, so there are none.
"""


class Call(NamedTuple):
    """A call of ``commit()`` or ``rollback()``."""

    file: str
    line: int
    receiver: str


def calls_in(source: str, file: str) -> Iterator[Call]:
    """Yield the calls of ``commit()`` and ``rollback()`` in a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in {"commit", "rollback"}:
            yield Call(file, node.lineno, ast.unparse(node.func.value))


def all_calls() -> list[Call]:
    """Return the calls in all modules of liftlock."""
    return [
        call
        for path in sorted(_ROOT.rglob("*.py"))
        for call in calls_in(path.read_text(encoding="utf-8"), str(path.relative_to(_ROOT)))
    ]


def test_only_the_transaction_commits_and_rolls_back() -> None:
    """Every reason that forbids a commit is kept there."""
    others = [
        call
        for call in all_calls()
        if call.file != _OWNER
        and call.file not in _ENGINE_SESSIONS
        and call.receiver not in _TRANSACTIONS
    ]
    assert others == []


def test_callers_of_the_transaction_belong_to_a_revision() -> None:
    """Elsewhere, an object of that name could be SQLAlchemy's."""
    files = {call.file for call in all_calls() if call.file != _OWNER}
    assert all(
        file.startswith("execution/") or file == "revisions/handlers.py" for file in files
    ), files
    for file in files:
        text = (_ROOT / file).read_text(encoding="utf-8")
        assert "sqlalchemy.engine import Transaction" not in text
        assert "get_transaction()" not in text


def test_all_exceptions_are_used() -> None:
    """An exception that is no longer needed would hide a new call."""
    calls = [call for call in all_calls() if call.file != _OWNER]
    assert {call.receiver for call in calls} >= _TRANSACTIONS
    assert {call.file for call in calls} >= set(_ENGINE_SESSIONS)


def test_calls_on_drivers_are_found() -> None:
    """The tests above can fail."""
    source = "driver.commit()\nself.connection.rollback()\ncommit()\nx = driver.commit"
    assert [call.receiver for call in calls_in(source, "x.py")] == ["driver", "self.connection"]
