"""People that the account's owner knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, extract, select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Name, Prose, Tag
from recaller.models import Person
from recaller.paging import Page, Paging, page_of, page_query
from recaller.problems import not_found, responses

router = APIRouter(prefix="/people", tags=["people"])


class PersonIn(BaseModel):
    """The input about a person."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "Grace Hopper",
                "how_we_met": "At the compiler meetup",
                "workplace": "US Navy",
                "contact": {"email": "grace@example.com"},
                "tags": ["compilers"],
                "birthday": "1906-12-09",
                "notes": "Keeps a nanosecond in her purse.",
            }
        }
    )

    name: Name
    how_we_met: Prose | None = None
    workplace: Line | None = None
    contact: dict[Name, Line] = Field(default={}, max_length=50)
    tags: list[Tag] = Field(default=[], max_length=50)
    birthday: dt.date | None = None
    notes: Prose | None = None


class PersonOut(PersonIn):
    """A person you know."""

    id: int
    created_at: dt.datetime
    updated_at: dt.datetime


async def own_people(session: AsyncSession, owner: Owner, keys: Sequence[int]) -> list[Person]:
    """Return the people of an account that have these keys.

    Raises:
        HTTPException: 404, the account has no person with one of the keys.
    """
    statement = select(Person).where(Person.account_id == owner.id, Person.id.in_(keys))
    people = list(await session.scalars(statement))
    for missing in set(keys) - {person.id for person in people}:
        raise not_found("person", missing)
    return people


def _conditions(
    tag: Annotated[Tag | None, Query(description="Only people with this tag.")] = None,
    workplace: Annotated[Line | None, Query(description="Only people of this workplace.")] = None,
    birthday_month: Annotated[int | None, Query(ge=1, le=12)] = None,
) -> list[ColumnElement[bool]]:
    """Translate the query parameters of the list to conditions."""
    conditions = []
    if tag is not None:
        conditions.append(Person.tags.contains([tag]))
    if workplace is not None:
        conditions.append(Person.workplace == workplace)
    if birthday_month is not None:
        conditions.append(extract("month", Person.birthday) == birthday_month)
    return conditions


Conditions = Annotated[list[ColumnElement[bool]], Depends(_conditions)]


@router.post("", status_code=201, responses=responses(400, 401, 422))
async def add_person(person: PersonIn, owner: Owner, session: Session) -> PersonOut:
    """Add a person."""
    row = Person(account_id=owner.id, **person.model_dump())
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return PersonOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_people(
    owner: Owner, session: Session, conditions: Conditions, paging: Paging
) -> Page[PersonOut]:
    """List people by name."""
    statement = select(Person).where(Person.account_id == owner.id, *conditions)
    statement = page_query(statement, [Person.name, Person.id], paging)
    rows = (await session.scalars(statement)).all()
    return page_of(rows, paging, PersonOut, "name", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_person(key: Key, owner: Owner, session: Session) -> PersonOut:
    """Return a person."""
    (row,) = await own_people(session, owner, [key])
    return PersonOut.model_validate(row, from_attributes=True)


@router.put("/{key}", responses=responses(400, 401, 404, 422))
async def change_person(key: Key, person: PersonIn, owner: Owner, session: Session) -> PersonOut:
    """Replace the data of a person."""
    (row,) = await own_people(session, owner, [key])
    for name, value in person.model_dump().items():
        setattr(row, name, value)
    await session.flush()
    await session.refresh(row)
    return PersonOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_person(key: Key, owner: Owner, session: Session) -> None:
    """Delete a person, and the reminders about them."""
    (row,) = await own_people(session, owner, [key])
    await session.delete(row)
