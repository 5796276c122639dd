"""People: whom you know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import extract, select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Name, Prose, Tag
from recaller.models import Person
from recaller.paging import After, Limit, Page, page_of, paged
from recaller.problems import not_found, responses

router = APIRouter(prefix="/people", tags=["people"])


class PersonIn(BaseModel):
    """What you know of somebody."""

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
    """Somebody you know."""

    id: int
    created_at: dt.datetime
    updated_at: dt.datetime


async def own_people(session: AsyncSession, owner: Owner, keys: Sequence[int]) -> list[Person]:
    """The people of an account with these keys.

    Raises:
        HTTPException: 404, one of them isn't there.
    """
    found = list(
        await session.scalars(
            select(Person).where(Person.account_id == owner.id, Person.id.in_(keys))
        )
    )
    for key in set(keys) - {person.id for person in found}:
        raise not_found("person", key)
    return found


@router.post("", status_code=201, responses=responses(400, 401, 422))
async def add_person(person: PersonIn, owner: Owner, session: Session) -> PersonOut:
    """Remember somebody."""
    row = Person(account_id=owner.id, **person.model_dump())
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return PersonOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_people(
    owner: Owner,
    session: Session,
    tag: Annotated[Tag | None, Query(description="Only with this tag.")] = None,
    workplace: Annotated[Line | None, Query(description="Only from this workplace.")] = None,
    birthday_month: Annotated[int | None, Query(ge=1, le=12)] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[PersonOut]:
    """People by name."""
    statement = select(Person).where(Person.account_id == owner.id)
    if tag is not None:
        statement = statement.where(Person.tags.contains([tag]))
    if workplace is not None:
        statement = statement.where(Person.workplace == workplace)
    if birthday_month is not None:
        statement = statement.where(extract("month", Person.birthday) == birthday_month)
    statement = page_of(statement, [Person.name, Person.id], after, limit)
    return paged((await session.scalars(statement)).all(), limit, PersonOut, "name", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_person(key: Key, owner: Owner, session: Session) -> PersonOut:
    """Somebody you know."""
    (row,) = await own_people(session, owner, [key])
    return PersonOut.model_validate(row, from_attributes=True)


@router.put("/{key}", responses=responses(400, 401, 404, 422))
async def change_person(key: Key, person: PersonIn, owner: Owner, session: Session) -> PersonOut:
    """Replace what you know of somebody."""
    (row,) = await own_people(session, owner, [key])
    for name, value in person.model_dump().items():
        setattr(row, name, value)
    await session.flush()
    await session.refresh(row)
    return PersonOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_person(key: Key, owner: Owner, session: Session) -> None:
    """Forget somebody, and the reminders about them."""
    (row,) = await own_people(session, owner, [key])
    await session.delete(row)
