"""The manifest that ``bake`` writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.model.manifest import Manifest
from liftlock.model.revision import Chain, Revision


@given(st.lists(st.text(max_size=5), unique=True))
def test_manifest_round_trip(ids: list[str]) -> None:
    """A manifest is read back as it was written, with any characters in it."""
    revisions = []
    for position, identifier in enumerate(ids):
        parents = tuple(ids[:position][-1:])
        revisions.append(Revision(identifier, parents, message="it's"))
    chain = Chain.of(revisions)
    manifest = Manifest("public.alembic_version", chain, chain.heads, {"a.py": 3}, {}, {}, "18.1")
    assert Manifest.loads(manifest.dumps()) == manifest


def test_manifest_of_another_format_is_refused() -> None:
    """The error names both formats."""
    with pytest.raises(ValueError, match="its format is 99, this liftlock reads 1"):
        Manifest.loads('{"format": 99}')
