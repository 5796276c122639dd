"""Encounters: who was met, when and where, and what came of it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Prose, Reference
from recaller.models import Encounter, EncounterKind, Person
from recaller.paging import After, Limit, Page, page_of, paged
from recaller.people import own_people
from recaller.problems import not_found, responses

router = APIRouter(prefix="/encounters", tags=["encounters"])


class EncounterIn(BaseModel):
    """An encounter, as it is told."""

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
    """Somebody who was there."""

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
    row = await session.scalar(
        select(Encounter).where(Encounter.account_id == owner.id, Encounter.id == key)
    )
    if row is None:
        raise not_found("encounter", key)
    return row


@router.post("", status_code=201, responses=responses(400, 401, 404, 422))
async def add_encounter(encounter: EncounterIn, owner: Owner, session: Session) -> EncounterOut:
    """Remember an encounter."""
    row = Encounter(account_id=owner.id, **encounter.model_dump(exclude={"people"}))
    row.people = await own_people(session, owner, encounter.people)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return EncounterOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_encounters(
    owner: Owner,
    session: Session,
    person: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only with this person.")
    ] = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[EncounterOut]:
    """Encounters, the latest first."""
    statement = select(Encounter).where(Encounter.account_id == owner.id)
    if person is not None:
        statement = statement.where(Encounter.people.any(Person.id == person))
    if since is not None:
        statement = statement.where(Encounter.happened_at >= since)
    if until is not None:
        statement = statement.where(Encounter.happened_at < until)
    statement = page_of(
        statement, [Encounter.happened_at, Encounter.id], after, limit, descending=True
    )
    return paged((await session.scalars(statement)).all(), limit, EncounterOut, "happened_at", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_encounter(key: Key, owner: Owner, session: Session) -> EncounterOut:
    """An encounter."""
    return EncounterOut.model_validate(await _own(session, owner, key), from_attributes=True)


@router.put("/{key}", responses=responses(400, 401, 404, 422))
async def change_encounter(
    key: Key, encounter: EncounterIn, owner: Owner, session: Session
) -> EncounterOut:
    """Tell an encounter anew."""
    row = await _own(session, owner, key)
    row.people = await own_people(session, owner, encounter.people)
    for name, value in encounter.model_dump(exclude={"people"}).items():
        setattr(row, name, value)
    await session.flush()
    await session.refresh(row)
    return EncounterOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_encounter(key: Key, owner: Owner, session: Session) -> None:
    """Forget an encounter."""
    await session.delete(await _own(session, owner, key))
