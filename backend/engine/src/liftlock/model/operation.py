"""One ``op.*`` call of a revision, as it reached the database's door."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a revision asked for.

    Parameters:
        kind: the name of the operation, such as ``add_column``.
        table: the table it is about, as the project writes it; None where there is none.
        sql: the statement that plain Alembic would run.
        rows: how many sets of parameters go with it.
        others: tables besides ``table`` that it locks, such as one that a foreign key refers to.
        line: the line of the revision's file that asks for it.
    """

    kind: str
    table: str | None
    sql: str
    rows: int = 0
    others: tuple[str, ...] = ()
    line: int | None = None

    @property
    def shape(self) -> str:
        """The operation with its literals masked: what makes it known again on a later attempt."""
        return _digest(f"{self.kind} {_LITERAL.sub('?', self.sql)}")

    @property
    def fingerprint(self) -> str:
        """The exact text, as evidence."""
        return _digest(self.sql)


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
