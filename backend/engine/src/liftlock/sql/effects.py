"""The yes-or-no properties of a statement, read from its tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from liftlock.sql.settings import Settings
from liftlock.sql.statement import TEMPORARY, Action, Change, Effect
from liftlock.sql.tree import Node

_DDL_WORDS = frozenset(
    {
        "ALTER",
        "ANALYZE",
        "CALL",
        "CLUSTER",
        "COMMENT",
        "CREATE",
        "DO",
        "DROP",
        "GRANT",
        "IMPORT",
        "REASSIGN",
        "REFRESH",
        "REINDEX",
        "REVOKE",
        "SECURITY",
        "TRUNCATE",
        "VACUUM",
    }
)
_LASTS_NOWHERE = frozenset(
    {
        "CLOSE CURSOR",
        "DECLARE CURSOR",
        "FETCH",
        "LOCK TABLE",
        "MOVE",
        "RELEASE",
        "ROLLBACK",
        "ROLLBACK PREPARED",
        "ROLLBACK TO SAVEPOINT",
        "SAVEPOINT",
    }
)
_OF_KINDS = {
    "BEGIN": {Effect.BEGINS_TRANSACTION, Effect.ONE_TRANSACTION},
    "COMMIT": {Effect.ENDS_TRANSACTION},
    "COPY": {Effect.ONE_TRANSACTION},
    "DECLARE CURSOR": {Effect.ONE_TRANSACTION},
    "LOCK TABLE": {Effect.ONE_TRANSACTION},
    "ROLLBACK": {Effect.ROLLS_BACK},
    "SAVEPOINT": {Effect.ONE_TRANSACTION},
    "SELECT INTO": {Effect.DDL},
    "START TRANSACTION": {Effect.BEGINS_TRANSACTION, Effect.ONE_TRANSACTION},
    "TRUNCATE TABLE": {Effect.TRUNCATES},
}
_CHANGES_ROWS = frozenset({"DeleteStmt", "InsertStmt", "MergeStmt", "UpdateStmt"})
_TRANSACTION_LOCKS = frozenset(
    {
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
    }
)


def effects_of(
    node: Node, kind: str, changes: Iterable[Change], settings: Settings | None
) -> frozenset[Effect]:
    """Return the properties that hold for a statement.

    Parameters:
        node: its tree.
        kind: its command tag.
        changes: what it does to the schema.
        settings: the parameters that it sets; None where it isn't a statement for that.
    """
    within = _query_nodes(node)
    tests: dict[Effect, bool] = {
        Effect.READS: _reads(node, kind, within),
        Effect.ONE_TRANSACTION: _creates_temporary(changes)
        or any(map(_locks_for_transaction, within)),
        Effect.REWRITES_TABLE: node.kind in _REWRITES and _REWRITES[node.kind](node),
        Effect.IF_NOT_EXISTS: node.flag("if_not_exists")
        or node.child("base").flag("if_not_exists"),
        Effect.CONCURRENT: _is_concurrent(node),
        Effect.TYPE_WITH_USING: any(map(_is_type_with_using, node.children("cmds"))),
    }
    effects = {effect for effect, holds in tests.items() if holds} | of_kind(kind)
    if settings is not None and (Effect.READS in effects or node.kind != "SelectStmt"):
        effects |= of_settings(settings)
    return with_may_write(effects, kind)


def of_kind(kind: str) -> set[Effect]:
    """Return the properties that follow from a command tag alone.

    Parameters:
        kind: the tag, or the first words of a text that has none.
    """
    effects = set(_OF_KINDS.get(kind, ()))
    if kind.partition(" ")[0] in _DDL_WORDS:
        effects.add(Effect.DDL)
    return effects


def of_settings(settings: Settings) -> set[Effect]:
    """Return the properties of a statement that sets parameters of the session.

    Parameters:
        settings: the parameters.
    """
    effects = {Effect.SESSION_SETTING}
    if settings.local:
        effects.add(Effect.LOCAL_SETTING)
    if settings.role:
        effects.add(Effect.SETS_ROLE)
    return effects


def with_may_write(effects: Iterable[Effect], kind: str) -> frozenset[Effect]:
    """Return the properties, and ``MAY_WRITE`` where nothing excludes it.

    Parameters:
        effects: the other properties.
        kind: the command tag.
    """
    found = frozenset(effects)
    if Effect.READS in found or kind in _LASTS_NOWHERE:
        return found
    return found | {Effect.MAY_WRITE}


def _query_nodes(node: Node) -> Sequence[Node]:
    """Return the nodes of a query, or of a statement with WITH; a large INSERT isn't walked."""
    if node.kind == "SelectStmt" or node.child("withClause"):
        return list(node.walk())
    return ()


def _reads(node: Node, kind: str, within: Iterable[Node]) -> bool:
    if kind == "SHOW":
        return True
    if kind == "EXPLAIN":
        query = node.child("query")
        return not node.option("options", "analyze") or (
            query.kind == "SelectStmt" and _reads(query, "SELECT", query.walk())
        )
    return kind == "SELECT" and not any(
        inner.kind in _CHANGES_ROWS or inner.child("intoClause") for inner in within
    )


def _locks_for_transaction(node: Node) -> bool:
    if node.kind == "FuncCall":
        return not _TRANSACTION_LOCKS.isdisjoint(node.names("funcname")[-1:])
    return node.kind == "LockingClause"


def _creates_temporary(changes: Iterable[Change]) -> bool:
    return any(
        change.action is Action.CREATED and change.object.schema == TEMPORARY for change in changes
    )


def _is_concurrent(node: Node) -> bool:
    if node.kind == "ReindexStmt":
        return node.option("params", "concurrently")
    return node.flag("concurrent") or any(map(_detaches_concurrently, node.children("cmds")))


def _detaches_concurrently(command: Node) -> bool:
    return command.child("def").flag("concurrent")


def _is_type_with_using(command: Node) -> bool:
    return command.text("subtype") == "AT_AlterColumnType" and bool(
        command.child("def").child("raw_default")
    )


_REWRITES: dict[str, Callable[[Node], bool]] = {
    "ClusterStmt": bool,
    "ReindexStmt": lambda node: not node.option("params", "concurrently"),
    "VacuumStmt": lambda node: node.option("options", "full"),
}
