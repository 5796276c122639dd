"""The lint of prose, `.ci/prose.py`: what it finds, what it leaves alone, and where."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[4] / ".ci"


@pytest.fixture(scope="module")
def prose() -> Iterator[ModuleType]:
    """The script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        spec = importlib.util.spec_from_file_location("prose", FOLDER / "prose.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "prose", module)
        spec.loader.exec_module(module)
        yield module


def found(prose: ModuleType, path: str, source: str) -> list[tuple[int, str]]:
    """Return the lines and the phrases of all hits."""
    return [(hit.line, hit.phrase) for hit in prose.hits_in(path, source)]


@pytest.mark.parametrize(
    ("source", "phrase"),
    [
        ('"""Whether a table is small."""', "begins with Whether"),
        ('def f():\n    """What it finds."""', "begins with What"),
        ('def f():\n    """The table of a name."""', "docstring begins without a verb"),
        ('def f():\n    """Libpq\'s keywords."""', "docstring begins without a verb"),
        ("# Nobody waits.", "begins with Nobody"),
        ("x = 1  # it is tried anew", "anew"),
        ("LIMIT = 1\n'''How many rows are shown.'''", "begins with How"),
        ('raise NotNow("LL-X", f"{one} is told to wait", now="Wait.")', "told"),
        ('Event("step.done", "the view is put " "back")', "put back"),
        ('click.option("--x", help="Takes everything away.")', "take away"),
        ('Rule("LL-X", "what the old release reads is gone")', "begins with what"),
        ('liftlock.allow("LL-X", because="nobody reads it now")', "nobody"),
        ("def test_what_is_skipped() -> None: ...", "begins with What"),
    ],
)
def test_a_breach_in_python_is_found(prose: ModuleType, source: str, phrase: str) -> None:
    """Each kind of text is read: docstrings, comments, messages, titles and names of tests."""
    assert phrase in [name for _, name in found(prose, "a.py", source)]


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return the table of a name, or None where there is none."""',
        'def test_x() -> None:\n    """The run ends with exit code 4."""',
        'class A:\n    @property\n    def f(self) -> str:\n        """The address as text."""',
        '"""Reads ``told`` and `whatever` from a report."""',
        "# Which revisions are pending?",
        "# The replica is 3 s behind; it falls behind. The server is behind a pooler.",
        'sql = "the table behind it"',
        'told = path("behind it all")',
    ],
)
def test_other_python_is_left_alone(prose: ModuleType, source: str) -> None:
    """Code, identifiers in backticks, real questions and replication lag are no breach."""
    assert found(prose, "a.py", source) == []


def test_a_sentence_over_several_lines_is_read_as_one(prose: ModuleType) -> None:
    """The line of a hit is that of its words, not that of the block it stands in."""
    comment = (
        "x = 1\n# A trigger is disabled. It is put\n# back by the same revision.\n# Who waits."
    )
    docstring = '"""Summary.\n\nThe view is taken\naway. Whoever reads it fails.\n"""'
    assert found(prose, "a.py", comment) == [(2, "put back"), (4, "begins with Who")]
    assert found(prose, "a.py", docstring) == [
        (3, "take away"),
        (4, "begins with Whoever"),
        (4, "whoever"),
    ]


def test_markdown_is_read_by_blocks(prose: ModuleType) -> None:
    """Code, targets of links and questions are left out; headings may begin with any word."""
    source = """# What it does

Whether it waits depends. Who waits? [How it works](a.md) says it.

```sh
whatever
```

- How it works.
- How to add [a rule](#told-by-nobody)

| code | meaning |
|---|---|
| `LL-X` | Where the run is |

## What is taken away
"""
    assert found(prose, "a.md", source) == [
        (3, "begins with Whether"),
        (9, "begins with How"),
        (14, "begins with Where"),
        (16, "take away"),
    ]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.sql", "-- name: blockers\n-- Who holds a lock.\nSELECT 'Who' -- 1"),
        ("a.yml", "a: 1\n# Who holds a lock.\n"),
        ("Dockerfile", "FROM scratch\n# Who holds a lock.\n"),
    ],
)
def test_comments_of_other_files_are_read(prose: ModuleType, path: str, source: str) -> None:
    """Only comments count there: SQL, YAML and shell have no prose of their own."""
    assert found(prose, path, source) == [(2, "begins with Who")]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Add a rule\n\nIt finds triggers.", ""),
        ("Address the finding\n\nIt was reported.\n# Changes to be committed:", ""),
        ("Added a rule\n\nWhy.", "'Added' isn't an imperative"),
        ("Fixes a rule\n\nWhy.", "'Fixes' isn't an imperative"),
        ("An error is raised\n\nWhy.", "'An' isn't an imperative"),
        ("Tests: add one\n\nWhy.", "'Tests:' isn't an imperative"),
        ("Add a rule.\n\nWhy.", "the subject ends with a full stop"),
        ("Add a rule", "the body, which says why, is missing"),
        (f"Add {'x' * 69}\n\nWhy.", "the subject has 73 characters, 72 is the limit"),
    ],
)
def test_a_commit_message_has_an_imperative_subject_and_a_body(
    prose: ModuleType, message: str, fault: str
) -> None:
    """Each fault is named, with the subject; a good message has none."""
    subject = message.partition("\n")[0]
    assert list(prose.faults(message)) == ([f"{fault}: {subject}"] if fault else [])


def test_hits_are_counted_by_folder(prose: ModuleType) -> None:
    """The folder with most hits comes first, the total last."""
    hits = [prose.Hit(path, 1, "told", "told") for path in ("docs/a.md", "docs/b.md", "README.md")]
    assert prose.counted(hits) == ["     2 docs", "     1 .", "     3 in all"]
