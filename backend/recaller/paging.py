"""Keyset pagination: a page says where the next one begins, so no row is skipped or shown twice."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

Limit = Annotated[int, Query(ge=1, le=200, description="How many at the most.")]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]


Item = TypeVar("Item", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """Some items, and where to go on."""

    items: list[Item]
    next: str | None = None


def page_of(
    statement: Select[Any],
    keys: Sequence[InstrumentedAttribute[Any]],
    after: str | None,
    limit: int,
    *,
    descending: bool = False,
) -> Select[Any]:
    """One page of a statement, ordered by its keys; the last key is unique.

    Raises:
        HTTPException: 422, ``after`` is not the ``next`` of a page.
    """
    if after is not None:
        marks = tuple_(
            *[
                _typed(key, value)
                for key, value in zip(keys, _decoded(after, len(keys)), strict=True)
            ]
        )
        row = tuple_(*keys)
        statement = statement.where(row < marks if descending else row > marks)
    order = [key.desc() if descending else key.asc() for key in keys]
    return statement.order_by(*order).limit(limit + 1)


def paged(rows: Sequence[Any], limit: int, shape: type[Item], *keys: str) -> Page[Item]:
    """A page from rows that were fetched with one more than the limit."""
    kept = rows[:limit]
    cursor = _encoded([getattr(kept[-1], key) for key in keys]) if len(rows) > limit else None
    return Page(
        items=[shape.model_validate(row, from_attributes=True) for row in kept], next=cursor
    )


def _encoded(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode()


def _decoded(cursor: str, count: int) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(isinstance(one, str | int) for one in values)
    ):
        raise _bad_cursor()
    return values


def _typed(key: InstrumentedAttribute[Any], value: Any) -> Any:
    kind = key.type.python_type
    try:
        typed = (
            kind.fromisoformat(value)
            if hasattr(kind, "fromisoformat") and kind is not int
            else kind(value)
        )
    except (TypeError, ValueError, OverflowError):
        raise _bad_cursor() from None
    if (kind is int and not 0 <= typed < 2**63) or (kind is str and "\x00" in typed):
        raise _bad_cursor()
    return typed


def _bad_cursor() -> HTTPException:
    return HTTPException(422, "`after` must be the `next` of the page before.")
