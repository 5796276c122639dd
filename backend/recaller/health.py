"""Routes for monitoring: liveness, readiness and metrics."""

from __future__ import annotations

import asyncio

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

import liftlock
from recaller.problems import problem_response, responses

router = APIRouter(tags=["operations"])


class Live(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The database has every revision that this build requires."""

    status: str = "ready"
    schema_is: str
    database: list[str]
    required: list[str]


@router.get("/health/live")
async def live() -> Live:
    """Tell that the process answers, without a query to the database."""
    return Live()


@router.get("/health/ready", responses=responses(503), response_model=Ready)
async def ready(request: Request) -> Ready | JSONResponse:
    """Tell whether the database answers and has a schema that this build can work with.

    A database that is newer than this build is ready too. Otherwise a migration would make all
    containers of the previous release unready at once.
    """
    state = request.app.state
    try:
        status = await asyncio.to_thread(liftlock.status, state.liftlock, state.address)
    except psycopg.Error:
        return problem_response(503, "The database can't be reached.")
    if not status.satisfied:
        return problem_response(503, status.describe())
    return Ready(
        schema_is=status.state.value,
        database=sorted(status.current),
        required=sorted(status.required),
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Return the metrics for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
