"""Reference of the errors, from the calls in the source that create them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from liftlock import errors
from liftlock.check.rules import ALL_RULES

SOURCE = Path(__file__).parents[1] / "backend" / "engine" / "src"
FAMILIES = {
    family.__name__: family
    for family in (errors.SettingsError, errors.UnsafeRevision, errors.NotNow, errors.StepFailed)
}
_REFUSAL = "refuse_unless_allowed"
_PROBLEM = "ConnectionProblem"
_PREFIX = "LL-"
_UNKNOWN = "…"


@dataclass(frozen=True, order=True)
class Entry:
    """One place that creates an error.

    Parameters:
        code: the code.
        family: names of the classes that it may have.
        path: the module.
        what: template of the fact; expressions stand in braces.
        why: template of the reason.
        now: template of the remedy.
    """

    code: str
    family: tuple[str, ...]
    path: str
    what: str
    why: str
    now: str


def page() -> str:
    """Return the page."""
    by_code: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(set(entries())):
        by_code[entry.code].append(entry)
    parts = [
        "# Errors",
        (
            "Generated from the source by `.ci/reference.py`. Each error ends with the address of"
            " its entry here. Expressions stand in braces, for example the name of a table."
        ),
        "Findings of `liftlock check` have pages of their own: [rules](rules.md).",
        _families(),
        _index(by_code),
    ]
    for code, found in sorted(by_code.items()):
        parts += [f"## {code}", *_section(code, found)]
    return "\n\n".join(parts) + "\n"


def _families() -> str:
    rows = [
        f"| `{name}` | {family.exit_code} | {(family.__doc__ or '').partition(chr(10))[0]} |"
        for name, family in FAMILIES.items()
    ]
    return "\n".join(["| family | exit code | meaning |", "|---|---|---|", *rows])


def _index(by_code: Mapping[str, list[Entry]]) -> str:
    rows = {
        code: f"| [{code}](#{code.lower()}) | {', '.join(_family_names(found))} |"
        for code, found in by_code.items()
    }
    for rule in ALL_RULES:
        page = f"[{rule.code}](rules/{rule.code}.md)"
        rows.setdefault(rule.code, f"| {page} | finding of `check` |")
    lines = [rows[code] for code in sorted(rows)]
    return "\n".join(["| code | family |", "|---|---|", *lines])


def _family(name: str) -> str:
    """Return a family, its exit code and who must act, such as "the deployer must act"."""
    acts = (FAMILIES[name].__doc__ or "").partition(":")[0]
    return f"`{name}`, exit code {FAMILIES[name].exit_code}: {acts[0].lower()}{acts[1:]}"


def _family_names(found: Iterable[Entry]) -> list[str]:
    return sorted({name for entry in found for name in entry.family})


def _section(code: str, found: list[Entry]) -> Iterator[str]:
    descriptions = (_family(name) for name in _family_names(found))
    yield f"{'; or '.join(descriptions)}."
    if code in {rule.code for rule in ALL_RULES}:
        yield f"It is a rule of `liftlock check` as well: [{code}](rules/{code}.md)."
    for entry in found:
        lines = [entry.what, entry.why, entry.now]
        message = "\n".join(line for line in lines if line)
        yield f"In `{entry.path}`:\n\n```text\n{message}\n```"


def entries() -> Iterator[Entry]:
    """Yield the places that create errors."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = Module(path)
        for function in module.functions():
            yield from module.entries_of(function)


