"""Reminders: when to get in touch again."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Reference
from recaller.models import Reminder
from recaller.paging import After, Limit, Page, page_of, paged
from recaller.people import own_people
from recaller.problems import not_found, responses

router = APIRouter(prefix="/reminders", tags=["reminders"])


class ReminderIn(BaseModel):
    """When to get in touch: every so many days, from today or a date on; or once, on a date."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"person_id": 17, "every_days": 90, "note": "Ask about the moth."}
        }
    )

    person_id: Reference
    every_days: int | None = Field(default=None, ge=1, le=3660)
    due_on: dt.date | None = None
    note: Line | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.every_days is None and self.due_on is None:
            message = "give every_days, due_on or both"
            raise ValueError(message)
        return self


class ReminderOut(BaseModel):
    """A reminder."""

    id: int
    person_id: int
    every_days: int | None
    due_on: dt.date
    note: str | None
    done_at: dt.datetime | None
    created_at: dt.datetime


class Snooze(BaseModel):
    """How long to be left in peace."""

    days: int = Field(ge=1, le=3660, examples=[7])


async def _own(session: AsyncSession, owner: Owner, key: int) -> Reminder:
    row = await session.scalar(
        select(Reminder).where(Reminder.account_id == owner.id, Reminder.id == key)
    )
    if row is None:
        raise not_found("reminder", key)
    return row


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


@router.post("", status_code=201, responses=responses(400, 401, 404, 422))
async def add_reminder(reminder: ReminderIn, owner: Owner, session: Session) -> ReminderOut:
    """Be reminded of somebody."""
    await own_people(session, owner, [reminder.person_id])
    due_on = reminder.due_on or _today() + dt.timedelta(days=reminder.every_days or 0)
    row = Reminder(account_id=owner.id, **reminder.model_dump(exclude={"due_on"}), due_on=due_on)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return ReminderOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_reminders(
    owner: Owner,
    session: Session,
    due: Annotated[bool, Query(description="Only those that are due and not done.")] = False,
    person: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only about this person.")
    ] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[ReminderOut]:
    """Reminders, the most urgent first."""
    statement = select(Reminder).where(Reminder.account_id == owner.id)
    if due:
        statement = statement.where(Reminder.due_on <= _today(), Reminder.done_at.is_(None))
    if person is not None:
        statement = statement.where(Reminder.person_id == person)
    statement = page_of(statement, [Reminder.due_on, Reminder.id], after, limit)
    return paged((await session.scalars(statement)).all(), limit, ReminderOut, "due_on", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_reminder(key: Key, owner: Owner, session: Session) -> ReminderOut:
    """A reminder."""
    return ReminderOut.model_validate(await _own(session, owner, key), from_attributes=True)


@router.post("/{key}/done", responses=responses(401, 404, 422))
async def done(key: Key, owner: Owner, session: Session) -> ReminderOut:
    """You got in touch: a repeating reminder comes again, another one is done."""
    row = await _own(session, owner, key)
    if row.every_days is not None:
        row.due_on = _today() + dt.timedelta(days=row.every_days)
    else:
        row.done_at = row.done_at or dt.datetime.now(dt.UTC)
    await session.flush()
    return ReminderOut.model_validate(row, from_attributes=True)


@router.post("/{key}/snooze", responses=responses(400, 401, 404, 422))
async def snooze(key: Key, much: Snooze, owner: Owner, session: Session) -> ReminderOut:
    """Be reminded later, counted from today."""
    row = await _own(session, owner, key)
    row.due_on = _today() + dt.timedelta(days=much.days)
    await session.flush()
    return ReminderOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_reminder(key: Key, owner: Owner, session: Session) -> None:
    """Drop a reminder."""
    await session.delete(await _own(session, owner, key))
