"""Revision bodies that are written as Python functions, so that linters and editors see them.

A function's body is the body of `upgrade`; what follows a ``yield`` is the body of `downgrade`.
The functions are never called: their source text is written to revision files.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

CaseFunction = Callable[[], "Iterator[None] | None"]


@dataclass(frozen=True)
class Case:
    """The bodies of a revision.

    Parameters:
        upgrade, downgrade: the bodies, as source text.
        step: a step that the plan must contain, or "": proves that the online form was taken.
    """

    upgrade: str
    downgrade: str = "pass"
    step: str = ""

    @property
    def reorders_columns(self) -> bool:
        """Return whether a replacement column is swapped in, which is the table's last one."""
        return self.step == "swap"


def plan_contains(step: str) -> Callable[[CaseFunction], CaseFunction]:
    """Mark a case: the plan of its upgrade must contain this step."""

    def mark(function: CaseFunction) -> CaseFunction:
        function.__dict__["step"] = step
        return function

    return mark


def cases_of(module: ModuleType) -> dict[str, Case]:
    """Return the cases of a module, by their functions' names."""
    tree = ast.parse(inspect.getsource(module))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    cases = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        upgrade, downgrade = _bodies_of(node, inspect.getsource(getattr(module, node.name)))
        step = getattr(getattr(module, node.name), "step", "")
        cases[node.name] = Case(
            _with_imports(imports, upgrade), _with_imports(imports, downgrade), step
        )
    return cases


def _bodies_of(function: ast.FunctionDef, source: str) -> tuple[str, str]:
    """Split the source of a function at its ``yield``."""
    lines = source.splitlines()
    first = function.body[0].lineno - _first_line(function)
    body = textwrap.dedent("\n".join(lines[first:]))
    upgrade, _, downgrade = body.partition("\nyield\n")
    return upgrade.strip(), downgrade.strip() or "pass"


def _first_line(function: ast.FunctionDef) -> int:
    """Return the line of a function's first decorator, or of its ``def``."""
    return min([function.lineno, *(node.lineno for node in function.decorator_list)])


def _with_imports(imports: list[ast.Import | ast.ImportFrom], body: str) -> str:
    """Put those imports of a case's module before a body whose names the body uses.

    `op` and `sa` are imported by each revision file.
    """
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    needed = []
    for node in imports:
        for name in node.names:
            bound = name.asname or name.name
            if bound in used - {"op", "sa"} and isinstance(node, ast.ImportFrom):
                needed.append(f"from {node.module} import {name.name}")
            elif bound in used - {"op", "sa"}:
                needed.append(f"import {name.name}")
    return "\n".join([*needed, body])
