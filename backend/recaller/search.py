"""Search across people and encounters, which forgives typing errors and ranks what it finds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Select, func, literal, or_, select, text, union_all
from sqlalchemy.orm import InstrumentedAttribute

from recaller.accounts import Owner
from recaller.database import Session
from recaller.fields import Name
from recaller.models import Encounter, Person
from recaller.paging import Limit
from recaller.problems import responses

router = APIRouter(tags=["search"])
_THRESHOLD = "0.35"


class Hit(BaseModel):
    """Something that was found."""

    kind: Literal["person", "encounter"]
    id: int
    text: str
    score: float


@router.get("/search", responses=responses(401, 422))
async def search(
    q: Annotated[
        Name, Query(description="What to look for; typing errors are forgiven.", examples=["Grase"])
    ],
    owner: Owner,
    session: Session,
    limit: Limit = 20,
) -> list[Hit]:
    """The best matches, best first.

    A text matches when a part of it is similar to the query by its trigrams:
    https://www.postgresql.org/docs/current/pgtrgm.html
    """
    await session.execute(text(f"SET LOCAL pg_trgm.word_similarity_threshold = {_THRESHOLD}"))
    people = _matches(q, "person", Person.id, Person.name, Person.notes).where(
        Person.account_id == owner.id
    )
    encounters = _matches(q, "encounter", Encounter.id, Encounter.summary).where(
        Encounter.account_id == owner.id
    )
    found = union_all(people, encounters).subquery()
    statement = select(found).order_by(found.c.score.desc(), found.c.kind, found.c.id).limit(limit)
    return [
        Hit.model_validate(row, from_attributes=True) for row in await session.execute(statement)
    ]


def _matches(
    q: str, kind: str, key: InstrumentedAttribute[int], *texts: InstrumentedAttribute[Any]
) -> Select[tuple[str, int, str, float]]:
    scores = [func.coalesce(func.word_similarity(q, one), 0.0) for one in texts]
    score = func.greatest(*scores).label("score")
    shown = func.left(texts[0], 200).label("text")
    return select(literal(kind).label("kind"), key.label("id"), shown, score).where(
        or_(*[literal(q).op("<%")(one) for one in texts])
    )
