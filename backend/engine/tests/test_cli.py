"""Parsing of the command line."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from liftlock.cli import cli
from liftlock.cli_check import output_files
from liftlock.cli_options import run_command
from liftlock.console import Console
from liftlock.version import __version__

COMMANDS = {
    "backfill",
    "bake",
    "check",
    "doctor",
    "downgrade",
    "drift",
    "exec",
    "plan",
    "status",
    "upgrade",
    "wait",
}


def test_commands() -> None:
    """One for each module of ``commands``."""
    assert set(cli.commands) == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command(command: str) -> None:
    """It is shown without a project or a database."""
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_version() -> None:
    """The one of the distribution."""
    assert __version__ in CliRunner().invoke(cli, ["--version"]).output


def test_unknown_option_is_a_usage_error() -> None:
    """With click's exit code, which is that of wrong settings as well."""
    assert CliRunner().invoke(cli, ["upgrade", "--nosuch"]).exit_code == 2


def test_wrong_variable_is_an_error_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else is done."""
    monkeypatch.setenv("LIFTLOCK_WAIT", "soon")
    result = CliRunner().invoke(cli, ["wait"])
    assert result.exit_code == 2
    assert "LL-SETTINGS-INVALID" in result.output


def test_output_files() -> None:
    """Each kind has a writer."""
    console = Console(as_json=False, config=None, x_arguments=())
    ((write, path),) = output_files(console, ["json=report.json"])
    assert path == Path("report.json")
    assert write.__module__ == "liftlock.check.formats.json"


@pytest.mark.parametrize("wanted", ["nosuch=a", "json", "json="])
def test_output_that_is_not_understood(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the option as it was given."""
    console = Console(as_json=False, config=None, x_arguments=())
    with pytest.raises(SystemExit) as ended:
        output_files(console, [wanted])
    assert ended.value.code == 2
    assert f"--output {wanted} " in capsys.readouterr().err


def test_lost_connection_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a session of liftlock's own, at any place of a command."""

    def call(_settings: object, _signals: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with pytest.raises(SystemExit) as ended:
        run_command(Console(as_json=False, config=None, x_arguments=()), call)
    assert ended.value.code == 4
    assert "LL-CONNECTION-LOST" in capsys.readouterr().err


def test_other_errors_of_a_command_are_raised() -> None:
    """They are faults of liftlock."""

    def call(_settings: object, _signals: object) -> None:
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        run_command(Console(as_json=False, config=None, x_arguments=()), call)