class Module:
    """A module of the source.

    Parameters:
        path: its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path.relative_to(SOURCE))
        self.tree = ast.parse(path.read_text())
        self.constants = dict(_assignments(self.tree.body))
        self.families = dict(self._subclasses()) | {name: name for name in FAMILIES}

    def _subclasses(self) -> Iterator[tuple[str, str]]:
        """Yield the module's own subclasses of a family, which stand for that family."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    if ast.unparse(base) in FAMILIES:
                        yield node.name, ast.unparse(base)

    def functions(self) -> Iterator[ast.AST]:
        """Yield the functions, and the module's own level."""
        nested = (ast.FunctionDef, ast.AsyncFunctionDef)
        yield from (node for node in ast.walk(self.tree) if isinstance(node, nested))
        defined = (*nested, ast.ClassDef)
        yield ast.Module([node for node in self.tree.body if not isinstance(node, defined)], [])

    def entries_of(self, function: ast.AST) -> Iterator[Entry]:
        """Yield the errors that a function creates."""
        known = self.constants | dict(_assignments(ast.walk(function)))
        for node in _own_nodes(function):
            if isinstance(node, ast.Call):
                yield from self._entries_of_call(node, known)

    def _entries_of_call(self, call: ast.Call, known: Mapping[str, ast.expr]) -> Iterator[Entry]:
        name = ast.unparse(call.func).rpartition(".")[2]
        given = {word.arg: word.value for word in call.keywords if word.arg}
        if name == _PROBLEM:
            yield self._problem(call, given)
            return
        code = text_of(call.args[0], known) if call.args else ""
        if not code.startswith(_PREFIX) or "{" in code:
            return
        family = self._family(name, call.func, known)
        if not family:
            return
        refuses = name == _REFUSAL
        what = given.get("what") if refuses else (call.args[1:2] or [None])[0]
        now = given.get("remedy" if refuses else "now")
        yield Entry(
            code,
            family,
            self.path,
            text_of(what, known),
            text_of(given.get("why"), known),
            text_of(now, known),
        )

    def _family(
        self, name: str, function: ast.expr, known: Mapping[str, ast.expr]
    ) -> tuple[str, ...]:
        """Return the families of a call; none for a call that creates no error."""
        if name == _REFUSAL:
            return ("UnsafeRevision",)
        if name in self.families:
            return (self.families[name],)
        value = known.get(name, function) if isinstance(function, ast.Name) else function
        if isinstance(value, ast.IfExp):
            names = (ast.unparse(value.body), ast.unparse(value.orelse))
            return tuple(self.families[name] for name in names if name in self.families)
        return ()

    def _problem(self, call: ast.Call, given: Mapping[str, ast.expr]) -> Entry:
        """Return the error for a problem of connecting; ``postgres.probe`` makes its code."""
        kind = text_of(call.args[0] if call.args else given.get("kind"), {})
        passes = ast.literal_eval(given["passes"])
        family = "NotNow" if passes else "SettingsError"
        code = f"{_PREFIX}{kind.upper().replace(' ', '-')}"
        what = f"{kind}: {{address}}: {{words}}"
        return Entry(code, (family,), self.path, what, "", text_of(given["now"], {}))


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions in it."""
    ahead = list(ast.iter_child_nodes(function))
    while ahead:
        node = ahead.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            ahead += ast.iter_child_nodes(node)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def text_of(node: ast.expr | None, known: Mapping[str, ast.expr]) -> str:
    """Return the text of an expression, with the parts that vary in braces.

    Parameters:
        node: the expression; None for none.
        known: expressions that are assigned to names.
    """
    match node:
        case None:
            text = ""
        case ast.Constant(value=str(value)):
            text = value
        case ast.JoinedStr(values=values):
            text = "".join(text_of(value, known) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            text = text_of(left, known) + text_of(right, known)
        case ast.IfExp(body=body, orelse=otherwise):
            text = _either(text_of(body, known), text_of(otherwise, known))
        case ast.Name(id=name) if name in known:
            rest = {other: value for other, value in known.items() if other != name}
            text = text_of(known[name], rest)
        case ast.FormattedValue(value=value):
            text = _part(value, known)
        case _:
            text = _part(node, known)
    return text


def _either(one: str, other: str) -> str:
    return f"{one} / {other}" if one and other else f"[{one or other}]"


def _part(node: ast.expr, known: Mapping[str, ast.expr]) -> str:
    """Return the text of a constant, else the name of a value in braces."""
    match node:
        case ast.Name(id=name) if isinstance(known.get(name), ast.Constant | ast.JoinedStr):
            return text_of(node, known)
        case ast.Constant() | ast.JoinedStr():
            return text_of(node, known) if isinstance(node, ast.JoinedStr) else str(node.value)
    return f"{{{_name(node)}}}"


def _name(node: ast.expr) -> str:
    """Return a name for the value of an expression."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case (
            ast.Call(func=ast.Attribute(attr="join"), args=[value])
            | ast.Call(func=ast.Name(), args=[value, *_])
            | ast.Call(func=ast.Attribute(value=value))
            | ast.Subscript(value=value)
            | ast.BoolOp(values=[value, *_])
            | ast.GeneratorExp(elt=value)
            | ast.ListComp(elt=value)
        ):
            return _name(value)
    return _UNKNOWN
