"""Readers of prose: each yields the texts of a file that people read, with their lines."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

MESSAGE_CALLS = frozenset({"argument", "command", "echo", "fail", "group", "option", "skip"})
MESSAGE_KEYWORDS = frozenset({"because", "help", "message", "reason", "title"})
MARKER = re.compile(r" *(?:[-*+]|\d+\.) +|#+ |\|")
NOT_PROSE = re.compile(  # in Markdown: fenced code, remarks, code, the targets of links
    r"^ *(?P<fence>```|~~~).*?^ *(?P=fence)|<!--.*?-->|(?<=\])\([^)\s]*\)|<[^>\n]+>",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Passage:
    """A text with the line where it begins; its kind decides which rules are for it."""

    line: int
    text: str
    kind: str = "text"


Reader = Callable[[str], Iterator[Passage]]


def blank(match: re.Match[str]) -> str:
    """Replace a match by spaces, which keeps offsets and line numbers."""
    return re.sub(r"[^\n]", " ", match.group())


def reader_of(path: str) -> Reader | None:
    """Return the reader for a file, by its name; None where the file holds no prose."""
    suffix = PurePath(path).suffix
    if suffix == ".py":
        return python_passages
    if suffix in {".md", ".jinja"}:
        return markdown_passages
    if suffix == ".sql":
        return partial(commented_passages, marker="--")
    if suffix in {"", ".cfg", ".ini", ".mako", ".prod", ".sh", ".toml", ".yaml", ".yml"}:
        return commented_passages
    return None


def python_passages(source: str) -> Iterator[Passage]:
    """Yield the docstrings, messages, test names and comments of a Python file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _test_name(node)
        if isinstance(node, ast.Call):
            yield from _messages(node)
        yield from _docstrings(node)
    yield from _python_comments(source)


def _test_name(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Passage]:
    name = node.name.removeprefix("test_")
    if name != node.name:
        yield Passage(node.lineno, name.replace("_", " ").capitalize(), "test name")


def _docstrings(node: ast.AST) -> Iterator[Passage]:
    """Yield each text that stands alone: the first of a body, or that below a constant."""
    body = getattr(node, "body", None)
    for position, child in enumerate(body if isinstance(body, list) else []):
        value = child.value if isinstance(child, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            is_verbal = position == 0 and _begins_with_verb(node)
            kind = "function docstring" if is_verbal else "docstring"
            for line, text in _paragraphs(value.value, value.lineno):
                yield Passage(line, text, kind if line == value.lineno else "docstring")


def _begins_with_verb(node: ast.AST) -> bool:
    """Return whether a docstring has to: tests state behaviour, properties are nouns."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    return not node.name.startswith("test_") and not re.search(r"property|fixture", decorators)


def _paragraphs(text: str, line: int) -> Iterator[tuple[int, str]]:
    for paragraph in re.finditer(r"(?:[^\n]|\n(?!\s*\n))+", text):
        words = paragraph.group().lstrip()
        if words:
            yield line + text.count("\n", 0, paragraph.end() - len(words)), words


def _messages(call: ast.Call) -> Iterator[Passage]:
    """Yield the texts given to a class (an error, an event, a rule) or to the command line."""
    name = ast.unparse(call.func).rpartition(".")[2]
    is_message = name[:1].isupper() or name in MESSAGE_CALLS
    values = [word.value for word in call.keywords if is_message or word.arg in MESSAGE_KEYWORDS]
    for value in [*call.args, *values] if is_message else values:
        text = _literal(value)
        if text.count(" ") > 1:
            yield Passage(value.lineno, text, "title" if name == "Rule" else "message")


def _literal(node: ast.AST) -> str:
    """Return the text of a literal; a value in an f-string becomes an ellipsis."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _literal(node.left) + _literal(node.right)
    return ""


def _python_comments(source: str) -> Iterator[Passage]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start: token.string for token in tokens if token.type == tokenize.COMMENT}
    return _joined(comments, source.splitlines())


def commented_passages(source: str, marker: str = "#") -> Iterator[Passage]:
    """Yield the comments of a file where a marker begins them."""
    lines = source.splitlines()
    comment = re.compile(rf"(?:^|(?<=\s)){marker}(?!\s*name:).*")
    matches = [(number, comment.search(line)) for number, line in enumerate(lines, 1)]
    return _joined({(line, hit.start()): hit.group() for line, hit in matches if hit}, lines)


def _joined(comments: dict[tuple[int, int], str], lines: list[str]) -> Iterator[Passage]:
    """Join comments on lines of their own that follow each other, as sentences go over lines."""
    first, parts = 0, list[str]()
    for (number, column), comment in sorted(comments.items()):
        is_alone = not lines[number - 1][:column].strip()
        if parts and not (is_alone and number == first + len(parts)):
            yield Passage(first, "\n".join(parts))
            parts = []
        if not parts:
            first = number
        parts.append(comment.lstrip("#-! "))
    if parts:
        yield Passage(first, "\n".join(parts))


def markdown_passages(source: str) -> Iterator[Passage]:
    """Yield the paragraphs, headings, list items and table rows of a Markdown file."""
    first, parts = 0, list[str]()
    for number, line in enumerate([*NOT_PROSE.sub(blank, source).splitlines(), ""], 1):
        marker = MARKER.match(line)
        if parts and (marker or not line.strip()):
            yield _block(first, parts)
            parts = []
        if line.strip():
            first = first if parts else number
            parts.append(line)


def _block(first: int, lines: list[str]) -> Passage:
    text = MARKER.sub("", lines[0], count=1)
    kind = "heading" if lines[0].startswith("#") else "markdown"
    return Passage(first, "\n".join([text, *lines[1:]]).lstrip(), kind)
