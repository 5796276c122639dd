"""Keyset pagination: a page holds a cursor to the next one, so no row is skipped or repeated."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of items.")]
After = Annotated[str | None, Query(max_length=2000, description="`next` of the previous page.")]
Key = InstrumentedAttribute[Any]
"""A column that the rows are ordered by."""
Item = TypeVar("Item", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """Some items, and the cursor of the next page if there is one."""

    items: list[Item]
    next: str | None = None


@dataclass(frozen=True)
class PageRequest:
    """The part of a list that a client asks for.

    Parameters:
        after: the cursor of the previous page.
        limit: the maximum number of items.
    """

    after: str | None
    limit: int


def _page_request(after: After = None, limit: Limit = 50) -> PageRequest:
    return PageRequest(after, limit)


Paging = Annotated[PageRequest, Depends(_page_request)]


def page_query(
    statement: Select[Any], keys: Sequence[Key], paging: PageRequest, *, descending: bool = False
) -> Select[Any]:
    """Restrict a statement to a page, and to one row more, which tells whether there is a next.

    Parameters:
        statement: selects the rows.
        keys: columns that the rows are ordered by; the last one is unique.
        paging: the page.
        descending: order by all keys in descending order.

    Raises:
        HTTPException: 422, the cursor isn't the ``next`` of a page.
    """
    if paging.after is not None:
        values = _decoded(paging.after, len(keys))
        last = tuple_(*[_typed(key, value) for key, value in zip(keys, values, strict=True)])
        row = tuple_(*keys)
        statement = statement.where(row < last if descending else row > last)
    order = [key.desc() if descending else key.asc() for key in keys]
    return statement.order_by(*order).limit(paging.limit + 1)


def page_of(
    rows: Sequence[Any], paging: PageRequest, item_type: type[Item], *keys: str
) -> Page[Item]:
    """Make a page from the rows of ``page_query``.

    Parameters:
        rows: with one more than the limit if there is a next page.
        paging: the page.
        item_type: made of each row.
        keys: names of the columns that the rows are ordered by.
    """
    kept = rows[: paging.limit]
    items = [item_type.model_validate(row, from_attributes=True) for row in kept]
    if len(rows) <= paging.limit:
        return Page(items=items)
    return Page(items=items, next=_encoded([getattr(kept[-1], key) for key in keys]))


def _encoded(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode()


def _decoded(cursor: str, count: int) -> list[str | int]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError, RecursionError):
        raise _bad_cursor() from None
    if not isinstance(values, list) or len(values) != count:
        raise _bad_cursor()
    if not all(isinstance(value, str | int) for value in values):
        raise _bad_cursor()
    return values


def _typed(key: Key, value: str | int) -> str | int | dt.date:
    """Convert a value of a cursor to the type of its column."""
    kind = key.type.python_type
    try:
        if kind is int:
            return _bigint(int(value))
        if kind is str:
            return _text(str(value))
        return _time(kind, value)
    except (TypeError, ValueError, OverflowError):
        raise _bad_cursor() from None


def _bigint(value: int) -> int:
    if not 0 <= value < 2**63:
        raise OverflowError
    return value


def _text(value: str) -> str:
    if "\x00" in value:
        raise ValueError
    return value


def _time(kind: type[dt.date], value: str | int) -> dt.date:
    if not isinstance(value, str):
        raise TypeError
    return kind.fromisoformat(value)


def _bad_cursor() -> HTTPException:
    return HTTPException(422, "`after` must be the `next` of the previous page.")
