"""Rule: its texts, its examples, and the function that judges a revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from liftlock.check.finding import Finding, Severity
from liftlock.shadow.result import RevisionResult


@dataclass(frozen=True, slots=True)
class Example:
    """A small revision or project, on the tables of ``examples.TABLES``.

    Parameters:
        upgrade: body of the revision's ``upgrade``.
        downgrade: body of its ``downgrade``.
        merged: body of ``upgrade`` on the main branch, where it differs from the one at hand.
        models: the project's SQLAlchemy models, where the rule compares them.
        rows: SQL that fills the database of ``--data-url``, where the rule looks at rows.
        parents: the parents of each revision, where the rule looks at the history only.
    """

    upgrade: str = ""
    downgrade: str = ""
    merged: str = ""
    models: str = ""
    rows: str = ""
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A place in a revision at which a rule applies.

    Parameters:
        what: the fact, with the names of the user's own objects.
        line: line in the revision's file; None where it isn't known.
        allowed: codes that the revision allows at this place, with reasons.
        now: a remedy instead of the rule's own.
        why: a reason instead of the rule's own.
        code: a code instead of the rule's own.
    """

    what: str
    line: int | None = None
    allowed: Mapping[str, str] = field(default_factory=dict)
    now: str = ""
    why: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingType:
    """Texts and examples that all findings of one code share.

    Parameters:
        code: the stable code.
        title: the object and the effect, in a few words.
        severity: weight of the findings.
        why: the reason why they matter.
        now: the remedy.
        bad: an example with such a finding.
        good: the same change without it.
    """

    code: str
    title: str
    severity: Severity
    why: str
    now: str
    bad: Example
    good: Example

    def finding(self, what: str) -> Finding:
        """Return a finding with the shared texts.

        Parameters:
            what: the fact, with the names of the user's own objects.
        """
        return Finding(self.code, self.severity, what, self.why, self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(FindingType):
    """A rule that judges one revision at a time.

    Parameters:
        judge: yields the matches in a revision; its second argument is the way in which the
            revision will be run in production, ``plain`` (Alembic) or ``liftlock``.
        only: the only way for which the rule applies; empty for both.
        placed: whether its matches are at operations, where ``liftlock.allow`` can permit them.
    """

    judge: Callable[[RevisionResult, str], Iterable[Match]]
    only: str = ""
    placed: bool = True

    def findings(
        self, result: RevisionResult, way: str, allowances: Mapping[tuple[str, str], str]
    ) -> Iterator[Finding]:
        """Yield the rule's findings in a revision.

        Parameters:
            result: the revision, as it ran on a shadow.
            way: ``plain`` or ``liftlock``.
            allowances: reasons of ``alembic.ini``, by code and revision; an empty revision
                stands for all of them.
        """
        if self.only not in {"", way}:
            return
        for match in self.judge(result, way):
            yield self._finding_at(match, result, allowances)

    def _finding_at(
        self, match: Match, result: RevisionResult, allowances: Mapping[tuple[str, str], str]
    ) -> Finding:
        code = match.code or self.code
        revision = result.revision.id
        reasons = (
            match.allowed.get(code),
            allowances.get((code, revision)),
            allowances.get((code, "")),
        )
        return replace(
            self.finding(match.what),
            code=code,
            why=match.why or self.why,
            now=match.now or self.now,
            revision=revision,
            path=result.path,
            line=match.line,
            because=next(filter(None, reasons), ""),
        )
