"""Lint of prose: find sentences and phrases that the project's style excludes.

CONTRIBUTING.md gives the style with examples. Texts are docstrings, comments, messages, names of
tests, Markdown, and the comments of SQL, YAML and shell files. Code in backticks is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from commit_messages import faults, messages
from passages import Passage, blank, reader_of

ROOT = Path(__file__).parents[1]
LEFT_OUT = (
    "LICENSE",
    "backend/engine/LICENSE",
    "backend/engine/tests/projects/",
    "backend/uv.lock",
)
SUBJECTS = "What|Whatever|Whether|Who|Whoever|Whose|Nobody|Somebody|How|Which|Where|Wherever"
OPENING = re.compile(
    rf"(?:\A|[.!?][\"')*]*\s+|\|\s*)[*_(\[\"]*(?P<hit>{SUBJECTS})\b(?P<rest>[^.!?|]*(?P<end>[.!?|]|\Z))"
)
TITLE_OPENING = re.compile(rf"\A(?P<hit>{SUBJECTS})\b(?P<rest>.*(?P<end>\Z))", re.IGNORECASE)
NOT_VERBS = re.compile(
    r"(?:a|after|again|all|an|and|another|any|are|as|at|be|been|before|between|both|brief|by|"
    r"each|every|further|had|has|if|in|interrupted|is|it|its|long|new|no|none|nothing|now|of|"
    r"on|one|only|our|outside|over|per|roughly|since|so|some|something|that|the|their|there|"
    r"these|they|this|those|through|to|under|until|was|were|when|while|why|with|within|without|"
    r"you|your|attempts|columns|counters|facts|indexes|milliseconds|options|people|reminders|"
    r"revisions|rows|seconds|settings|signals|statements|steps|tables|text|triggers|values)"
)
ALLOWED = re.compile(
    r"\bbehind\s+(?:an?\s+|the\s+)?(?:\w+\s+)?(?:pgbouncer|proxy|pooler|load\s+balancer)s?\b"
    r"|\b(?:are|be|been|fallen|falls?|fell|is|lags?|lagging|was|were)\s+"
    r"(?:\d+\s+)?(?:(?:bytes|far|MB|ms|s|seconds)\s+)?behind\b",
    re.IGNORECASE,
)
PHRASES = {
    "behind": r"behind",
    "anew": r"anew",
    "told": r"told",
    "take away": r"(?:take|takes|taken|taking|took)\s+(?:\w+\s+)?away",
    "put back": r"(?:put|puts|putting)\s+(?:\w+\s+)?back",
    "but for": r"but\s+for",
    "nobody": r"nobody",
    "somebody": r"somebody",
    "at its door": r"at\s+(?:its|the|their)\s+door",
    "hear of": r"(?:heard?|hears|hearing)\s+of",
    "own accord": r"own\s+accord",
    "lay bare": r"(?:lay|lays|laid)\s+bare",
    "whoever": r"whoever",
    "whatever": r"whatever",
}
ANY_PHRASE = re.compile(rf"\b(?:{'|'.join(PHRASES.values())})\b", re.IGNORECASE)
CODE = re.compile(r"(`+)[^`]+\1")


@dataclass(frozen=True)
class Hit:
    """A place that breaks a rule of the style."""

    path: str
    line: int
    phrase: str
    text: str

    def __str__(self) -> str:
        """Write the hit the way editors and CI servers expect it."""
        return f"{self.path}:{self.line}: {self.phrase}: {self.text}"


def tracked() -> list[str]:
    """Return the project's own files, with those that aren't committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = (name for name in sorted(set(listed.stdout.splitlines())) if reader_of(name))
    return [name for name in paths if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def hits_in(path: str, source: str) -> Iterator[Hit]:
    """Yield what a file's prose breaks, each place once.

    Parameters:
        path: of the file, which decides how it is read.
        source: its text.
    """
    reader = reader_of(path)
    passages = reader(source) if reader else iter(())
    for passage in dict.fromkeys(passages):
        text = CODE.sub(lambda code: blank(code).replace(" ", "x"), passage.text)
        for offset, phrase in sorted(_breaches(Passage(passage.line, text, passage.kind))):
            line = passage.line + text.count("\n", 0, offset)
            yield Hit(path, line, phrase, _excerpt(passage.text, offset))


def _breaches(passage: Passage) -> Iterator[tuple[int, str]]:
    """Yield the offset and the name of each breach in a passage."""
    yield from _openings(passage)
    if passage.kind == "function docstring":
        first = passage.text.split(maxsplit=1)[0].rstrip(",;:.").lower()
        if NOT_VERBS.fullmatch(first) or first.endswith("'s"):
            yield 0, "docstring begins without a verb"
    for match in ANY_PHRASE.finditer(ALLOWED.sub(blank, passage.text)):
        yield match.start(), _name_of(match.group())


def _openings(passage: Passage) -> Iterator[tuple[int, str]]:
    if passage.kind == "heading":
        return
    opening = TITLE_OPENING if passage.kind == "title" else OPENING
    for match in opening.finditer(passage.text):
        is_title = passage.text[: match.start("hit")].endswith("[")
        is_how_to = passage.kind == "markdown" and match["rest"].startswith(" to ")
        if match["end"] != "?" and not is_title and not is_how_to:
            yield match.start("hit"), f"begins with {match['hit']}"


def _name_of(words: str) -> str:
    """Return the name of the phrase that words are a form of."""
    return next(name for name, form in PHRASES.items() if re.fullmatch(form, words, re.IGNORECASE))


def _excerpt(text: str, offset: int) -> str:
    """Return the words around a hit, as one line."""
    return " ".join(text[max(offset - 20, 0) : offset + 60].split())


def counted(hits: list[Hit]) -> list[str]:
    """Return how many hits each folder has, the largest number first."""
    folders = Counter(str(Path(hit.path).parent) for hit in hits)
    total = f"{len(hits):6} in all"
    return [f"{number:6} {folder}" for folder, number in folders.most_common()] + [total]


def prose_lines(paths: tuple[str, ...], *, count: bool) -> list[str]:
    """Return a line for each hit in the files, or one for each folder."""
    names = [name for name in paths or tracked() if not name.startswith(LEFT_OUT)]
    hits = [hit for name in names for hit in hits_in(name, (ROOT / name).read_text())]
    return counted(hits) if count and hits else [str(hit) for hit in hits]


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--count", is_flag=True, help="Print the number of hits of each folder.")
@click.option("--commits", metavar="BASE..HEAD", help="Check the messages of these commits.")
@click.option("--message", type=click.Path(path_type=Path), help="Check the message in a file.")
def main(paths: tuple[str, ...], commits: str, message: Path | None, *, count: bool) -> None:
    """Check the prose of PATHS (relative to the project), or of all tracked files."""
    if message:
        lines = list(faults(message.read_text()))
    elif commits:
        lines = [f"{name}: {fault}" for name, text in messages(commits) for fault in faults(text)]
    else:
        lines = prose_lines(paths, count=count)
    click.echo("\n".join(lines), nl=bool(lines))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
