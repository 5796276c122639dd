"""Entry point of the command ``liftlock``, with a fast path for ``exec`` at head.

``exec`` is part of each start of a container, and the imports of Python take most of its time:
click 30 ms, psycopg 150 ms, Alembic 350 ms. So the common case, a database at the head that the
baked manifest names, is decided here by the standard library and libpq alone. In all other cases
``cli`` decides again, with everything it has. The fast path understands one form of the command
line: ``exec [--require] -- COMMAND``.
"""

from __future__ import annotations

import os
import sys

_VERSIONS = "SELECT version_num FROM {table}"
_UNFINISHED_DOWNGRADES = (
    "SELECT revision FROM liftlock.executions WHERE finished_at IS NULL AND direction = 'down'"
)
_CONNECTION = {"application_name": "liftlock exec", "connect_timeout": "3"}


def main() -> None:
    """Run the command line."""
    command = command_to_start(sys.argv[1:])
    if command:
        try:
            os.execvp(command[0], command)
        except OSError:
            _run_cli()  # it explains the failure
            return
    _run_cli()


def _run_cli() -> None:
    from liftlock.cli import cli

    cli(prog_name="liftlock")


def command_to_start(arguments: list[str]) -> list[str] | None:
    """Return the command of ``exec`` if the database is at the manifest's head; else None."""
    command = command_of_exec(arguments)
    if not command:
        return None
    try:
        return command if _is_at_head() else None
    except Exception:  # noqa: BLE001 - cli meets the same error, and explains it
        return None


def command_of_exec(arguments: list[str]) -> list[str]:
    """Return the command in ``exec [--require] -- COMMAND``; empty for another command line."""
    if arguments[:1] != ["exec"]:
        return []
    rest = arguments[2:] if arguments[1:2] == ["--require"] else arguments[1:]
    return rest[1:] if rest[:1] == ["--"] else []


def _is_at_head() -> bool:
    """Tell whether the database has exactly the revisions that a fitting manifest requires."""
    from liftlock import libpq, settings

    found = settings.read()
    requirement = requirement_of(found.manifest)
    if found.address is None or requirement is None:
        return False
    version_table, required = requirement
    schema, _, table = version_table.rpartition(".")
    heads, unfinished_downgrades = libpq.columns(
        found.address.keywords() | _CONNECTION,
        _VERSIONS.format(table=f"{quoted(schema)}.{quoted(table)}"),
        _UNFINISHED_DOWNGRADES,
    )
    return sorted(heads) == required and not unfinished_downgrades


def quoted(name: str) -> str:
    """Return an identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def requirement_of(path: str) -> tuple[str, list[str]] | None:
    """Return the version table and the required revisions of a manifest.

    It is None where the manifest was baked from other revision files than those at hand.
    """
    import json

    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    sizes: dict[str, int] = manifest["files"]
    if not _are_at_hand(os.path.dirname(path) or ".", sizes):
        return None
    return manifest["version_table"], manifest["required"]


def _are_at_hand(folder: str, sizes: dict[str, int]) -> bool:
    """Tell whether the revision files are those of a manifest, by their names and sizes."""
    subfolders = {name.rpartition("/")[0] for name in sizes}
    present = {
        f"{subfolder}/{entry.name}"
        for subfolder in subfolders
        for entry in os.scandir(f"{folder}/{subfolder}")
        if entry.name.endswith(".py") and entry.name != "__init__.py"
    }
    return present == set(sizes) and all(
        os.stat(f"{folder}/{name}").st_size == size for name, size in sizes.items()
    )
