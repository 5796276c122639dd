"""Nodes of PostgreSQL's parse tree, as libpg_query writes them in JSON.

https://github.com/pganalyze/libpg_query
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Node:
    """A node of the tree.

    Parameters:
        kind: its type, such as ``SelectStmt``; empty where its field has one type only.
        fields: the fields that aren't zero, empty or false.
    """

    __slots__ = ("fields", "kind")

    def __init__(self, kind: str, fields: Mapping[str, object]) -> None:
        self.kind = kind
        self.fields = fields

    @classmethod
    def of(cls, value: object) -> Node | None:
        """Return the node that a value of the JSON text holds; None where it holds none."""
        if not isinstance(value, dict):
            return None
        if len(value) == 1:
            kind, fields = next(iter(value.items()))
            if kind[:1].isupper() and isinstance(fields, dict):
                return cls(kind, fields)
        return cls("", value)

    def child(self, field: str) -> Node:
        """Return the node in a field; one without a type and fields where there is none."""
        return Node.of(self.fields.get(field)) or _NOTHING

    def children(self, field: str) -> list[Node]:
        """Return the nodes of a list."""
        values = self.fields.get(field)
        if not isinstance(values, list):
            return []
        return [node for node in map(Node.of, values) if node is not None]

    def text(self, field: str) -> str:
        """Return a field that holds a text; empty where it holds none."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else ""

    def flag(self, field: str) -> bool:
        """Return a field that holds a yes or no."""
        return self.fields.get(field) is True

    def names(self, field: str) -> tuple[str, ...]:
        """Return the parts of a qualified name, which is a list of strings."""
        return tuple(part.text("sval") for part in self.children(field))

    def option(self, field: str, name: str) -> bool:
        """Tell whether a list has an option, such as ``analyze`` of EXPLAIN, that isn't off."""
        values = [
            option.child("arg") for option in self.children(field) if option.text("defname") == name
        ]
        return bool(values) and _is_on(values[-1])

    def walk(self) -> Iterator[Node]:
        """Yield the node and all nodes with a type below it, from left to right."""
        yield self
        pending: list[object] = list(self.fields.values())[::-1]
        while pending:
            value = pending.pop()
            if isinstance(value, list):
                pending.extend(reversed(value))
            node = Node.of(value)
            if node is not None:
                if node.kind:
                    yield node
                pending.extend(list(node.fields.values())[::-1])

    def __bool__(self) -> bool:
        return bool(self.kind or self.fields)


_NOTHING = Node("", {})
_OFF = frozenset({"false", "off", "0"})


def _is_on(value: Node) -> bool:
    if value.kind == "String":
        return value.text("sval").lower() not in _OFF
    if value.kind == "Integer":
        return bool(value.fields.get("ival"))
    return value.kind != "Boolean" or value.flag("boolval")
