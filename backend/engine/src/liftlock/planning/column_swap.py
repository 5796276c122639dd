"""The swap of a column with its replacement column: one brief transaction.

::

    1. Stop if the old column has changed since the recipe began.
    2. DROP TRIGGER, DROP FUNCTION.
    3. DROP CONSTRAINT of the old foreign keys, from the column and to it: a referenced column's
       unique index can't be dropped before the keys that depend on it.
    4. Move the sequences that the old column owns, and its default, to the replacement column.
    5. DROP COLUMN of the old column, with its indexes and checks.
    6. RENAME COLUMN of the replacement column, then its indexes and constraints, to the old names.

All run under ACCESS EXCLUSIVE on the table, and on the tables of the foreign keys. None scans a
table: the indexes are built, the constraints are validated, and the column is NOT NULL already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from liftlock.model.replacement import DependentIndex, DependentSequence
from liftlock.model.step import Step
from liftlock.planning.column_replacement import Replacement, comment_on
from liftlock.planning.naming import automatic_name, quote_literal
from liftlock.planning.steps import execute_exclusively
from liftlock.sql import quote_name


def swap_columns(replacement: Replacement, state: str) -> Step:
    """Return the step that puts the replacement column in the old column's place.

    Parameters:
        replacement: the replacement.
        state: a query for the digest of the old column's properties.
    """
    relation = replacement.relation
    statements = [
        _stop_if_changed(replacement, state),
        *_drop_triggers_and_keys(replacement),
        *_move_sequences_and_default(replacement),
        f"{replacement.alter} DROP COLUMN {replacement.old_name}",
        f"{replacement.alter} RENAME COLUMN {replacement.quoted_name} TO {replacement.old_name}",
        *_rename_identity_sequences(replacement),
        *_rename_indexes(replacement),
        *_rename_constraints(replacement),
    ]
    # Referenced tables first, as in all recipes, then this table, then those that reference it.
    referenced = sorted({key.refers for key in replacement.new.keys} - {relation})
    referencing = sorted({key.relation for key in replacement.new.keys} - {relation})
    return replace(
        execute_exclusively("swap", statements[0]),
        more_sql=tuple(statements[1:]),
        tables=tuple(dict.fromkeys([*referenced, relation, *referencing])),
        phase=replacement.phase,
    )


def _stop_if_changed(replacement: Replacement, state: str) -> str:
    """Return a statement that fails if the old column has changed since the recipe began.

    DROP COLUMN would otherwise drop an index or a grant that was created meanwhile.
    """
    column = f"column {replacement.old_name} of {replacement.relation}"
    message = (
        f"{column} was changed, or an object was created on it, since its type change began:"
        " undo that, run again, and repeat it afterwards"
    )
    format_string = quote_literal(message.replace("%", "%%"))
    fingerprint = quote_literal(replacement.new.fingerprint)
    return (
        f"DO $liftlock$ BEGIN IF ({state}) IS DISTINCT FROM {fingerprint}"
        f" THEN RAISE EXCEPTION {format_string}; END IF; END $liftlock$"
    )


def _drop_triggers_and_keys(replacement: Replacement) -> Iterator[str]:
    for trigger in replacement.triggers:
        yield f"DROP TRIGGER {trigger} ON {replacement.relation}"
    yield f"DROP FUNCTION {replacement.function}()"
    for key in replacement.new.keys:
        yield f"ALTER TABLE {key.relation} DROP CONSTRAINT {quote_name(key.name)}"


def _move_sequences_and_default(replacement: Replacement) -> Iterator[str]:
    alter_column = f"{replacement.alter} ALTER COLUMN {replacement.quoted_name}"
    owner = f"{replacement.relation}.{replacement.quoted_name}"
    for sequence in replacement.new.sequences:
        if not sequence.identity:
            yield f"ALTER SEQUENCE {sequence.relation} OWNED BY {owner}"
    if replacement.new.default is not None:
        yield f"{alter_column} SET DEFAULT {replacement.new.default}"
    for sequence in _identities(replacement):
        yield from _create_identity(replacement, sequence, alter_column)


def _create_identity(
    replacement: Replacement, sequence: DependentSequence, alter_column: str
) -> Iterator[str]:
    """Create an identity that continues the numbers of the old one.

    PostgreSQL can't move the sequence of an identity to another column. ALTER SEQUENCE, although it
    changes nothing, locks the old one against nextval(): a client may draw numbers without the
    table, and would draw one that the new sequence gives out again.
    https://www.postgresql.org/docs/current/sql-altersequence.html#id-1.9.3.31.7
    """
    name = replacement.in_schema(replacement.temporary_name(sequence.name))
    generated, options = sequence.identity.split("(", 1)
    yield f"{alter_column} ADD {generated}(SEQUENCE NAME {name} {options}"
    yield f"ALTER SEQUENCE {sequence.relation} {options.removesuffix(')')}"
    yield f"SELECT setval({quote_literal(name)}, last_value, is_called) FROM {sequence.relation}"


def _rename_identity_sequences(replacement: Replacement) -> Iterator[str]:
    """Rename the sequences of identities, once the old ones are dropped with their column."""
    for sequence in _identities(replacement):
        name = replacement.in_schema(replacement.temporary_name(sequence.name))
        yield f"ALTER SEQUENCE {name} RENAME TO {quote_name(sequence.name)}"
        for grant in sequence.grants:
            yield f"GRANT {grant}"
        yield from comment_on("SEQUENCE", replacement.in_schema(sequence.name), sequence.comment)


def _identities(replacement: Replacement) -> list[DependentSequence]:
    return [sequence for sequence in replacement.new.sequences if sequence.identity]


def _rename_indexes(replacement: Replacement) -> Iterator[str]:
    for index in replacement.new.indexes:
        yield from _rename_index(replacement, index)


def _rename_index(replacement: Replacement, index: DependentIndex) -> Iterator[str]:
    """Give an index its name, constraint, comments and roles.

    PostgreSQL copies a column's name into the indexes that contain it, so the index has a column to
    rename, too.
    """
    alter = replacement.alter
    name = quote_name(index.name)
    temporary = replacement.temporary_name(index.name)
    temporary_index = replacement.in_schema(temporary)
    if index.column_only:
        columns = f"{replacement.quoted_name} TO {replacement.old_name}"
        yield f"ALTER TABLE {temporary_index} RENAME COLUMN {columns}"
    if index.constraint:
        using = f"USING INDEX {quote_name(temporary)}{index.deferral}"
        # USING INDEX renames the index to the constraint's name.
        yield f"{alter} ADD CONSTRAINT {name} {index.constraint} {using}"
        constraint = f"{name} ON {replacement.relation}"
        yield from comment_on("CONSTRAINT", constraint, index.constraint_comment)
    else:
        yield f"ALTER INDEX {temporary_index} RENAME TO {name}"
    yield from comment_on("INDEX", replacement.in_schema(index.name), index.comment)
    if index.replica_identity:
        yield f"{alter} REPLICA IDENTITY USING INDEX {name}"
    if index.clustered:
        yield f"{alter} CLUSTER ON {name}"


def _rename_constraints(replacement: Replacement) -> Iterator[str]:
    for constraint in (*replacement.new.checks, *replacement.new.keys):
        alter = f"ALTER TABLE {constraint.relation}"
        name = quote_name(constraint.name)
        temporary = quote_name(replacement.temporary_name(constraint.name))
        yield f"{alter} RENAME CONSTRAINT {temporary} TO {name}"
        yield from comment_on("CONSTRAINT", f"{name} ON {constraint.relation}", constraint.comment)
    if replacement.new.not_null:
        # From PostgreSQL 18 on, NOT NULL is a named constraint. The generated name contains the
        # temporary name of the column.
        table = replacement.table
        generated = automatic_name(
            table.name, (replacement.name,), "not_null", table.constraint_names
        )
        name = quote_name(replacement.new.not_null)
        yield f"{replacement.alter} RENAME CONSTRAINT {quote_name(generated)} TO {name}"
