"""Values that say what SQL text does."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

TEMPORARY = "pg_temp"
"""The schema of temporary objects, as PostgreSQL names the one of each session."""


class Action(enum.Enum):
    """The effect of a statement on a schema object."""

    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """A schema object, a part of one, or a state of a table that can be switched on and off.

    Parameters:
        kind: its kind in SQL's words, such as ``TABLE``, ``COLUMN`` or ``ENABLED TRIGGER``.
        schema: its schema; None where the statement names none.
        name: its name, or that of the table that it belongs to; empty where PostgreSQL chooses it.
        part: the name of the column, constraint, trigger, policy or rule within the table.
    """

    kind: str
    schema: str | None
    name: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One effect of a statement on the schema.

    Parameters:
        action: whether the object is created, changed or removed.
        object: the schema object.
    """

    action: Action
    object: SchemaObject


class Effect(enum.Enum):
    """A yes-or-no property of a statement; the properties of ``Statement`` document them."""

    READS = enum.auto()
    MAY_WRITE = enum.auto()
    SESSION_SETTING = enum.auto()
    LOCAL_SETTING = enum.auto()
    SETS_ROLE = enum.auto()
    DDL = enum.auto()
    ONE_TRANSACTION = enum.auto()
    ENDS_TRANSACTION = enum.auto()
    ROLLS_BACK = enum.auto()
    BEGINS_TRANSACTION = enum.auto()
    REWRITES_TABLE = enum.auto()
    TRUNCATES = enum.auto()
    IF_NOT_EXISTS = enum.auto()
    CONCURRENT = enum.auto()
    TYPE_WITH_USING = enum.auto()


