"""The section ``[liftlock]`` of ``alembic.ini``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from liftlock.errors import SettingsError
from liftlock.revisions.project import Project
from liftlock.variables import Variable

SECTION = "liftlock"
ALLOW = Variable(
    "allow",
    "findings that are permitted, one a line: `CODE REVISION: reason`; without a revision the line"
    " is for all of them",
    kind="lines",
)
START_AFTER = Variable(
    "start_after",
    "the last revision that `check` doesn't judge; nor does it judge those before it",
    kind="revision",
)
ROLES = Variable(
    "roles",
    "roles that the revisions expect on the server, one a line or separated by commas; throwaway"
    " servers get them",
    kind="list",
)
KEYS = (ALLOW, START_AFTER, ROLES)
"""All keys, in the order of the reference."""


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """A project's own settings.

    Parameters:
        allowances: the reasons of allowances, by code and revision. An empty revision means all.
        excused: the revisions that aren't checked: ``start_after``, and all before it.
        roles: the roles that the revisions expect; they are created on a shadow's server.
    """

    allowances: dict[tuple[str, str], str]
    excused: frozenset[str]
    roles: tuple[str, ...]

    def reason(self, code: str, revision: str = "") -> str:
        """Return why a finding is allowed, in a revision or in all; empty if it isn't."""
        return self.allowances.get((code, revision)) or self.allowances.get((code, ""), "")


def project_config(project: Project) -> ProjectConfig:
    """Return a project's own settings.

    Raises:
        SettingsError: a line can't be read, or names a revision that doesn't exist.
    """
    parser = project.config.file_config
    section: Mapping[str, str] = parser[SECTION] if parser.has_section(SECTION) else {}
    return ProjectConfig(
        allowances=_allowances(section.get(ALLOW.name, ""), project),
        excused=_excused(section.get(START_AFTER.name, "").strip(), project),
        roles=_roles(section.get(ROLES.name, "")),
    )


def _allowances(text: str, project: Project) -> dict[tuple[str, str], str]:
    """Return the reasons in lines such as ``LL-DATA-LOSS 3f2a91: reason``."""
    reasons = {}
    for line in _lines(text):
        scope, _, reason = (part.strip() for part in line.partition(":"))
        code, _, revision = (part.strip() for part in scope.partition(" "))
        if not reason or not code.startswith("LL-"):
            raise SettingsError(
                "LL-ALLOW-SYNTAX",
                f"{project.config.config_file_name}: in the section [{SECTION}], allow has a line"
                f" that can't be read: {line}",
                why="An allowance needs a code and a reason.",
                now="Write a code, a revision and a reason; without a revision, the line holds for"
                " all of them:\n"
                f"  [{SECTION}]\n"
                "  allow =\n"
                "      LL-DATA-LOSS 3f2a91: the column was never filled",
            )
        reasons[code, revision] = reason
    return reasons


def _excused(start_after: str, project: Project) -> frozenset[str]:
    """Return a revision and all before it; nothing for an empty identifier."""
    if not start_after:
        return frozenset()
    if start_after not in project.chain.revisions:
        raise SettingsError(
            "LL-START-AFTER-UNKNOWN",
            f"{project.config.config_file_name}: in the section [{SECTION}], start_after names"
            f" {start_after}, and no file has this identifier.",
            why="It is unknown which revisions are to be checked.",
            now="Write the full identifier of the last revision that isn't to be checked. This"
            " command lists them:\n"
            "  alembic history",
        )
    return project.chain.ancestors([start_after])


def _roles(text: str) -> tuple[str, ...]:
    """Return the names of roles, separated by commas or lines."""
    return tuple(_lines(text.replace(",", "\n")))


def _lines(text: str) -> list[str]:
    """Return the lines of a setting that aren't empty."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line]
