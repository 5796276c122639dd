"""The manifest: a JSON file that ``bake`` writes at build time and ``exec`` reads at start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from liftlock.model.revision import Chain, Revision

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """A chain of revisions that ran on a throwaway database at build time.

    Parameters:
        version_table: the version table, with its schema where the project sets one.
        chain: the revisions.
        required: the revisions that the build needs in its database.
        files: the size in bytes of each revision file, by its path relative to the manifest's
            folder. A manifest is stale, and not used, when the sizes differ.
        phases: ``expand`` or ``contract``, by revision.
        fingerprints: the digest of the steps that ran on the throwaway database, by revision.
        postgres: the version of that server; empty for a chain that didn't run.
    """

    version_table: str
    chain: Chain
    required: frozenset[str]
    files: dict[str, int]
    phases: dict[str, str]
    fingerprints: dict[str, str]
    postgres: str

    def dumps(self) -> str:
        """Return the text of the file."""
        body = {
            "format": FORMAT,
            "version_table": self.version_table,
            "required": sorted(self.required),
            "files": self.files,
            "postgres": self.postgres,
            "phases": self.phases,
            "fingerprints": self.fingerprints,
            "revisions": [asdict(revision) for revision in self.chain],
        }
        return json.dumps(body, indent=1) + "\n"

    @classmethod
    def loads(cls, text: str) -> Manifest:
        """Return the manifest that a file's text describes.

        Raises:
            ValueError: the text isn't a manifest of this format.
        """
        body = json.loads(text)
        if body.get("format") != FORMAT:
            message = f"its format is {body.get('format')!r}, this liftlock reads {FORMAT}"
            raise ValueError(message)
        return cls(
            version_table=body["version_table"],
            chain=Chain.of(Revision.from_dict(row) for row in body["revisions"]),
            required=frozenset(body["required"]),
            files=body["files"],
            phases=body["phases"],
            fingerprints=body["fingerprints"],
            postgres=body["postgres"],
        )
