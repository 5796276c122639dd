"""What the database answers to a revision itself, remembered so that a resumed revision takes the same path.

Whatever crosses from the database to the script is kept; on a later attempt it is served again, and
what was written is not written twice.
"""

from __future__ import annotations

import re

from liftlock.model.operation import first_words, mask_literals

_DEFINES = frozenset(
    {"ALTER", "COMMENT", "CREATE", "DROP", "GRANT", "REVOKE", "TRUNCATE"}
    | {"ANALYZE", "CALL", "CLUSTER", "DO", "REFRESH", "REINDEX", "VACUUM"}
)


_LOCKS_ROWS = re.compile(
    r"\bFOR\s+(NO\s+KEY\s+UPDATE|UPDATE|KEY\s+SHARE|SHARE)\b|\bpg_(try_)?advisory_xact_lock|\bINTO\s+TEMP(ORARY)?\b",
    re.IGNORECASE,
)
"""What a query keeps for its transaction alone."""


_LOCAL_CONFIG = re.compile(r"set_config\([^)]*,\s*true\s*\)", re.IGNORECASE)


_CHANGES_ROWS = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


def is_read(statement: str) -> bool:
    """Whether a statement only reads, by its first word; it was the right answer in thousands of real revisions."""
    queries = (
        first_words(statement)[:1] == ["WITH"]
        and _CHANGES_ROWS.search(mask_literals(statement)) is None
    )
    return queries or not {"SELECT", "SHOW", "VALUES", "EXPLAIN", "TABLE"}.isdisjoint(
        first_words(statement)
    )


def may_write(statement: str) -> bool:
    """Whether a statement may do what would be there twice if it were run again."""
    return not is_read(statement) and {*first_words(statement)}.isdisjoint(
        {"LOCK", "SAVEPOINT", "RELEASE", "ROLLBACK", "DECLARE", "FETCH", "CLOSE"}
    )


def is_session_setting(statement: str) -> bool:
    """Whether a statement changes the session alone; it is sent again on each attempt."""
    single = ";" not in statement.strip().rstrip(";")
    return single and (
        first_words(statement)[:1] in (["SET"], ["RESET"])
        or (is_read(statement) and "set_config(" in statement.lower())
    )


def is_local_setting(statement: str) -> bool:
    """Whether what a statement settles ends with the transaction; it is sent again in each."""
    return (
        first_words(statement, 2)[1:] in (["LOCAL"], ["CONSTRAINTS"])
        or _LOCAL_CONFIG.search(statement) is not None
    )


def sets_role(statement: str) -> bool:
    """Whether a statement makes the session work in another role."""
    return is_session_setting(statement) and "ROLE" in first_words(statement, 3)


def is_ddl(statement: str) -> bool:
    """Whether a statement changes the schema, or whatever else it likes, by its first word."""
    return not _DEFINES.isdisjoint(first_words(statement))


def requires_one_transaction(statement: str) -> bool:
    """Whether a statement makes no sense but in the transaction it was sent in, so that nothing may be committed after it."""
    first, *more = first_words(statement, 4) or [""]
    temporary = first == "CREATE" and not {"TEMP", "TEMPORARY"}.isdisjoint(more)
    locks = first in {"SELECT", "WITH"} and _LOCKS_ROWS.search(statement) is not None
    return temporary or locks or first in {"LOCK", "SAVEPOINT", "COPY", "DECLARE", "BEGIN"}


def ends_transaction(statement: str) -> bool:
    """Whether a statement ends the transaction, as old revisions do before what refuses one."""
    return first_words(statement, 2)[:1] in (["COMMIT"], ["END"]) and "PREPARED" not in first_words(
        statement, 2
    )


def rolls_back(statement: str) -> bool:
    """Whether a statement undoes the transaction, and not just up to a savepoint."""
    return first_words(statement)[:1] in (["ROLLBACK"], ["ABORT"]) and {
        "TO",
        "PREPARED",
    }.isdisjoint(first_words(statement, 3))