_OF_ONE_STATEMENT = frozenset(
    {
        Effect.SESSION_SETTING,
        Effect.LOCAL_SETTING,
        Effect.SETS_ROLE,
        Effect.ENDS_TRANSACTION,
        Effect.ROLLS_BACK,
        Effect.BEGINS_TRANSACTION,
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """The meaning of SQL text: of one statement, of several, or of none.

    Parameters:
        text: the text without surrounding white space and without its final semicolon.
        kind: PostgreSQL's command tag, such as ``ALTER TABLE``; empty unless it is one statement.
        opaque: PostgreSQL 17's parser rejects the text, or a part of it, so the first words decide.
        statements: the statements, where there are several.
        changes: the schema objects that it creates, changes and removes, in order. Bodies of
            functions, of DO and of prepared statements aren't included.
        effects: the properties that hold.
        setting: of SET, RESET and set_config, the parameter as ``current_setting`` takes it.
        as_session_setting: of SET LOCAL, the same as SET SESSION.
        custom_settings: two-part parameters, such as ``app.tenant``, that SET, RESET or set_config
            names as a constant.
    """

    text: str
    kind: str = ""
    opaque: bool = False
    statements: tuple[Statement, ...] = ()
    changes: tuple[Change, ...] = ()
    effects: frozenset[Effect] = frozenset()
    setting: str = ""
    as_session_setting: str = ""
    custom_settings: tuple[str, ...] = ()

    @property
    def each(self) -> tuple[Statement, ...]:
        """Return the statements of the text, also where it is only one."""
        return self.statements or (self,)

    @property
    def created(self) -> tuple[SchemaObject, ...]:
        """Return the objects that it creates; a renamed one by its new name."""
        return tuple(change.object for change in self.changes if change.action is Action.CREATED)

    @property
    def removed(self) -> tuple[SchemaObject, ...]:
        """Return the objects that it removes; a renamed one by its old name."""
        return tuple(change.object for change in self.changes if change.action is Action.REMOVED)

    @property
    def is_read(self) -> bool:
        """Tell whether it only reads: SELECT, VALUES, TABLE, SHOW, EXPLAIN, or no statement at all.

        SELECT with a locking clause is a read, and so is one that calls any function. SELECT INTO,
        a query that changes rows in its WITH clause, and EXPLAIN ANALYZE of anything but a query
        aren't. Several statements are a read when all of them are.
        """
        return Effect.READS in self.effects

    @property
    def may_write(self) -> bool:
        """Tell whether running it twice may have a lasting effect twice.

        Reads, locks, savepoints, ROLLBACK and cursors have none.
        """
        return Effect.MAY_WRITE in self.effects

    @property
    def is_session_setting(self) -> bool:
        """Tell whether it is one statement that sets a parameter: SET, RESET, or set_config.

        SET TRANSACTION and SET CONSTRAINTS are included, and set_config in queries only.
        """
        return Effect.SESSION_SETTING in self.effects

    @property
    def is_local_setting(self) -> bool:
        """Tell whether it is a session setting that ends with the transaction.

        SET LOCAL, SET CONSTRAINTS, and set_config with the constant true.
        """
        return Effect.LOCAL_SETTING in self.effects

    @property
    def sets_role(self) -> bool:
        """Tell whether it is a session setting that changes the role.

        SET and RESET of ROLE and of SESSION AUTHORIZATION, and set_config of these.
        """
        return Effect.SETS_ROLE in self.effects

    @property
    def is_ddl(self) -> bool:
        """Tell whether it defines or maintains schema objects, or runs code that may.

        CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT, REVOKE, ANALYZE, VACUUM, CLUSTER, REINDEX,
        REFRESH, DO, CALL, SELECT INTO and the like. Of several statements, at least one does.
        """
        return Effect.DDL in self.effects

    @property
    def requires_one_transaction(self) -> bool:
        """Tell whether the rest of its transaction relies on it, so that nothing may be committed.

        Temporary objects, row locks and advisory locks of a query, LOCK, SAVEPOINT, COPY, DECLARE
        and BEGIN. Of several statements, at least one is.
        """
        return Effect.ONE_TRANSACTION in self.effects

    @property
    def ends_transaction(self) -> bool:
        """Tell whether it is one COMMIT or END, but not COMMIT PREPARED.

        A text of several statements has no property of transaction control: a caller that replaces
        the command would drop its neighbours. Look at ``each`` for them.
        """
        return Effect.ENDS_TRANSACTION in self.effects

    @property
    def rolls_back(self) -> bool:
        """Tell whether it is one ROLLBACK or ABORT, but not TO SAVEPOINT and not PREPARED."""
        return Effect.ROLLS_BACK in self.effects

    @property
    def begins_transaction(self) -> bool:
        """Tell whether it is one BEGIN or START TRANSACTION."""
        return Effect.BEGINS_TRANSACTION in self.effects

    @property
    def rewrites_table(self) -> bool:
        """Tell whether it rewrites tables or indexes under a strong lock.

        VACUUM FULL, CLUSTER, and REINDEX without CONCURRENTLY.
        """
        return Effect.REWRITES_TABLE in self.effects

    @property
    def is_truncate(self) -> bool:
        """Tell whether it empties tables by TRUNCATE."""
        return Effect.TRUNCATES in self.effects

    @property
    def if_not_exists(self) -> bool:
        """Tell whether it is CREATE … IF NOT EXISTS."""
        return Effect.IF_NOT_EXISTS in self.effects

    @property
    def is_concurrent(self) -> bool:
        """Tell whether it says CONCURRENTLY.

        CREATE INDEX, DROP INDEX, REINDEX, REFRESH MATERIALIZED VIEW and DETACH PARTITION may.
        """
        return Effect.CONCURRENT in self.effects

    @property
    def changes_column_type_with_using(self) -> bool:
        """Tell whether it changes a column's type by an expression: ALTER COLUMN … TYPE … USING."""
        return Effect.TYPE_WITH_USING in self.effects


def combined(text: str, statements: Iterable[Statement]) -> Statement:
    """Return the statement for a text of several statements, or of none.

    Parameters:
        text: the whole text.
        statements: its statements.
    """
    each = tuple(statements)
    effects = {effect for statement in each for effect in statement.effects} - _OF_ONE_STATEMENT
    if all(statement.is_read for statement in each):
        effects.add(Effect.READS)
    else:
        effects.discard(Effect.READS)
    return Statement(
        text,
        opaque=any(statement.opaque for statement in each),
        statements=each,
        changes=tuple(change for statement in each for change in statement.changes),
        effects=frozenset(effects),
    )
