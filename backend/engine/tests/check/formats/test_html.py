"""Picture of the chain on the HTML page."""

from __future__ import annotations

from liftlock.check.formats.html import Dot, chain_picture
from liftlock.model.revision import Revision
from liftlock.shadow.result import RevisionResult


def picture_of(**parents: tuple[str, ...]) -> list[Dot]:
    """Return the picture of revisions with these parents."""
    results = [RevisionResult(Revision(name, down), "") for name, down in parents.items()]
    return chain_picture(results)


def test_linear_chain_has_one_lane() -> None:
    """Each revision is drawn under its parent."""
    dots = picture_of(a=(), b=("a",), c=("b",))
    assert [(dot.row, dot.lane) for dot in dots] == [(0, 0), (1, 0), (2, 0)]
    assert dots[2].parents == ((1, 0),)


def test_lane_of_a_merged_branch_is_used_again() -> None:
    """Twenty branches one after another need two lanes."""
    parents: dict[str, tuple[str, ...]] = {"r0": ()}
    last = "r0"
    for number in range(1, 20):
        branches = (f"r{number}a", f"r{number}b")
        parents |= dict.fromkeys(branches, (last,))
        last = f"r{number}m"
        parents[last] = branches
    dots = picture_of(**parents)
    assert max(dot.lane for dot in dots) == 1
    assert dots[3].parents == ((1, 0), (2, 1))


def test_parent_outside_of_the_check_is_not_drawn() -> None:
    """A check may begin in the middle of a chain."""
    (dot,) = picture_of(b=("a",))
    assert dot == Dot(0, 0, ())
