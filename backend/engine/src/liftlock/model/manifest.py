"""What ``bake`` proves at build time and ``exec`` trusts at start: one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from liftlock.model.revision import Chain, Revision

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """A proven chain.

    Parameters:
        version_table: the version table, with its schema where it has one.
        chain: the revisions.
        required: the revisions that the build needs.
        files: size in bytes of each revision file, by path from the folder of the manifest; a
            manifest whose files differ is stale and not trusted.
        phases: for each revision, ``expand`` or ``contract``.
        fingerprints: for each revision, of its steps, as they ran on the throwaway database.
        postgres: the server on which it was proven; empty when it was not.
    """

    version_table: str
    chain: Chain
    required: frozenset[str]
    files: dict[str, int]
    phases: dict[str, str]
    fingerprints: dict[str, str]
    postgres: str

    def dumps(self) -> str:
        """The file's text."""
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
        """A manifest from the file's text.

        Raises:
            ValueError: it isn't a manifest of this format.
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
