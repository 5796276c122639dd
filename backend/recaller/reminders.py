"""Reminders to contact people again."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Key, Line, Reference
from recaller.models import Reminder
from recaller.paging import Page, Paging, page_of, page_query
from recaller.people import own_people
from recaller.problems import not_found, responses

router = APIRouter(prefix="/reminders", tags=["reminders"])


class ReminderIn(BaseModel):
    """The input about a reminder: every so many days, from today or from a date; or once."""

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
    def _has_time(self) -> Self:
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
    """The number of days to postpone a reminder."""

    days: int = Field(ge=1, le=3660, examples=[7])


async def _own(session: AsyncSession, owner: Owner, key: int) -> Reminder:
    """Return an account's reminder, or raise a 404."""
    row = await session.scalar(
        select(Reminder).where(Reminder.account_id == owner.id, Reminder.id == key)
    )
    if row is None:
        raise not_found("reminder", key)
    return row


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _conditions(
    *,
    due: Annotated[bool, Query(description="Only reminders that are due and not done.")] = False,
    person: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only reminders about this person.")
    ] = None,
) -> list[ColumnElement[bool]]:
    """Translate the query parameters of the list to conditions."""
    conditions = []
    if due:
        conditions += [Reminder.due_on <= _today(), Reminder.done_at.is_(None)]
    if person is not None:
        conditions.append(Reminder.person_id == person)
    return conditions


Conditions = Annotated[list[ColumnElement[bool]], Depends(_conditions)]


@router.post("", status_code=201, responses=responses(400, 401, 404, 422))
async def add_reminder(reminder: ReminderIn, owner: Owner, session: Session) -> ReminderOut:
    """Add a reminder about a person."""
    await own_people(session, owner, [reminder.person_id])
    due_on = reminder.due_on or _today() + dt.timedelta(days=reminder.every_days or 0)
    row = Reminder(account_id=owner.id, **reminder.model_dump(exclude={"due_on"}), due_on=due_on)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return ReminderOut.model_validate(row, from_attributes=True)


@router.get("", responses=responses(401, 422))
async def list_reminders(
    owner: Owner, session: Session, conditions: Conditions, paging: Paging
) -> Page[ReminderOut]:
    """List reminders, the most urgent first."""
    statement = select(Reminder).where(Reminder.account_id == owner.id, *conditions)
    statement = page_query(statement, [Reminder.due_on, Reminder.id], paging)
    rows = (await session.scalars(statement)).all()
    return page_of(rows, paging, ReminderOut, "due_on", "id")


@router.get("/{key}", responses=responses(401, 404, 422))
async def get_reminder(key: Key, owner: Owner, session: Session) -> ReminderOut:
    """Return a reminder."""
    return ReminderOut.model_validate(await _own(session, owner, key), from_attributes=True)


@router.post("/{key}/done", responses=responses(401, 404, 422))
async def done(key: Key, owner: Owner, session: Session) -> ReminderOut:
    """Mark a reminder as done. A repeating one becomes due again later."""
    row = await _own(session, owner, key)
    if row.every_days is not None:
        row.due_on = _today() + dt.timedelta(days=row.every_days)
    else:
        row.done_at = row.done_at or dt.datetime.now(dt.UTC)
    await session.flush()
    return ReminderOut.model_validate(row, from_attributes=True)


@router.post("/{key}/snooze", responses=responses(400, 401, 404, 422))
async def snooze(key: Key, delay: Snooze, owner: Owner, session: Session) -> ReminderOut:
    """Postpone a reminder by a number of days from today."""
    row = await _own(session, owner, key)
    row.due_on = _today() + dt.timedelta(days=delay.days)
    await session.flush()
    return ReminderOut.model_validate(row, from_attributes=True)


@router.delete("/{key}", status_code=204, responses=responses(401, 404, 422))
async def forget_reminder(key: Key, owner: Owner, session: Session) -> None:
    """Delete a reminder."""
    await session.delete(await _own(session, owner, key))
