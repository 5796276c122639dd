"""Tokens of SQL text: the only module of the package with regular expressions that read SQL.

PostgreSQL's parser gives no tokens and rejects what it doesn't know. Tokens serve for texts that it
rejects, and to change a statement at one place without touching the rest of it.
https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LETTER = r"[^\x00-@\[-\^`{-\x7f]"
_LETTER_OR_DIGIT = r"[^\x00-/:-@\[-\^`{-\x7f]"
_IN_WORD = r"[^\x00-#%-/:-@\[-\^`{-\x7f]"
"""Letters, digits and $ as complements of the other ASCII characters: such sets compile quickly."""
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]++|--[^\n\r]*+)
    | (?P<comment>/\*)
    | (?P<string>[eE]'(?:[^'\\]|\\.|\\\Z|'')*+(?:'|\Z)
               | (?:[bBxXnN]|[uU]&)?'[^']*+(?:''[^']*+)*+(?:'|\Z))
    | (?P<name>(?:[uU]&)?"[^"]*+(?:""[^"]*+)*+(?:"|\Z))
    | (?P<dollar>\$(?:{_LETTER}{_LETTER_OR_DIGIT}*+)?\$)
    | (?P<parameter>\$\d+|%\([^)]*\)s|%s(?!{_IN_WORD}))
    | (?P<word>{_LETTER}{_IN_WORD}*+)
    | (?P<number>\.?\d[\w.]*+)
    | (?P<symbol>::|:=|(?:(?!--|/\*)[-+*/<>=~!@\#^&|`?])++|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PLACEHOLDER = re.compile(rb"%(?:%|\([^)]*\)[sbt]|[sbt](?![0-9A-Za-z_$\x80-\xff]))")
_BEFORE_LIST = re.compile(rb"(?:\bIN|\bVALUES)\s*\Z", re.IGNORECASE)
_JOINS = "EXCEPT|INTERSECT|JOIN|UNION"
_CHAINS = f"AT|BETWEEN|CASE|COLLATE|ILIKE|IN|IS|ISNULL|LIKE|NOT|NOTNULL|OPERATOR|SIMILAR|{_JOINS}"
_NESTS = re.compile(rf"[-+*/<>=~!@#%^&|`?(\[:]|\b(?:{_CHAINS})\b", re.IGNORECASE)
_CHAIN_WORDS = frozenset(_CHAINS.split("|"))
_JOIN_WORDS = frozenset(_JOINS.split("|"))
_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
_UNICODE_ESCAPE = re.compile(r"\\(?:\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4})|(\\))")
_OPENING, _CLOSING = frozenset("(["), frozenset(")]")


class TokenKind(enum.Enum):
    """The kinds of tokens; white space and comments are none."""

    WORD = "word"
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"
    SYMBOL = "symbol"


class Token(NamedTuple):
    """A token of SQL text.

    Parameters:
        kind: a keyword or unquoted name, a quoted name, a string, and so on.
        text: the token as it is written.
        start: the index of its first character in the text.
        end: the index after its last character.
    """

    kind: TokenKind
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """Return the word in capitals, or the symbol; empty for any other token."""
        if self.kind is TokenKind.WORD:
            return self.text.upper()
        return self.text if self.kind is TokenKind.SYMBOL else ""

    @property
    def is_name(self) -> bool:
        """Tell whether the token can be a name."""
        return self.kind is TokenKind.WORD or self.kind is TokenKind.NAME

    @property
    def value(self) -> str:
        """Return the name that PostgreSQL reads: folded to lower case, or without its quotes."""
        if self.kind is TokenKind.WORD:
            return fold(self.text)
        return unquote(self.text) if self.kind is TokenKind.NAME else self.text

    @property
    def content(self) -> str:
        """Return the text inside a string; backslash escapes are kept as they are written."""
        if self.text.startswith("$"):
            tag = self.text[: self.text.index("$", 1) + 1]
            return self.text.removeprefix(tag).removesuffix(tag)
        return self.text[self.text.index("'") + 1 :].removesuffix("'").replace("''", "'")


def fold(name: str) -> str:
    """Return an unquoted name as PostgreSQL folds it: ASCII letters in lower case."""
    if name.isascii():
        return name.lower()
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def unquote(name: str) -> str:
    """Return a quoted name without its quotes and with its Unicode escapes resolved."""
    text = name[name.index('"') + 1 :].removesuffix('"').replace('""', '"')
    return _UNICODE_ESCAPE.sub(_character, text) if name[0] in "uU" else text


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a text; an unterminated string or comment ends with the text.

    Parameters:
        text: any text; no text is refused.
    """
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return
        position = _end_of(text, match)
        group = match.lastgroup or ""
        if group not in {"space", "comment"}:
            kind = TokenKind.STRING if group == "dollar" else TokenKind(group)
            yield Token(kind, text[match.start() : position], match.start(), position)


