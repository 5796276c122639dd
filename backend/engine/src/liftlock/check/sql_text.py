"""Facts about SQL that a revision sends as text, found by regular expressions.

They are approximations: a word in a comment or in a literal counts as well. Each is one function,
so that a parser can take its place.
"""

from __future__ import annotations

import re

_REMOVES = re.compile(r"\b(DROP|RENAME|TRUNCATE|COMMENT)\b", re.IGNORECASE)
_CONVERTS = re.compile(r"\bTYPE\b.*\bUSING\b", re.IGNORECASE | re.DOTALL)


def mentions(sql: str, name: str) -> bool:
    """Tell whether a statement has a name as a whole word, in quotes or not.

    Parameters:
        sql: the statement.
        name: a table, column or constraint, without its schema and quotes.
    """
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE) is not None


def removes_or_renames(sql: str) -> bool:
    """Tell whether a statement drops, renames, truncates or only comments on something."""
    return _REMOVES.search(sql) is not None


def converts_by_expression(sql: str) -> bool:
    """Tell whether a statement changes a column's type by an expression of its own (USING)."""
    return _CONVERTS.search(sql) is not None
