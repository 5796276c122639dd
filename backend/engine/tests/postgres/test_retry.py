from __future__ import annotations

from collections.abc import Callable

import pytest

from liftlock.postgres.retry import attempts


class NotYetError(Exception):
    """An error that is worth another attempt."""


def fail_until(
    success: int,
    error: BaseException,
    on: type[Exception] | Callable[[Exception], bool] = NotYetError,
    seconds: float = 5,
) -> list[int]:
    """Fail until the attempt of this number succeeds; return the numbers of the attempts."""
    numbers = []
    for attempt in attempts(on, seconds, first=0.001, most=0.002):
        with attempt:
            numbers.append(attempt.number)
            if attempt.number < success:
                raise error
    return numbers


def test_attempts_are_numbered_from_one_and_end_with_success() -> None:
    """The loop ends after the first attempt that raises nothing."""
    assert fail_until(3, NotYetError()) == [1, 2, 3]


def test_errors_are_selected_by_a_function() -> None:
    """As by their class."""
    assert fail_until(2, NotYetError("x"), lambda error: str(error) == "x") == [1, 2]


def test_another_error_is_raised_at_once() -> None:
    """It isn't retried."""
    with pytest.raises(KeyError):
        fail_until(2, KeyError())


def test_the_last_error_is_raised_unchanged_when_the_time_is_over() -> None:
    """Not wrapped in an error of the library."""
    error = NotYetError()
    with pytest.raises(NotYetError) as caught:
        fail_until(10_000, error, seconds=0.02)
    assert caught.value is error


def test_zero_seconds_allow_one_attempt() -> None:
    """A deadline of zero doesn't mean forever."""
    with pytest.raises(NotYetError):
        fail_until(2, NotYetError(), seconds=0)
    assert fail_until(1, NotYetError(), seconds=0) == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_an_interrupt_is_never_retried(error: BaseException) -> None:
    """Even by a function that accepts everything."""
    with pytest.raises(type(error)):
        fail_until(2, error, lambda _error: True)
