"""Rules of commit messages: an imperative subject of 72 characters, and a body that says why."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

SUBJECT_LENGTH = 72
NOT_IMPERATIVE = re.compile(
    r".*ed|.*s|.*:|A|An|How|Nobody|The|These|This|What|Whatever|Where|Whether|Which|Who|Whoever"
)
IMPERATIVE = re.compile(
    r"Access|Address|Bypass|Compress|Discuss|Embed|Exceed|Express|Feed|Focus|Guess|Need|Pass|"
    r"Press|Proceed|Process|Seed|Shed|Speed|Suppress"
)


def faults(message: str) -> Iterator[str]:
    """Yield what is wrong with a message, the subject's faults first.

    Parameters:
        message: subject, an empty line, body; git's remarks may follow.
    """
    text = re.sub(r"^#.*\n?", "", message, flags=re.MULTILINE)
    subject, _, body = text.strip().partition("\n")
    first = subject.split(" ", 1)[0]
    if len(subject) > SUBJECT_LENGTH:
        yield f"the subject has {len(subject)} characters, {SUBJECT_LENGTH} is the limit: {subject}"
    if NOT_IMPERATIVE.fullmatch(first) and not IMPERATIVE.fullmatch(first):
        yield f"{first!r} isn't an imperative: {subject}"
    if subject.endswith("."):
        yield f"the subject ends with a full stop: {subject}"
    if not body.startswith("\n"):
        yield f"the body, which says why, is missing: {subject}"


def messages(commits: str) -> Iterator[tuple[str, str]]:
    """Yield the short name and the message of each commit, merges left out.

    Parameters:
        commits: a range, such as ``origin/main..HEAD``.
    """
    command = ["git", "log", "--no-merges", "--format=%h%n%B%x00", commits, "--"]
    folder = Path(__file__).parent
    log = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    for entry in filter(str.strip, log.split("\0")):
        commit, _, message = entry.lstrip("\n").partition("\n")
        yield commit, message
