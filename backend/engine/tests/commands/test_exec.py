"""Commands that migrate the database themselves."""

from __future__ import annotations

import pytest

from liftlock.commands.exec import manages_schema_itself


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["alembic", "upgrade", "head"], True),
        (["/usr/bin/alembic", "upgrade", "head"], True),
        (["./run-migrations.sh"], True),
        (["bash"], True),
        (["psql", "-c", "SELECT 1"], True),
        (["python", "-m", "alembic", "upgrade", "head"], True),
        (["python3.12", "-m", "liftlock", "upgrade"], True),
        (["python", "-m", "service"], False),
        (["python", "-m"], False),
        (["python", "alembic"], False),
        (["uvicorn", "app:app"], False),
        ([], False),
    ],
)
def test_manages_schema_itself(command: list[str], *, expected: bool) -> None:
    """A shell is included, because its user may migrate."""
    assert manages_schema_itself(command) is expected
