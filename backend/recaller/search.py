"""Full search of people and encounters, ranked by trigram similarity."""

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
Words = Annotated[
    Name, Query(description="The text to search for, typing errors allowed.", examples=["Grase"])
]


class Hit(BaseModel):
    """A person or an encounter that matches the search."""

    kind: Literal["person", "encounter"]
    id: int
    text: str
    score: float


@router.get("/search", responses=responses(401, 422))
async def search(q: Words, owner: Owner, session: Session, limit: Limit = 20) -> list[Hit]:
    """Find people and encounters, the best match first.

    A text matches when a part of it is similar to the query by its trigrams:
    https://www.postgresql.org/docs/current/pgtrgm.html
    """
    await session.execute(text(f"SET LOCAL pg_trgm.word_similarity_threshold = {_THRESHOLD}"))
    people = _matches(q, "person", Person.id, Person.name, Person.notes)
    people = people.where(Person.account_id == owner.id)
    encounters = _matches(q, "encounter", Encounter.id, Encounter.summary)
    encounters = encounters.where(Encounter.account_id == owner.id)
    hits = union_all(people, encounters).subquery()
    statement = select(hits).order_by(hits.c.score.desc(), hits.c.kind, hits.c.id).limit(limit)
    rows = await session.execute(statement)
    return [Hit.model_validate(row, from_attributes=True) for row in rows]


def _matches(
    words: str,
    kind: str,
    key: InstrumentedAttribute[int],
    *columns: InstrumentedAttribute[Any],
) -> Select[tuple[str, int, str, float]]:
    """Select the rows of a table in which at least one column is similar to the words."""
    scores = [func.coalesce(func.word_similarity(words, column), 0.0) for column in columns]
    score = func.greatest(*scores).label("score")
    excerpt = func.left(columns[0], 200).label("text")
    # The operator <% can use the trigram indexes; the function word_similarity can't.
    is_similar = or_(*[literal(words).op("<%")(column) for column in columns])
    return select(literal(kind).label("kind"), key.label("id"), excerpt, score).where(is_similar)
