"""SQL text, read by PostgreSQL's own parser: what a statement does, and changes of its text.

The package reads and writes nothing but its arguments, and imports nothing else of liftlock.
"""

from __future__ import annotations

from liftlock.sql import rewrite
from liftlock.sql.definitions import (
    changed_type,
    constraint_definition,
    identity_options,
    index_definition,
    is_serial,
    same_definition,
)
from liftlock.sql.excerpts import excerpt
from liftlock.sql.mentions import has_keyword, mentions, roles_created
from liftlock.sql.names import quote_name, split_name, unqualified
from liftlock.sql.parser import parse
from liftlock.sql.statement import Action, Change, SchemaObject, Statement
from liftlock.sql.tokens import mask_literals

__all__ = [
    "Action",
    "Change",
    "SchemaObject",
    "Statement",
    "changed_type",
    "constraint_definition",
    "excerpt",
    "has_keyword",
    "identity_options",
    "index_definition",
    "is_serial",
    "mask_literals",
    "mentions",
    "parse",
    "quote_name",
    "rewrite",
    "roles_created",
    "same_definition",
    "split_name",
    "unqualified",
]
