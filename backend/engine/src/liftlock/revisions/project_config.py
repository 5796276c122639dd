"""Project configuration: the section ``[liftlock]`` of ``alembic.ini``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """Values of the section.

    Parameters:
        allowances: reasons by code and revision; an empty revision stands for all of them.
        excused: revisions that aren't judged: ``start_after`` and all before it.
        roles: roles that throwaway servers get.
    """

    allowances: dict[tuple[str, str], str]
    excused: frozenset[str]
    roles: tuple[str, ...]

    def reason(self, code: str, revision: str = "") -> str:
        """Return the reason why a finding is allowed; empty where it isn't."""
        return self.allowances.get((code, revision)) or self.allowances.get((code, ""), "")


def project_config(project: Project) -> ProjectConfig:
    """Return the configuration of a project.

    Raises:
        SettingsError: a value can't be understood.
    """
    config = project.config.file_config
    section: Mapping[str, str] = config[SECTION] if config.has_section(SECTION) else {}
    place = f"{project.config.config_file_name}: in the section [{SECTION}]"
    allowances = dict(_allowances(section.get(ALLOW.name, ""), place))
    start_after = section.get(START_AFTER.name, "").strip()
    if start_after and start_after not in project.chain.revisions:
        raise SettingsError(
            "LL-START-AFTER-UNKNOWN",
            f"{place}, start_after names {start_after}, which no file has.",
            now="`alembic history` lists the revisions.",
        )
    excused = project.chain.ancestors([start_after]) if start_after else frozenset()
    roles = section.get(ROLES.name, "").replace(",", "\n").splitlines()
    return ProjectConfig(allowances, excused, tuple(filter(None, map(str.strip, roles))))


def _allowances(text: str, place: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield code and revision with the reason of each line.

    Raises:
        SettingsError: a line can't be understood.
    """
    for line in filter(None, map(str.strip, text.splitlines())):
        subject, _, reason = line.partition(":")
        code, _, revision = subject.strip().partition(" ")
        if not reason.strip() or not code.startswith("LL-"):
            raise SettingsError(
                "LL-ALLOW-SYNTAX",
                f"{place}, allow has a line that can't be understood: {line}",
                now="Write: LL-DATA-LOSS 3f2a91: the column was never filled. Without a revision it"
                " is for all of them.",
            )
        yield (code, revision.strip()), reason.strip()
