"""Reference of the persisted formats, from the SQL and the classes that define them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "backend" / "engine" / "src" / "liftlock"
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS liftlock\.(\w+) \((.*?)\n\);", re.DOTALL)
_COMMENT = re.compile(r"COMMENT ON TABLE liftlock\.(\w+) IS\s+'((?:[^']|'')*)';")
_VERSION = re.compile(r"INSERT INTO liftlock\.ledger \(version\) VALUES \((\d+)\)")


@dataclass(frozen=True)
class Format:
    """A class whose fields are persisted.

    Parameters:
        title: heading of its section.
        text: introduction of its section.
        path: module of the class.
        name: name of the class.
        renamed: persisted names of fields, where they differ; or the name of a constant with them.
    """

    title: str
    text: str
    path: str
    name: str
    renamed: str | Mapping[str, str] = ""


FORMATS = (
    Format(
        "Recipe",
        "`liftlock.steps.recipe` holds the steps of an operation as a JSON list, until its revision"
        " is finished. Keys of a step:",
        "model/step.py",
        "Step",
        "_PERSISTED_NAMES",
    ),
    Format(
        "Cursor of a backfill",
        "`liftlock.steps.cursor` holds the position of a backfill as a JSON object:",
        "postgres/cursor.py",
        "Cursor",
    ),
    Format(
        "Manifest",
        "`liftlock bake` writes `liftlock.json`, a JSON object with the key `format` and these:",
        "model/manifest.py",
        "Manifest",
        {"chain": "revisions"},
    ),
)


def page() -> str:
    """Return the page."""
    parts = [
        "# Persisted formats",
        (
            "Generated from the code that defines them by `.ci/reference.py`. Names in them stay"
            " the same between releases, because users' databases and files have them."
        ),
        *_ledger(),
    ]
    for described in FORMATS:
        if (SOURCE / described.path).exists():
            parts += [f"## {described.title}", described.text, _fields(described)]
    parts += [
        "## Report of `liftlock check`",
        (
            "`liftlock --format json check` writes it, and `--output json=FILE`; its JSON schema is"
            " [check.schema.json](check.schema.json)."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _ledger() -> Iterator[str]:
    sql = (SOURCE / "postgres" / "ledger.sql").read_text()
    comments = {name: text.replace("''", "'") for name, text in _COMMENT.findall(sql)}
    version = max(_VERSION.findall(sql), key=int)
    yield "## Ledger"
    yield (
        "The schema `liftlock` in the migrated database. The application doesn't need it. Its"
        f" format is {version}: a liftlock that knows only an older format refuses to write."
    )
    for name, body in _TABLE.findall(sql):
        yield f"### `liftlock.{name}`"
        yield comments[name]
        rows = [f"| `{column}` | {definition} |" for column, definition in _columns(body)]
        yield "\n".join(["| column | definition |", "|---|---|", *rows])


def _columns(body: str) -> Iterator[tuple[str, str]]:
    for line in body.strip().splitlines():
        column, _, definition = line.strip().rstrip(",").partition(" ")
        if column.islower():
            yield column, f"`{definition}`"


def _fields(described: Format) -> str:
    tree = ast.parse((SOURCE / described.path).read_text())
    (found,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == described.name
    )
    renamed = described.renamed or {}
    if isinstance(renamed, str):
        renamed = _mapping(tree, renamed)
    rows = [
        f"| `{renamed.get(name, name)}` | {meaning} |"
        for name, meaning in parameters(ast.get_docstring(found) or "")
    ]
    return "\n".join(["| key | meaning |", "|---|---|", *rows])


def _mapping(tree: ast.Module, name: str) -> dict[str, str]:
    """Return a dictionary that a module assigns to a name."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return dict(ast.literal_eval(node.value))
    message = f"no assignment to {name}"
    raise LookupError(message)


def parameters(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield names and meanings of the section ``Parameters:`` of a docstring."""
    section = docstring.partition("Parameters:\n")[2]
    joined = re.sub(r"\n {6,}", " ", section)
    for line in joined.splitlines():
        match = re.fullmatch(r"    (\w+(?:, \w+)*): (.*)", line)
        if match:
            meaning = match[2].replace("``", "`").replace("|", "\\|")
            yield from ((name, meaning) for name in match[1].split(", "))
