"""Reference of the settings, from their declarations."""

from __future__ import annotations

from collections.abc import Iterable

from liftlock.revisions.project_config import KEYS, SECTION
from liftlock.variables import VARIABLES, Number, Variable

_NOTES = """\
An empty variable counts as unset. Options of the command line replace variables: see
[commands](cli.md). `liftlock doctor` shows the source of each value.

The database is named by `POSTGRES_SERVER`, `POSTGRES_USER`, `POSTGRES_PASSWORD` and `POSTGRES_DB`,
or by `DATABASE_URL`, or by `sqlalchemy.url` in `alembic.ini`. If the first two are both set, they
must mean the same address. libpq's own variables, such as `PGSSLROOTCERT`, keep their meaning."""


def page() -> str:
    """Return the page."""
    parts = [
        "# Settings",
        "Generated from their declarations by `.ci/reference.py`.",
        "## Environment variables",
        _NOTES,
        _table(VARIABLES),
        "## Keys of `alembic.ini`",
        (
            f"In the section `[{SECTION}]`. An example is in"
            " [check](../how-to/check.md#what-is-allowed)."
        ),
        _table(KEYS),
    ]
    return "\n\n".join(parts) + "\n"


def _table(variables: Iterable[Variable]) -> str:
    rows = [
        f"| `{variable.name}` | {_type(variable)} | {variable.default} | {variable.meaning} |"
        for variable in variables
    ]
    return "\n".join(["| name | type | default | meaning |", "|---|---|---|---|", *rows])


def _type(variable: Variable) -> str:
    return variable.demand() if isinstance(variable, Number) else variable.kind
