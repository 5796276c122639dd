"""What the section ``[liftlock]`` of alembic.ini says."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.errors import SettingsError
from liftlock.revisions.project import Project


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """A project's own settings.

    Parameters:
        allowances: reasons, by code and revision; an empty revision means all of them.
        excused: revisions that aren't judged: ``start_after``, and all before it.
        roles: that the revisions expect on the server; a throwaway one gets them.
    """

    allowances: dict[tuple[str, str], str]
    excused: frozenset[str]
    roles: tuple[str, ...]

    def reason(self, code: str, revision: str = "") -> str:
        """Why a finding is allowed, in a revision or in all of them; empty where it isn't."""
        return self.allowances.get((code, revision)) or self.allowances.get((code, ""), "")


def project_config(project: Project) -> ProjectConfig:
    """A project's own settings.

    Raises:
        SettingsError: a line can't be understood.
    """
    config = project.config
    section = config.file_config["liftlock"] if config.file_config.has_section("liftlock") else {}
    reasons: dict[tuple[str, str], str] = {}
    for line in filter(None, (one.strip() for one in section.get("allow", "").splitlines())):
        head, _, reason = line.partition(":")
        code, _, revision = head.strip().partition(" ")
        if not reason.strip() or not code.startswith("LL-"):
            raise SettingsError(
                "LL-ALLOW-SYNTAX",
                f"{config.config_file_name}: in the section [liftlock], allow has a line that can't be understood: {line}",
                now="Write: LL-DATA-LOSS 3f2a91: the column was never filled. Without a revision it holds for all of them.",
            )
        reasons[code, revision.strip()] = reason.strip()
    after = section.get("start_after", "").strip()
    if after and after not in project.chain.revisions:
        raise SettingsError(
            "LL-START-AFTER-UNKNOWN",
            f"{config.config_file_name}: in the section [liftlock], start_after names {after}, which no file has.",
            now="`alembic history` lists the revisions.",
        )
    roles = tuple(
        one.strip()
        for one in section.get("roles", "").replace(",", "\n").splitlines()
        if one.strip()
    )
    return ProjectConfig(reasons, project.chain.ancestors([after]) if after else frozenset(), roles)
