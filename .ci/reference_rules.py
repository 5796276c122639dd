"""Reference of the rules of ``liftlock check``, from their texts and examples."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.rules import ALL_RULES, TABLES
from liftlock.check.rules.rule import Example, FindingType, Rule


def pages() -> dict[str, str]:
    """Return the overview and one page for each rule, by path."""
    return {"rules.md": _overview(), **{f"rules/{rule.code}.md": _page(rule) for rule in ALL_RULES}}


def _overview() -> str:
    rows = [
        f"| [{rule.code}](rules/{rule.code}.md) | {rule.severity.value} | {rule.title} |"
        for rule in ALL_RULES
    ]
    parts = [
        "# Rules of `liftlock check`",
        "Generated from the rules by `.ci/reference.py`; tests execute the examples.",
        "How to use the rules: [check](../how-to/check.md).",
        "\n".join(["| rule | severity | title |", "|---|---|---|", *rows]),
        f"The examples are written for these tables:\n\n```sql\n{TABLES.strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _page(rule: FindingType) -> str:
    parts = [
        f"# {rule.code}",
        f"{rule.title} ({rule.severity.value}).",
        rule.why,
        rule.now,
    ]
    if isinstance(rule, Rule) and rule.only:
        parts.append(f"The rule applies only with `--as {rule.only}`.")
    parts += [
        "## Example with the finding",
        *_example(rule.bad),
        "## The same without it",
        *_example(rule.good),
    ]
    if rule.bad.upgrade:
        parts.append("The tables are those of [all rules](../rules.md).")
    parts += ["## Allow it", _allowance(rule)]
    return "\n\n".join(parts) + "\n"


def _allowance(rule: FindingType) -> str:
    configured = "add a line to `alembic.ini`, with the code that the finding shows"
    where = "see [check](../../how-to/check.md#what-is-allowed)"
    if isinstance(rule, Rule) and rule.placed:
        inline = f'`with liftlock.allow("{rule.code}", because="…"):`'
        return f"Put {inline} around the operation, or {configured}; {where}."
    return f"{configured[0].upper()}{configured[1:]}; {where}."


def _example(example: Example) -> Iterator[str]:
    """Yield the parts of an example, each as a code block with a heading."""
    if example.parents:
        lines = [
            f'{name}.py: revision = "{name}", down_revision = {_parents(parents)}'
            for name, parents in example.parents.items()
        ]
        yield _code("text", lines)
    if example.models:
        yield "The models:"
        yield _code("python", example.models.splitlines())
    if example.rows:
        yield "Rows of the database of `--data-url`:"
        yield _code("sql", example.rows.splitlines())
    if example.merged:
        yield "On the main branch:"
        yield _code("python", _function("upgrade", example.merged))
        yield "In the working folder:"
    if example.upgrade:
        lines = [*_function("upgrade", example.upgrade), ""]
        yield _code("python", lines + _function("downgrade", example.downgrade))


def _parents(parents: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in parents)
    return names if len(parents) == 1 else f"({names})"


def _function(name: str, body: str) -> list[str]:
    return [f"def {name}():", *(f"    {line}" for line in body.splitlines())]


def _code(language: str, lines: list[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])
