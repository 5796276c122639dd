"""Reference of the command line, from each command's help."""

from __future__ import annotations

import click

from liftlock.cli import cli

_WIDTH = 100


def page() -> str:
    """Return the page."""
    sections = [
        f"## {name}\n\n{_help(command, f'liftlock {name}')}"
        for name, command in sorted(cli.commands.items())
    ]
    head = "# Commands\n\nGenerated from the command line by `.ci/reference.py`.\n"
    return "\n".join([head, _help(cli, "liftlock"), *sections])


def _help(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH
    )
    return f"```text\n{command.get_help(context)}\n```\n"