def split(text: str) -> list[str]:
    """Split a text into its statements, without the semicolons between them.

    A semicolon within parentheses or within BEGIN ATOMIC … END belongs to its statement.
    """
    statements: list[str] = []
    start = depth = blocks = 0
    empty = True
    before = ""
    for token in tokenize(text):
        word = token.keyword
        if word == ";" and depth <= 0 and not blocks:
            statements += [] if empty else [text[start : token.start].strip()]
            start, depth, empty = token.end, 0, True
            continue
        empty = False
        depth += (word in _OPENING) - (word in _CLOSING and depth > 0)
        blocks += _opens_block(word, before, blocks)
        before = word
    return statements if empty else [*statements, text[start:].strip()]


def nesting(text: str) -> int:
    """Return an upper bound of the depth of a text's parse tree.

    Chains of operators, joins and parentheses make a tree deep. Short texts count as flat.
    """
    if len(text) < _FEW or len(_NESTS.findall(text)) < _FEW:
        return 0
    levels = [_Level()]
    for token in tokenize(text):
        word = token.keyword
        if word in _OPENING:
            levels.append(_Level())
        elif word in _CLOSING and len(levels) > 1:
            inner = levels.pop().depth
            levels[-1].inner = max(levels[-1].inner, inner + 1)
        else:
            levels[-1].add(word, token.kind)
    return sum(level.depth + 1 for level in levels)


def without_placeholders(text: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Replace a driver's placeholders by empty strings, and doubled percent signs by single ones.

    Returns the new text, and for each replacement its end in the new text and in the old one. An
    empty string is valid wherever a parameter is, and where some drivers paste literals.
    """
    pieces: list[bytes] = []
    ends: list[tuple[int, int]] = []
    position = length = 0
    for match in _PLACEHOLDER.finditer(text):
        listed = _BEFORE_LIST.search(text, max(0, match.start() - _WINDOW), match.start())
        value = b"%" if match[0] == b"%%" else b"('')" if listed else b"''"
        pieces += [text[position : match.start()], value]
        length += match.start() - position + len(value)
        position = match.end()
        ends.append((length, position))
    return b"".join([*pieces, text[position:]]), ends


def mask_literals(sql: str) -> str:
    """Replace strings and numbers by question marks.

    The result is hashed into keys that are stored in users' databases, so it must never change,
    although it is wrong for escape strings, dollar quotes and numbers within quoted names.
    """
    return _LITERAL.sub("?", sql)


class _Level:
    """The content of one pair of parentheses: chains of operators, separated by commas."""

    __slots__ = ("_chain", "_joins", "_longest", "inner")

    def __init__(self) -> None:
        self._chain = self._longest = self._joins = self.inner = 0

    @property
    def depth(self) -> int:
        return self._joins + max(self._chain, self._longest) + self.inner

    def add(self, word: str, kind: TokenKind) -> None:
        if word in {",", ";"}:
            self._longest = max(self._longest, self._chain)
            self._chain = 0
        elif word in _JOIN_WORDS:
            self._joins += 1
        elif kind is TokenKind.SYMBOL and word != ".":
            self._chain += len(word)
        elif word in _CHAIN_WORDS:
            self._chain += 1


_FEW = 500
"""Characters, or operators, that are too few for a deep tree."""
_WINDOW = 20
"""Bytes before a placeholder in which IN or VALUES is looked for."""


def _end_of(text: str, match: re.Match[str]) -> int:
    if match.lastgroup == "comment":
        return _end_of_comment(text, match.end())
    if match.lastgroup == "dollar":
        end = text.find(match[0], match.end())
        return len(text) if end < 0 else end + len(match[0])
    return match.end()


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def _opens_block(word: str, before: str, blocks: int) -> int:
    if word == "ATOMIC" and before == "BEGIN":
        return 1
    if not blocks:
        return 0
    return (word == "CASE") - (word == "END")


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(min(int(code, 16), 0x10FFFF)) if code else "\\"


def matching(tokens: Sequence[Token], opening: int) -> int:
    """Return the index of the token that closes a parenthesis; the last index where none does.

    Parameters:
        tokens: of the text.
        opening: the index of the parenthesis.
    """
    depth = 0
    for index in range(opening, len(tokens)):
        word = tokens[index].keyword
        depth += (word in _OPENING) - (word in _CLOSING)
        if depth == 0:
            return index
    return len(tokens) - 1
