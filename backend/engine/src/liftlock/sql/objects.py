"""The schema objects that a statement creates, changes and removes, read from its tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from liftlock.sql.statement import TEMPORARY, Action, Change, SchemaObject
from liftlock.sql.tags import object_kind, selected_into
from liftlock.sql.tree import Node

_Reader = Callable[[Node], Iterator[Change]]

_IN_TABLES = frozenset({"TRIGGER", "POLICY", "RULE"})
_WITHOUT_NAMES = frozenset({"CAST", "TRANSFORM", "OPERATOR CLASS", "OPERATOR FAMILY"})
_CHANGES_COLUMN = frozenset(
    {
        "AT_AddIdentity",
        "AT_AlterColumnGenericOptions",
        "AT_AlterColumnType",
        "AT_DropExpression",
        "AT_DropIdentity",
        "AT_DropNotNull",
        "AT_ResetOptions",
        "AT_SetCompression",
        "AT_SetExpression",
        "AT_SetIdentity",
        "AT_SetNotNull",
        "AT_SetOptions",
        "AT_SetStatistics",
        "AT_SetStorage",
    }
)
_CONSTRAINTS = {
    "AT_AddConstraint": Action.CREATED,
    "AT_AlterConstraint": Action.CHANGED,
    "AT_DropConstraint": Action.REMOVED,
    "AT_ValidateConstraint": Action.CHANGED,
}
_STATES = {
    "AT_DisableRowSecurity": (Action.REMOVED, "ROW LEVEL SECURITY"),
    "AT_DisableRule": (Action.REMOVED, "ENABLED RULE"),
    "AT_DisableTrig": (Action.REMOVED, "ENABLED TRIGGER"),
    "AT_DisableTrigAll": (Action.REMOVED, "ENABLED TRIGGER"),
    "AT_DisableTrigUser": (Action.REMOVED, "ENABLED TRIGGER"),
    "AT_EnableAlwaysRule": (Action.CREATED, "ENABLED RULE"),
    "AT_EnableAlwaysTrig": (Action.CREATED, "ENABLED TRIGGER"),
    "AT_EnableReplicaRule": (Action.CREATED, "ENABLED RULE"),
    "AT_EnableReplicaTrig": (Action.CREATED, "ENABLED TRIGGER"),
    "AT_EnableRowSecurity": (Action.CREATED, "ROW LEVEL SECURITY"),
    "AT_EnableRule": (Action.CREATED, "ENABLED RULE"),
    "AT_EnableTrig": (Action.CREATED, "ENABLED TRIGGER"),
    "AT_EnableTrigAll": (Action.CREATED, "ENABLED TRIGGER"),
    "AT_EnableTrigUser": (Action.CREATED, "ENABLED TRIGGER"),
    "AT_ForceRowSecurity": (Action.CREATED, "FORCE ROW LEVEL SECURITY"),
    "AT_NoForceRowSecurity": (Action.REMOVED, "FORCE ROW LEVEL SECURITY"),
}


def changes_of(node: Node) -> Iterator[Change]:
    """Yield what a statement does to the schema, in order.

    Parameters:
        node: its tree.
    """
    reader = _READERS.get(node.kind)
    if reader is not None:
        yield from reader(node)


def _qualified(kind: str, names: Sequence[str], part: str = "") -> SchemaObject:
    schema = names[-2] if len(names) > 1 else None
    return SchemaObject(kind, schema, names[-1] if names else "", part)


def _relation(kind: str, relation: Node, part: str = "") -> SchemaObject:
    schema = relation.text("schemaname") or None
    if relation.text("relpersistence") == "t":
        schema = TEMPORARY
    return SchemaObject(kind, schema, relation.text("relname"), part)


def _of_relation(action: Action, kind: str, field: str, part: str = "") -> _Reader:
    """Return a reader of statements about a relation, or about a part that another field names."""

    def read(node: Node) -> Iterator[Change]:
        yield Change(action, _relation(kind, node.child(field), node.text(part) if part else ""))

    return read


def _of_names(action: Action, kind: str, field: str) -> _Reader:
    """Return a reader of statements about an object whose qualified name is in a field."""

    def read(node: Node) -> Iterator[Change]:
        yield Change(action, _qualified(kind, node.names(field)))

    return read


def _of_text(action: Action, kind: str, field: str) -> _Reader:
    """Return a reader of statements about an object without a schema, whose name is in a field."""

    def read(node: Node) -> Iterator[Change]:
        yield Change(action, SchemaObject(kind, None, node.text(field)))

    return read


def _create_table_as(node: Node) -> Iterator[Change]:
    yield Change(
        Action.CREATED,
        _relation(object_kind(node.text("objtype")), node.child("into").child("rel")),
    )


def _select(node: Node) -> Iterator[Change]:
    relation = selected_into(node)
    if relation:
        yield Change(Action.CREATED, _relation("TABLE", relation))


def _create_foreign_table(node: Node) -> Iterator[Change]:
    yield Change(Action.CREATED, _relation("FOREIGN TABLE", node.child("base").child("relation")))


def _create_index(node: Node) -> Iterator[Change]:
    table = _relation("TABLE", node.child("relation"))
    yield Change(Action.CREATED, SchemaObject("INDEX", table.schema, node.text("idxname")))


def _create_function(node: Node) -> Iterator[Change]:
    kind = "PROCEDURE" if node.flag("is_procedure") else "FUNCTION"
    yield Change(Action.CREATED, _qualified(kind, node.names("funcname")))


def _define(node: Node) -> Iterator[Change]:
    yield Change(Action.CREATED, _qualified(object_kind(node.text("kind")), node.names("defnames")))


def _create_schema(node: Node) -> Iterator[Change]:
    schema = node.text("schemaname") or node.child("authrole").text("rolename")
    yield Change(Action.CREATED, SchemaObject("SCHEMA", None, schema))
    for element in node.children("schemaElts"):
        for change in changes_of(element):
            created = change.object
            within = SchemaObject(
                created.kind, created.schema or schema, created.name, created.part
            )
            yield Change(change.action, within)


def _alter_function(node: Node) -> Iterator[Change]:
    kind = object_kind(node.text("objtype"))
    yield Change(Action.CHANGED, _qualified(kind, node.child("func").names("objname")))


def _alter_role(node: Node) -> Iterator[Change]:
    role = node.child("role").text("rolename")
    if role:
        yield Change(Action.CHANGED, SchemaObject("ROLE", None, role))


def _drop_role(node: Node) -> Iterator[Change]:
    for role in node.children("roles"):
        yield Change(Action.REMOVED, SchemaObject("ROLE", None, role.text("rolename")))


def _drop(node: Node) -> Iterator[Change]:
    kind = object_kind(node.text("removeType"))
    if kind not in _WITHOUT_NAMES:
        for dropped in node.children("objects"):
            yield Change(Action.REMOVED, _listed(kind, _names_of(dropped)))


def _listed(kind: str, names: Sequence[str]) -> SchemaObject:
    """Return the object of a name that PostgreSQL lists with its table, where it has one."""
    if kind in _IN_TABLES:
        return _qualified(kind, names[:-1], names[-1])
    return _qualified(kind, names)


def _names_of(node: Node) -> tuple[str, ...]:
    """Return the qualified name in a list, a type's name, a function's signature, or a string."""
    if node.kind == "String":
        return (node.text("sval"),)
    return node.names(
        {"List": "items", "TypeName": "names", "ObjectWithArgs": "objname"}.get(node.kind, "")
    )


def _subject(node: Node, kind: str) -> SchemaObject:
    """Return the object that ALTER … RENAME, SET SCHEMA or OWNER TO names."""
    relation = node.child("relation")
    if relation:
        return _relation(kind, relation, node.text("subname"))
    named = node.child("object")
    if named:
        return _qualified(kind, _names_of(named))
    return SchemaObject(kind, None, node.text("subname"))


def _rename(node: Node) -> Iterator[Change]:
    kind = object_kind(node.text("renameType"))
    if node.text("renameType") in {"OBJECT_ATTRIBUTE", "OBJECT_DOMCONSTRAINT"}:
        owner = "TYPE" if kind == "ATTRIBUTE" else "DOMAIN"
        changed = _subject(node, owner)
        yield Change(Action.CHANGED, SchemaObject(owner, changed.schema, changed.name))
        return
    old = _subject(node, kind)
    new = node.text("newname")
    yield Change(Action.REMOVED, old)
    if old.part:
        yield Change(Action.CREATED, SchemaObject(kind, old.schema, old.name, new))
    else:
        yield Change(Action.CREATED, SchemaObject(kind, old.schema, new))


def _set_schema(node: Node) -> Iterator[Change]:
    moved = _subject(node, object_kind(node.text("objectType")))
    if moved.kind == "EXTENSION":
        yield Change(Action.CHANGED, moved)
        return
    yield Change(Action.REMOVED, moved)
    yield Change(Action.CREATED, SchemaObject(moved.kind, node.text("newschema"), moved.name))


def _change_owner(node: Node) -> Iterator[Change]:
    kind = object_kind(node.text("objectType"))
    if kind not in _WITHOUT_NAMES:
        yield Change(Action.CHANGED, _subject(node, kind))


def _alter_table(node: Node) -> Iterator[Change]:
    kind = object_kind(node.text("objtype"))
    relation = node.child("relation")
    if kind in {"INDEX", "SEQUENCE", "TYPE"}:
        yield Change(Action.CHANGED, _relation(kind, relation))
        return
    for command in node.children("cmds"):
        yield from _alter_table_action(kind, relation, command)


def _alter_table_action(kind: str, relation: Node, command: Node) -> Iterator[Change]:
    subtype, name = command.text("subtype"), command.text("name")
    if subtype in _STATES:
        action, state = _STATES[subtype]
        yield Change(action, _relation(state, relation, name or _all_or_user(subtype)))
    elif subtype in _CONSTRAINTS:
        name = name or command.child("def").text("conname")
        yield Change(_CONSTRAINTS[subtype], _relation("CONSTRAINT", relation, name))
    elif subtype == "AT_AddColumn":
        yield Change(
            Action.CREATED, _relation("COLUMN", relation, command.child("def").text("colname"))
        )
    elif subtype == "AT_DropColumn":
        yield Change(Action.REMOVED, _relation("COLUMN", relation, name))
    elif subtype == "AT_ColumnDefault":
        action = Action.CREATED if command.child("def") else Action.REMOVED
        yield Change(action, _relation("DEFAULT", relation, name))
    elif subtype in _CHANGES_COLUMN:
        yield Change(Action.CHANGED, _relation("COLUMN", relation, name))
    else:
        yield Change(Action.CHANGED, _relation(kind, relation))


def _all_or_user(subtype: str) -> str:
    if subtype.endswith("All"):
        return "ALL"
    return "USER" if subtype.endswith("User") else ""


_READERS: dict[str, _Reader] = {
    "AlterDomainStmt": _of_names(Action.CHANGED, "DOMAIN", "typeName"),
    "AlterEnumStmt": _of_names(Action.CHANGED, "TYPE", "typeName"),
    "AlterExtensionContentsStmt": _of_text(Action.CHANGED, "EXTENSION", "extname"),
    "AlterExtensionStmt": _of_text(Action.CHANGED, "EXTENSION", "extname"),
    "AlterFunctionStmt": _alter_function,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterOwnerStmt": _change_owner,
    "AlterPolicyStmt": _of_relation(Action.CHANGED, "POLICY", "table", "policy_name"),
    "AlterRoleSetStmt": _alter_role,
    "AlterRoleStmt": _alter_role,
    "AlterSeqStmt": _of_relation(Action.CHANGED, "SEQUENCE", "sequence"),
    "AlterTableStmt": _alter_table,
    "AlterTypeStmt": _of_names(Action.CHANGED, "TYPE", "typeName"),
    "CompositeTypeStmt": _of_relation(Action.CREATED, "TYPE", "typevar"),
    "CreateDomainStmt": _of_names(Action.CREATED, "DOMAIN", "domainname"),
    "CreateEnumStmt": _of_names(Action.CREATED, "TYPE", "typeName"),
    "CreateEventTrigStmt": _of_text(Action.CREATED, "EVENT TRIGGER", "trigname"),
    "CreateExtensionStmt": _of_text(Action.CREATED, "EXTENSION", "extname"),
    "CreateForeignServerStmt": _of_text(Action.CREATED, "SERVER", "servername"),
    "CreateForeignTableStmt": _create_foreign_table,
    "CreateFunctionStmt": _create_function,
    "CreatePolicyStmt": _of_relation(Action.CREATED, "POLICY", "table", "policy_name"),
    "CreatePublicationStmt": _of_text(Action.CREATED, "PUBLICATION", "pubname"),
    "CreateRangeStmt": _of_names(Action.CREATED, "TYPE", "typeName"),
    "CreateRoleStmt": _of_text(Action.CREATED, "ROLE", "role"),
    "CreateSchemaStmt": _create_schema,
    "CreateSeqStmt": _of_relation(Action.CREATED, "SEQUENCE", "sequence"),
    "CreateStatsStmt": _of_names(Action.CREATED, "STATISTICS", "defnames"),
    "CreateStmt": _of_relation(Action.CREATED, "TABLE", "relation"),
    "CreateTableAsStmt": _create_table_as,
    "CreateTrigStmt": _of_relation(Action.CREATED, "TRIGGER", "relation", "trigname"),
    "CreatedbStmt": _of_text(Action.CREATED, "DATABASE", "dbname"),
    "DefineStmt": _define,
    "DropRoleStmt": _drop_role,
    "DropStmt": _drop,
    "DropdbStmt": _of_text(Action.REMOVED, "DATABASE", "dbname"),
    "IndexStmt": _create_index,
    "RenameStmt": _rename,
    "RuleStmt": _of_relation(Action.CREATED, "RULE", "relation", "rulename"),
    "SelectStmt": _select,
    "ViewStmt": _of_relation(Action.CREATED, "VIEW", "view"),
}
