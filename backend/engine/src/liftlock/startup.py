"""The way in. At head, ``exec`` costs little more than one query: nothing is imported that isn't needed.

``exec`` is on the start-up path of every container, and Python's imports are what start-up time is
made of: click 30 ms, psycopg 150 ms, Alembic 350 ms. So the common case, a database at the head that
the baked manifest names, is decided here with the standard library and libpq alone; whatever else is
the case is left to ``cli``, which decides again with all it has. This is the one place that reads the
command line besides ``cli``, and it understands one form of it: ``exec [--require] -- COMMAND``.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run liftlock."""
    arguments = sys.argv[1:]
    command = _fast(arguments)
    if command:
        try:
            os.execvp(command[0], command)
        except OSError:
            pass  # cli tells it better
    from liftlock.cli import cli

    cli(prog_name="liftlock")


def _fast(arguments: list[str]) -> list[str] | None:
    """The command to become, when the database is at the head that the manifest names; else None."""
    if arguments[:1] != ["exec"]:
        return None
    rest = arguments[2:] if arguments[1:2] == ["--require"] else arguments[1:]
    if rest[:1] != ["--"] or len(rest) < 2:
        return None
    try:
        from liftlock import libpq, settings

        found = settings.read()
        proven = _manifest(found.manifest)
        if found.address is None or proven is None:
            return None
        version_table, required = proven
        schema, _, table = version_table.rpartition(".")
        heads, taken_back = libpq.columns(
            found.address,
            f"SELECT version_num FROM {_quoted(schema)}.{_quoted(table)}",
            "SELECT revision FROM liftlock.executions WHERE finished_at IS NULL AND direction = 'down'",
        )
    except Exception:
        return None
    return rest[1:] if sorted(heads) == required and not taken_back else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _manifest(path: str) -> tuple[str, list[str]] | None:
    """The version table and the required revisions, when the manifest's files are the ones at hand."""
    import json

    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    here = os.path.dirname(path) or "."
    sizes: dict[str, int] = manifest["files"]
    present = {
        f"{folder}/{entry.name}"
        for folder in {name.rpartition("/")[0] for name in sizes}
        for entry in os.scandir(f"{here}/{folder}")
        if entry.name.endswith(".py") and entry.name != "__init__.py"
    }
    fits = present == set(sizes) and all(
        os.stat(f"{here}/{name}").st_size == size for name, size in sizes.items()
    )
    return (manifest["version_table"], manifest["required"]) if fits else None
