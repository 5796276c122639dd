"""Whole databases as values to compare: the schema and all rows, with plain Alembic as oracle."""

from __future__ import annotations

import re

import alembic.command
from acceptance.support.processes import run_in_fork
from alembic.config import Config
from helpers import Project, dump, rows

from liftlock.settings import Address

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable,
    conindid::regclass::text, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace
ORDER BY 1, 2
"""
INDEXES = """
SELECT indexrelid::regclass::text, indisvalid, indisready, indisunique, indisprimary,
    indisreplident, pg_get_indexdef(indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = indrelid
WHERE relnamespace = 'public'::regnamespace
ORDER BY 1
"""
COLUMNS = """
SELECT attrelid::regclass::text, attname, attnotnull, atttypid::regtype::text, atttypmod,
    attidentity, attstattarget, attoptions, attacl::text, attstorage,
    attcollation::regcollation::text
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND attnum > 0 AND NOT attisdropped
ORDER BY 1, 2
"""
TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
RANDOM_COLUMNS = """
SELECT attname, atttypid IN ('integer'::regtype, 'bigint'::regtype) FROM pg_attribute
WHERE attrelid = '{}'::regclass AND attnum > 0 AND NOT attisdropped AND attname ~ '^(token|draw)'
"""
HELPER_OBJECTS = """
SELECT conname FROM pg_constraint WHERE conname LIKE 'liftlock%'
UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'liftlock%'
UNION ALL SELECT attname FROM pg_attribute WHERE attname LIKE 'liftlock%'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%liftlock%'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'liftlock'::regnamespace
"""
ADVISORY_LOCKS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
SESSIONS_OF_LIFTLOCK = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name LIKE 'liftlock %' AND datname = current_database()
"""
UNFINISHED = "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL"


def schema_of(address: Address, *, any_column_order: bool = False) -> tuple[object, ...]:
    """Return the whole schema, as pg_dump and the catalogs describe it.

    Parameters:
        address: the database.
        any_column_order: ignore the order of columns; a replacement column is the last one.
    """
    dumped = dump(address)
    if any_column_order:
        dumped = _with_sorted_columns(dumped)
    return dumped, rows(address, CONSTRAINTS), rows(address, INDEXES), rows(address, COLUMNS)


def _with_sorted_columns(dumped: str) -> str:
    """Sort the columns of each CREATE TABLE of a dump."""
    table = re.compile(r"(?<=^CREATE TABLE )(\S+ \()\n(.*?)\n(?=\);)", re.MULTILINE | re.DOTALL)

    def with_sorted_columns(match: re.Match[str]) -> str:
        columns = sorted(line.rstrip(",") for line in match[2].split("\n"))
        return "\n".join([match[1], *columns])

    return table.sub(with_sorted_columns, dumped)


def all_rows_of(address: Address, *, gapless: bool = False) -> dict[str, object]:
    """Return all rows of all tables; of random values only how many there are.

    Parameters:
        address: the database.
        gapless: compare numbers from a sequence too; a rollback leaves gaps in them.
    """
    return {table: _rows_of(address, table, gapless=gapless) for table in rows(address, TABLES)}


def _rows_of(address: Address, table: str, *, gapless: bool) -> tuple[object, ...]:
    """Return the rows of a table without its random columns, and the counts of these."""
    random_columns = rows(address, RANDOM_COLUMNS.format(table))
    names = ", ".join(repr(name) for name, _ in random_columns)
    row = f"to_jsonb(t) - ARRAY[{names}]::text[]"
    random_values = []
    for name, is_number in random_columns:
        if is_number and gapless:
            query = f'SELECT "{name}" FROM {table} ORDER BY 1'
        else:
            query = f'SELECT count("{name}"), count(DISTINCT "{name}") FROM {table}'
        random_values.append(rows(address, query))
    return rows(address, f"SELECT ({row})::text FROM {table} AS t ORDER BY 1"), random_values


def database_state(
    address: Address, *, any_column_order: bool = False, gapless: bool = False
) -> tuple[object, ...]:
    """Return the whole schema and all rows; see `schema_of` and `all_rows_of`."""
    schema = schema_of(address, any_column_order=any_column_order)
    return (*schema, all_rows_of(address, gapless=gapless))


def state_by_plain_alembic(
    project: Project,
    command: str,
    target: str,
    *,
    any_column_order: bool = False,
    gapless: bool = False,
) -> tuple[object, ...]:
    """Run plain Alembic on a project, and return the database's state: the expected one."""
    run = getattr(alembic.command, command)
    assert run_in_fork(lambda: run(Config(project.ini), target)) == 0
    return database_state(project.database, any_column_order=any_column_order, gapless=gapless)


def assert_nothing_is_left(address: Address) -> None:
    """Assert that no helper object, advisory lock or unfinished ledger row is left."""
    assert rows(address, HELPER_OBJECTS) == []
    assert rows(address, UNFINISHED) == [0]
    assert rows(address, "SELECT count(*) FROM liftlock.answers") == [0]
    assert rows(address, ADVISORY_LOCKS) == [0]


def sessions_of_liftlock(address: Address) -> int:
    """Return the number of liftlock's sessions in a database."""
    return int(rows(address, SESSIONS_OF_LIFTLOCK)[0])
