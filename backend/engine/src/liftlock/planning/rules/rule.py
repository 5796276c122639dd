"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from liftlock.model.checked import Checked
from liftlock.model.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class Example:
    """Bodies of a revision: its upgrade and its downgrade, on the tables of the examples."""

    upgrade: str
    downgrade: str


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a rule hits.

    Parameters:
        what: what was found, with the reader's own names.
        line: in the revision's file.
        allowed: what the revision allows there, with reasons.
        now: another remedy than the rule's own.
        why: another reason than the rule's own.
        code: another code than the rule's own.
    """

    what: str
    line: int | None = None
    allowed: tuple[tuple[str, str], ...] = ()
    now: str = ""
    why: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A judgement of a revision.

    Parameters:
        code: its stable name.
        title: what it finds, in a few words.
        severity: how much that matters.
        why: why it matters.
        now: what to do instead.
        judge: finds the hits; of a revision, and of the way it is to be run: ``plain`` or ``liftlock``.
        bad: an example that it finds.
        good: the same end without it.
    """

    code: str
    title: str
    severity: Severity
    why: str
    now: str
    judge: Callable[[Checked, str], Iterable[Hit]]
    bad: Example
    good: Example

    def findings(self, checked: Checked, way: str, allowed: dict[tuple[str, str], str]) -> Iterable[Finding]:
        """What it finds in a revision.

        Parameters:
            checked: the revision.
            way: how it is to be run.
            allowed: reasons, by code and revision; an empty revision means all of them.
        """
        for hit in self.judge(checked, way):
            code = hit.code or self.code
            name = checked.revision.id
            because = dict(hit.allowed).get(code) or allowed.get((code, name)) or allowed.get((code, "")) or ""
            yield Finding(code, self.severity, hit.what, hit.why or self.why, hit.now or self.now, name, checked.path, hit.line, because)
