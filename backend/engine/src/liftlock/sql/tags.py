"""Command tags: the name that PostgreSQL reports for a statement.

https://www.postgresql.org/docs/current/protocol-message-formats.html (CommandComplete)
"""

from __future__ import annotations

from collections.abc import Callable

from liftlock.sql.tree import Node

_OBJECTS = {
    "OBJECT_DOMCONSTRAINT": "CONSTRAINT",
    "OBJECT_FDW": "FOREIGN DATA WRAPPER",
    "OBJECT_FOREIGN_SERVER": "SERVER",
    "OBJECT_LARGEOBJECT": "LARGE OBJECT",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_OPCLASS": "OPERATOR CLASS",
    "OBJECT_OPFAMILY": "OPERATOR FAMILY",
    "OBJECT_STATISTIC_EXT": "STATISTICS",
    "OBJECT_TABCONSTRAINT": "CONSTRAINT",
    "OBJECT_TSCONFIGURATION": "TEXT SEARCH CONFIGURATION",
    "OBJECT_TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "OBJECT_TSPARSER": "TEXT SEARCH PARSER",
    "OBJECT_TSTEMPLATE": "TEXT SEARCH TEMPLATE",
}
_TAGS = {
    "AlterDatabaseRefreshCollStmt": "ALTER DATABASE",
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterEnumStmt": "ALTER TYPE",
    "AlterExtensionContentsStmt": "ALTER EXTENSION",
    "AlterFdwStmt": "ALTER FOREIGN DATA WRAPPER",
    "AlterForeignServerStmt": "ALTER SERVER",
    "AlterOpFamilyStmt": "ALTER OPERATOR FAMILY",
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "AlterStatsStmt": "ALTER STATISTICS",
    "AlterTSConfigurationStmt": "ALTER TEXT SEARCH CONFIGURATION",
    "AlterTSDictionaryStmt": "ALTER TEXT SEARCH DICTIONARY",
    "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE",
    "CheckPointStmt": "CHECKPOINT",
    "ClosePortalStmt": "CLOSE CURSOR",
    "CompositeTypeStmt": "CREATE TYPE",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateEnumStmt": "CREATE TYPE",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
    "CreateForeignServerStmt": "CREATE SERVER",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY",
    "CreatePLangStmt": "CREATE LANGUAGE",
    "CreateRangeStmt": "CREATE TYPE",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "CreateStatsStmt": "CREATE STATISTICS",
    "CreateStmt": "CREATE TABLE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreatedbStmt": "CREATE DATABASE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropdbStmt": "DROP DATABASE",
    "IndexStmt": "CREATE INDEX",
    "LockStmt": "LOCK TABLE",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "RuleStmt": "CREATE RULE",
    "SecLabelStmt": "SECURITY LABEL",
    "TruncateStmt": "TRUNCATE TABLE",
    "VariableShowStmt": "SHOW",
    "ViewStmt": "CREATE VIEW",
}
_TRANSACTIONS = {
    "TRANS_STMT_RELEASE": "RELEASE",
    "TRANS_STMT_PREPARE": "PREPARE TRANSACTION",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK TO SAVEPOINT",
    "TRANS_STMT_START": "START TRANSACTION",
}


def object_kind(type_: str) -> str:
    """Return a kind of objects in SQL's words.

    Parameters:
        type_: PostgreSQL's name for it, such as ``OBJECT_MATVIEW``.
    """
    return _OBJECTS.get(type_, type_.removeprefix("OBJECT_").replace("_", " "))


def tag(node: Node) -> str:
    """Return the command tag of a statement.

    Parameters:
        node: its tree.
    """
    if node.kind in _SEVERAL:
        return _SEVERAL[node.kind](node)
    return _TAGS.get(node.kind) or _words(node.kind.removesuffix("Stmt"))


def _words(kind: str) -> str:
    """Return ``CREATE USER MAPPING`` for ``CreateUserMapping``."""
    return "".join(f" {letter}" if letter.isupper() else letter for letter in kind).strip().upper()


def _alter(field: str) -> Callable[[Node], str]:
    return lambda node: f"ALTER {object_kind(node.text(field))}"


def _rename(node: Node) -> str:
    kind = node.text("renameType")
    if kind in {"OBJECT_COLUMN", "OBJECT_ATTRIBUTE"}:
        kind = node.text("relationType")
    if kind == "OBJECT_DOMCONSTRAINT":
        kind = "OBJECT_DOMAIN"
    if kind == "OBJECT_TABCONSTRAINT":
        kind = "OBJECT_TABLE"
    return f"ALTER {object_kind(kind)}"


def _create_table_as(node: Node) -> str:
    kind = object_kind(node.text("objtype"))
    return f"CREATE {kind} AS" if kind == "TABLE" else f"CREATE {kind}"


def _transaction(node: Node) -> str:
    kind = node.text("kind")
    return _TRANSACTIONS.get(kind) or kind.removeprefix("TRANS_STMT_").replace("_", " ")


def _grant(suffix: str) -> Callable[[Node], str]:
    return lambda node: ("GRANT" if node.flag("is_grant") else "REVOKE") + suffix


def _set(node: Node) -> str:
    return "RESET" if node.text("kind").startswith("VAR_RESET") else "SET"


def _discard(node: Node) -> str:
    return node.text("target").replace("_", " ")


_SEVERAL: dict[str, Callable[[Node], str]] = {
    "AlterFunctionStmt": _alter("objtype"),
    "AlterObjectDependsStmt": _alter("objectType"),
    "AlterObjectSchemaStmt": _alter("objectType"),
    "AlterOwnerStmt": _alter("objectType"),
    "AlterTableMoveAllStmt": _alter("objtype"),
    "AlterTableStmt": _alter("objtype"),
    "CreateFunctionStmt": lambda node: (
        "CREATE PROCEDURE" if node.flag("is_procedure") else "CREATE FUNCTION"
    ),
    "CreateTableAsStmt": _create_table_as,
    "DefineStmt": lambda node: f"CREATE {object_kind(node.text('kind'))}",
    "DiscardStmt": _discard,
    "DropStmt": lambda node: f"DROP {object_kind(node.text('removeType'))}",
    "FetchStmt": lambda node: "MOVE" if node.flag("ismove") else "FETCH",
    "GrantRoleStmt": _grant(" ROLE"),
    "GrantStmt": _grant(""),
    "RenameStmt": _rename,
    "SelectStmt": lambda node: "SELECT INTO" if selected_into(node) else "SELECT",
    "TransactionStmt": _transaction,
    "VacuumStmt": lambda node: "VACUUM" if node.flag("is_vacuumcmd") else "ANALYZE",
    "VariableSetStmt": _set,
}


def selected_into(select: Node) -> Node:
    """Return the relation that SELECT INTO creates; in a UNION the first SELECT names it."""
    while select:
        relation = select.child("intoClause").child("rel")
        if relation:
            return relation
        select = select.child("larg")
    return select
