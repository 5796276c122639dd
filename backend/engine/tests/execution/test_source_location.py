from __future__ import annotations

from collections.abc import Callable

from liftlock.execution.source_location import line_in

SOURCE = "/project/versions/a1.py"
REVISION = """
def upgrade(send):
    helper(send)

def helper(send):
    return [
        send(),
    ]
"""


def revision(path: str = SOURCE) -> dict[str, Callable[..., object]]:
    """Return the functions of a revision that is compiled as a file of this path."""
    functions: dict[str, Callable[..., object]] = {}
    exec(compile(REVISION, path, "exec"), functions)  # noqa: S102 - the tests' own text
    return functions


def test_the_line_of_the_innermost_frame_is_returned() -> None:
    """A helper of the revision sends the statement, so it isn't the line that calls the helper."""
    lines: list[int | None] = []
    revision()["upgrade"](lambda: lines.append(line_in(SOURCE)))
    assert lines == [7]


def test_frames_between_do_not_matter() -> None:
    """Alembic and SQLAlchemy are between the revision and liftlock."""
    lines: list[int | None] = []

    def between(depth: int) -> None:
        if depth:
            between(depth - 1)
        else:
            lines.append(line_in(SOURCE))

    revision()["upgrade"](lambda: between(20))
    assert lines == [7]


def test_a_file_that_does_not_run_has_no_line() -> None:
    """Neither outside of the revision nor in another one of the same content."""
    assert line_in(SOURCE) is None
    lines: list[int | None] = []
    revision("/project/versions/b2.py")["upgrade"](lambda: lines.append(line_in(SOURCE)))
    assert lines == [None]
