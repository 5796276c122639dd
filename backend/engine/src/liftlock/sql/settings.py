"""Session parameters that a statement sets: SET, RESET, and SELECT with set_config.

https://www.postgresql.org/docs/current/sql-set.html
"""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.sql.tags import selected_into
from liftlock.sql.tokens import tokenize
from liftlock.sql.tree import Node

_TRUE = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_ROLES = frozenset({"role", "session_authorization"})
_ARGUMENTS = ("setting_name", "new_value", "is_local")


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters that one statement sets.

    Parameters:
        names: the parameters; none where the statement sets other things, or where the driver
            binds their names.
        local: the values end with the transaction.
    """

    names: tuple[str, ...] = ()
    local: bool = False

    @property
    def first(self) -> str:
        """The parameter as ``current_setting`` takes it; empty where there is none."""
        name = self.names[0] if self.names else ""
        return "TimeZone" if name.lower() == "timezone" else name

    @property
    def role(self) -> bool:
        """Tell whether the role is among the parameters."""
        return any(name.lower() in _ROLES for name in self.names)

    @property
    def custom(self) -> tuple[str, ...]:
        """The parameters with two-part names, such as ``app.tenant``."""
        return tuple(name for name in self.names if "." in name)


def settings_of(node: Node) -> Settings | None:
    """Return the parameters that a statement sets; None where it isn't a statement for that.

    Parameters:
        node: its tree.
    """
    if node.kind == "ConstraintsSetStmt":
        return Settings(local=True)
    if node.kind == "VariableSetStmt":
        several = node.text("kind") == "VAR_SET_MULTI"
        name = "" if several else node.text("name")
        return Settings((name,) if name else (), node.flag("is_local"))
    if node.kind == "SelectStmt" and not selected_into(node):
        return _calls(node)
    return None


def _calls(query: Node) -> Settings | None:
    calls = [
        node
        for node in query.walk()
        if node.kind == "FuncCall" and _is_set_config(node.names("funcname"))
    ]
    if not calls:
        return None
    arguments = [_arguments(call) for call in calls]
    names = (_constant(values.get("setting_name")) for values in arguments)
    return Settings(
        tuple(name for name in names if name),
        any(_is_true(values.get("is_local")) for values in arguments),
    )


def _is_set_config(function: tuple[str, ...]) -> bool:
    return function in {("set_config",), ("pg_catalog", "set_config")}


def _arguments(call: Node) -> dict[str, Node]:
    arguments: dict[str, Node] = {}
    for name, value in zip(_ARGUMENTS, call.children("args"), strict=False):
        if value.kind == "NamedArgExpr":
            arguments[value.text("name")] = value.child("arg")
        else:
            arguments[name] = value
    return arguments


def _constant(value: Node | None) -> str:
    """Return a constant string, with or without a cast; empty for anything else."""
    while value is not None and value.kind == "TypeCast":
        value = value.child("arg")
    return value.child("sval").text("sval") if value is not None and value.kind == "A_Const" else ""


def _is_true(value: Node | None) -> bool:
    if value is not None and value.kind == "A_Const" and value.child("boolval").flag("boolval"):
        return True
    return _constant(value).strip().lower() in _TRUE


def as_session_setting(text: str) -> str:
    """Return SET LOCAL as SET SESSION, otherwise byte for byte; empty for any other statement.

    Parameters:
        text: one statement.
    """
    words = [token for _, token in zip(range(2), tokenize(text), strict=False)]
    if [token.keyword for token in words] != ["SET", "LOCAL"]:
        return ""
    return f"{text[: words[1].start]}SESSION{text[words[1].end :]}"
