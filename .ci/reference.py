"""Write docs/reference/cli.md from the command line itself; with --check, only compare."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from liftlock.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"


def page() -> str:
    """The reference: each command's own help."""
    parts = ["# Commands\n\nMade from the command line itself by `.ci/reference.py`.\n", _help(cli, "liftlock")]
    parts += [f"## {name}\n\n" + _help(command, f"liftlock {name}") for name, command in sorted(cli.commands.items())]
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    return f"```text\n{command.get_help(context)}\n```\n"


def main() -> int:
    """Write, or compare."""
    if "--check" in sys.argv:
        return 0 if PAGE.exists() and PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
