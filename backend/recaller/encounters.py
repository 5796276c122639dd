"""Encounters with people: meetings, calls and messages."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Prose, Reference
from recaller.models import Encounter, EncounterKind, Person
from recaller.paging import Page, Paging, page_of, page_query
from recaller.people import own_people
from recaller.problems import not_found, responses

router = APIRouter(prefix="/encounters", tags=["encounters"])


class EncounterIn(BaseModel):
    """The input about an encounter."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "people": [17],
                "kind": "in_person",
                "happened_at": "2026-05-04T18:30:00Z",
                "place": "Café Central",
                "summary": "Talked about bugs, the real ones.",
                "next_steps": "Send her the moth.",
            }
        }
    )

    people: list[Reference] = Field(min_length=1, max_length=100)
    kind: EncounterKind = EncounterKind.IN_PERSON
    happened_at: AwareDatetime
    place: Line | None = None
    summary: Prose
    next_steps: Prose | None = None


class Met(BaseModel):
    """A person who was part of an encounter."""

    id: int
    name: str


class EncounterOut(BaseModel):
    """An encounter."""

    id: int
    people: list[Met]
    kind: EncounterKind
    happened_at: dt.datetime
    place: str | None
    summary: str
    next_steps: str | None
    created_at: dt.datetime


async def _own(session: AsyncSession, owner: Owner, key: int) -> Encounter:
    """Return an account's encounter, or raise a 404."""
    row = await session.scalar(
        select(Encounter).where(Encounter.account_id == owner.id, Encounter.id == key)
    )
    if row is None:
        raise not_found("encounter", key)
    return row


def _conditions(
    person: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only encounters with this person.")
    ] = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> list[ColumnElement[bool]]:
    """Translate the query parameters of the list to conditions."""
    conditions = []
    if person is not None:
        conditions.append(Encounter.people.any(Person.id == person))
    if since is not None:
        conditions.append(Encounter.happened_at >= since)
    if until is not None:
        conditions.append(Encounter.happened_at < until)
    return conditions


Conditions = Annotated[list[ColumnElement[bool]], Depends(_conditions)]


@router.post("", status_code=201, responses=responses(400, 401, 404, 422))
async def add_encounter(encounter: EncounterIn, owner: Owner, session: Session) -> EncounterOut:
    """Add an encounter."""
    row = Encounter(account_id=owner.id, **encounter.model_dump(exclude={"people"}))
    row.people = await own_people(session, owner, encounter.people)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return EncounterOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_encounters(
    owner: Owner, session: Session, conditions: Conditions, paging: Paging
) -> Page[EncounterOut]:
    """List encounters, the latest first."""
    statement = select(Encounter).where(Encounter.account_id == owner.id, *conditions)
    keys = [Encounter.happened_at, Encounter.id]
    statement = page_query(statement, keys, paging, descending=True)
    rows = (await session.scalars(statement)).all()
    return page_of(rows, paging, EncounterOut, "happened_at", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_encounter(key: Key, owner: Owner, session: Session) -> EncounterOut:
    """Return an encounter."""
    return EncounterOut.model_validate(await _own(session, owner, key), from_attributes=True)


@router.put("/{key}", responses=responses(400, 401, 404, 422))
async def change_encounter(
    key: Key, encounter: EncounterIn, owner: Owner, session: Session
) -> EncounterOut:
    """Replace the data of an encounter."""
    row = await _own(session, owner, key)
    row.people = await own_people(session, owner, encounter.people)
    for name, value in encounter.model_dump(exclude={"people"}).items():
        setattr(row, name, value)
    await session.flush()
    await session.refresh(row)
    return EncounterOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_encounter(key: Key, owner: Owner, session: Session) -> None:
    """Delete an encounter."""
    await session.delete(await _own(session, owner, key))
