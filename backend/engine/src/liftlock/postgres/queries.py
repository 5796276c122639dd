"""Named SQL statements, read from the ``.sql`` files in this folder."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(filename: str) -> dict[str, str]:
    """Return the statements of a file by name.

    Each statement begins with a line ``-- name: its_name`` and a comment that describes it. The
    comment belongs to the text, so that it shows in ``pg_stat_activity``.
    """
    text = files(__package__).joinpath(filename).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    return {name: body.strip().removesuffix(";") for name, body in zip(names, bodies, strict=True)}


QUERIES = load("queries.sql")
LEDGER = load("ledger.sql")
CATALOG = load("catalog.sql")
