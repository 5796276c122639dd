"""Facts about tables, read from PostgreSQL's catalog.

They are read through the connection that runs the revision, so that its own uncommitted changes
are seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from liftlock.model.table import Column, Constraint, Index, Partition, Table
from liftlock.postgres.queries import CATALOG

Execute = Callable[[str, Mapping[str, object]], Sequence[Mapping[str, Any]]]
"""Run a statement with named parameters, ``:name``, and return its rows."""

Send = Callable[[str], Sequence[Mapping[str, Any]]]
"""Run a statement exactly as it is written, without parameters, and return its rows."""


def table(execute: Execute, relation: str) -> Table | None:
    """Return the facts about a table; None if there is no such table.

    Parameters:
        execute: runs statements.
        relation: the table as SQL text. A name without a schema is looked up in the search path
            of the connection.
    """
    rows = execute(CATALOG["table"], {"relation": relation})
    if not rows:
        return None
    facts = json.loads(rows[0]["facts"])
    names_by_schema = {
        int(schema): frozenset(names) for schema, names in facts.pop("names_of_schemas").items()
    }
    facts["columns"] = tuple(Column(**column) for column in facts["columns"])
    facts["constraints"] = tuple(
        Constraint(**with_tuples(constraint)) for constraint in facts["constraints"]
    )
    facts["indexes"] = tuple(Index(**with_tuples(index)) for index in facts["indexes"])
    facts["partitions"] = tuple(
        _partition(partition, names_by_schema) for partition in facts["partitions"]
    )
    facts["obstacles"] = tuple(facts["obstacles"])
    for names in ("relation_names", "constraint_names"):
        facts[names] = frozenset(facts[names])
    return Table(**facts)


def _partition(facts: dict[str, Any], names_by_schema: dict[int, frozenset[str]]) -> Partition:
    """Return a partition.

    The query names the partition's schema by its OID instead of listing the names of all relations
    in it for each partition: there may be a thousand partitions in one schema.
    """
    names = names_by_schema[facts["relation_names"]]
    return Partition(**with_tuples(facts) | {"relation_names": names})


def with_tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts that were read as JSON, with tuples instead of lists, for a frozen dataclass."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
    }
