"""Named SQL statements, read from the ``.sql`` files beside this one."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(filename: str) -> dict[str, str]:
    """The statements of a file, by name.

    Each begins with a line ``-- name: it`` and a comment that says what it is for.
    """
    text = files(__package__).joinpath(filename).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {
        name: body.strip().removesuffix(";")
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


QUERIES = load("queries.sql")
LEDGER = load("ledger.sql")
CATALOG = load("catalog.sql")
