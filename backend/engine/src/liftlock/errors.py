"""Foreseeable errors, in families by who must act. The exit code follows from the family."""

from __future__ import annotations

DOCS = "docs/reference/errors.md"
"""Page with an entry for each code."""


class LiftlockError(Exception):
    """An error with a message in three parts.

    Parameters:
        code: the stable code, such as ``LL-LOCK-REFUSED``.
        what: the fact, with the names of the user's own objects.
        why: the reason why it matters; may be empty.
        now: the remedy.
    """

    exit_code = 5

    def __init__(self, code: str, what: str, *, why: str = "", now: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.why = why
        self.now = now

    def remark(self, text: str) -> None:
        """Add a remark to the remedy; an empty one changes nothing."""
        if text:
            self.now = f"{self.now}\n{text}"

    @property
    def docs(self) -> str:
        """Address of the code's entry in the documentation."""
        return f"{DOCS}#{self.code.lower()}"

    def __str__(self) -> str:
        """Return the whole message: code and fact, reason, remedy, address of the entry."""
        parts = (self.what, self.why, self.now, f"docs: {self.docs}")
        body = "\n".join(part for part in parts if part)
        return f"{self.code}  " + body.replace("\n", "\n  ")

    def as_dict(self) -> dict[str, object]:
        """Return the message for programs."""
        return {
            "error": self.code,
            "family": type(self).__name__,
            "exit": self.exit_code,
            "what": self.what,
            "why": self.why,
            "now": self.now,
            "docs": self.docs,
        }


class SettingsError(LiftlockError):
    """The deployer must act: an address, a password, a file or an option is wrong."""

    exit_code = 2


class UnsafeRevision(LiftlockError):
    """The author of a revision must act: the history can't be run as it is."""

    exit_code = 3


class NotNow(LiftlockError):
    """Waiting helps: nothing is half done, and the same command succeeds later."""

    exit_code = 4


class StepFailed(LiftlockError):
    """The operator must act: the database refused a step."""

    exit_code = 5


def no_address() -> SettingsError:
    """Return the error for a database that neither the environment nor the project names."""
    return SettingsError(
        "LL-NO-ADDRESS",
        "No database is named.",
        now="Set POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB (POSTGRES_PORT"
        " is 5432 by default), or DATABASE_URL; or, unless env.py calls liftlock.env.run,"
        " sqlalchemy.url in alembic.ini.",
    )
