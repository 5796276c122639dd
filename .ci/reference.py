"""Write docs/reference: the command line, and a page for each rule, from themselves; with --check, only compare."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from liftlock.check.data_checks import DATA, UNSEEN
from liftlock.check.rules import RULES, TABLES
from liftlock.check.rules.chain import HEADS, MODELS, OFFLINE
from liftlock.check.rules.repeatability import EDITED
from liftlock.check.rules.rule import Example, FindingType, Rule
from liftlock.cli import cli

RULED = (*RULES, EDITED, HEADS, MODELS, OFFLINE, DATA, UNSEEN)
FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def commands() -> str:
    """Each command's own help."""
    parts = [
        "# Commands\n\nMade from the command line itself by `.ci/reference.py`.\n",
        _help(cli, "liftlock"),
    ]
    parts += [
        f"## {name}\n\n" + _help(command, f"liftlock {name}")
        for name, command in sorted(cli.commands.items())
    ]
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
    return f"```text\n{command.get_help(context)}\n```\n"


def rules() -> str:
    """All rules."""
    rows = [
        f"| [{one.code}](rules/{one.code}.md) | {one.severity.value} | {one.title} |"
        for one in RULED
    ]
    head = [
        "# Rules of `liftlock check`",
        "Made from the rules themselves by `.ci/reference.py`; their examples are run by the tests.",
        "How to use them: [check](../how-to/check.md).",
        "\n".join(["| rule | severity | finds that |", "|---|---|---|", *rows]),
        f"The examples are written for these tables:\n\n```sql\n{TABLES.strip()}\n```",
    ]
    return "\n\n".join(head) + "\n"


def rule_page(rule: FindingType) -> str:
    """A rule, with its examples; or what else is found."""
    parts = [
        f"# {rule.code}",
        f"{rule.severity.value.capitalize()}: {rule.title}. {rule.why}",
        rule.now,
    ]
    if isinstance(rule, Rule) and rule.only:
        parts.append(f"Looked for with `--as {rule.only}` alone.")
    if isinstance(rule, Rule) and rule.bad.upgrade:
        parts += [
            f"Found:\n\n{_example(rule.bad)}",
            f"Clean:\n\n{_example(rule.good)}",
            "The tables are those of [all rules](../rules.md).",
        ]
    inline = (
        f'`with liftlock.allow("{rule.code}", because="…"):` around it, or '
        if isinstance(rule, Rule) and rule.placed
        else ""
    )
    configured = "a line in `alembic.ini`, with the code that the finding shows"
    parts.append(
        f"Where it is meant: {inline}{configured}; see [check](../../how-to/check.md#what-is-allowed)."
    )
    return "\n\n".join(parts) + "\n"


def _example(one: Example) -> str:
    bodies = [("upgrade", one.upgrade), ("downgrade", one.downgrade)]
    lines = [
        line
        for name, body in bodies
        for line in (f"def {name}():", *(f"    {line}" for line in body.splitlines()), "")
    ]
    return "\n".join(["```python", *lines[:-1], "```"])


def main() -> int:
    """Write, or compare."""
    pages = {
        "cli.md": commands(),
        "rules.md": rules(),
        **{f"rules/{one.code}.md": rule_page(one) for one in RULED},
    }
    there = {f"rules/{one.name}" for one in (FOLDER / "rules").glob("*")}
    if "--check" in sys.argv:
        same = all(
            (FOLDER / name).exists() and (FOLDER / name).read_text() == text
            for name, text in pages.items()
        )
        return int(not same or not there <= set(pages))
    (FOLDER / "rules").mkdir(exist_ok=True)
    for name in there - set(pages):
        (FOLDER / name).unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
