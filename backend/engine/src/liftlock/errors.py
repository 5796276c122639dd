"""What can go wrong, grouped by who must act. The exit code follows from the group."""

from __future__ import annotations


class LiftlockError(Exception):
    """A foreseeable fault, told in three parts.

    Parameters:
        code: a stable name for searching, such as ``LL-LOCK-REFUSED``.
        what: what happened, with the reader's own names in it.
        why: why it matters; may be empty.
        now: what to do now.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, *, why: str = "", now: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.why = why
        self.now = now

    def __str__(self) -> str:
        """The whole message: the code and what happened, then why, then the remedy."""
        body = "\n".join(part for part in (self.what, self.why, self.now) if part)
        return f"{self.code}  " + body.replace("\n", "\n  ")

    def as_dict(self) -> dict[str, object]:
        """The message for programs."""
        return {
            "error": self.code,
            "family": type(self).__name__,
            "exit": self.exit_code,
            "what": self.what,
            "why": self.why,
            "now": self.now,
        }


class SettingsError(LiftlockError):
    """The deployer must act: an address, a password, a file or an option is wrong."""

    exit_code = 2


class UnsafeRevision(LiftlockError):
    """The author of a revision must act: the history can't be run as it is."""

    exit_code = 3


class NotNow(LiftlockError):
    """Nobody must act yet: nothing is half done, run again later."""

    exit_code = 4


class StepFailed(LiftlockError):
    """The operator must act: the database refused a step."""

    exit_code = 5
