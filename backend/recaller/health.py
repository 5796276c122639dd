"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

import asyncio

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from liftlock.commands.status import status
from recaller.problems import document, responses

router = APIRouter(tags=["operations"])


class Live(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The database has what this build requires."""

    status: str = "ready"
    schema_is: str
    database: list[str]
    required: list[str]


@router.get("/health/live")
async def live() -> Live:
    """Whether the process answers; it never asks the database."""
    return Live()


@router.get("/health/ready", responses=responses(503), response_model=Ready)
async def ready(request: Request) -> Ready | JSONResponse:
    """Whether the database can be reached and its schema is one that this build can work with.

    A database that is newer than this build is fine: readiness must not take the old release down
    the moment a migration commits.
    """
    state = request.app.state
    try:
        found = await asyncio.to_thread(status, state.liftlock, state.address)
    except psycopg.Error:
        return document(503, "The database can't be reached.")
    if not found.satisfied:
        return document(503, found.describe())
    return Ready(
        schema_is=found.state.value,
        database=sorted(found.current),
        required=sorted(found.required),
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
