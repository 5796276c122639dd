"""The section ``[liftlock]`` of ``alembic.ini``."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from liftlock.errors import SettingsError
from liftlock.model.revision import Chain, Revision
from liftlock.revisions.project import Project
from liftlock.revisions.project_config import ProjectConfig, project_config

CHAIN = Chain.of([Revision("a"), Revision("b", ("a",)), Revision("c", ("b",))])


def read(folder: Path, section: str | None) -> ProjectConfig:
    """Return the settings of a project with three revisions."""
    path = folder / "alembic.ini"
    text = f"[alembic]\nscript_location = {folder}\n"
    path.write_text(text if section is None else f"{text}\n[liftlock]\n{section}\n")
    config = Config(str(path))
    return project_config(Project(config, ScriptDirectory.from_config(config), CHAIN))


@pytest.mark.parametrize("section", [None, "", "allow =\nroles =\nstart_after ="])
def test_nothing_is_set(tmp_path: Path, section: str | None) -> None:
    """The section, and each of its options, may be missing or empty."""
    assert read(tmp_path, section) == ProjectConfig({}, frozenset(), ())


def test_allowances_hold_for_one_revision_or_for_all(tmp_path: Path) -> None:
    """The reason of the revision itself comes first; colons may be part of a reason."""
    config = read(
        tmp_path,
        "allow =\n"
        "  LL-DATA-LOSS b: never filled: see the report\n"
        "  LL-DATA-LOSS: empty tables only\n"
        "\n"
        "  LL-TABLE-REWRITE  c : small",
    )
    assert config.allowances == {
        ("LL-DATA-LOSS", "b"): "never filled: see the report",
        ("LL-DATA-LOSS", ""): "empty tables only",
        ("LL-TABLE-REWRITE", "c"): "small",
    }
    assert config.reason("LL-DATA-LOSS", "b") == "never filled: see the report"
    assert config.reason("LL-DATA-LOSS", "c") == "empty tables only"
    assert config.reason("LL-DATA-LOSS") == "empty tables only"
    assert config.reason("LL-TABLE-REWRITE", "a") == ""


@pytest.mark.parametrize(
    "line", ["LL-DATA-LOSS b", "LL-DATA-LOSS b:", "LL-DATA-LOSS: ", "DATA-LOSS: reason", ": reason"]
)
def test_allowance_without_code_or_reason(tmp_path: Path, line: str) -> None:
    """The message has the file, the line and an example."""
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, f"allow = {line}")
    error = raised.value
    assert error.code == "LL-ALLOW-SYNTAX"
    assert error.what.startswith(f"{tmp_path / 'alembic.ini'}: ")
    assert error.what.endswith(line.strip())
    assert "[liftlock]\n  allow =\n      LL-DATA-LOSS 3f2a91: the column" in error.now
    assert error.why


def test_start_after_excuses_a_revision_and_all_before_it(tmp_path: Path) -> None:
    """A project that starts to use the check has old revisions that can't be changed."""
    assert read(tmp_path, "start_after = b").excused == {"a", "b"}


def test_start_after_names_an_unknown_revision(tmp_path: Path) -> None:
    """The command that lists the revisions is in the message."""
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, "start_after = gone")
    assert raised.value.code == "LL-START-AFTER-UNKNOWN"
    assert "start_after names gone" in raised.value.what
    assert "\n  alembic history" in raised.value.now
    assert raised.value.why


@pytest.mark.parametrize("text", ["app, reader", "app,reader,", "\n  app\n  reader\n"])
def test_roles_are_separated_by_commas_or_lines(tmp_path: Path, text: str) -> None:
    """They are created on the server of a shadow."""
    assert read(tmp_path, f"roles = {text}").roles == ("app", "reader")
