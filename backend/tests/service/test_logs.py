"""Tests of the request log and the request metrics, on an application without a database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send
from structlog.testing import LogCapture

from recaller import logs, problems

GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def captured() -> Iterator[LogCapture]:
    """Collect the log entries of a test, with the context variables."""
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture
    structlog.reset_defaults()


@pytest.fixture
def application() -> FastAPI:
    """Build an application with one route that answers and one that raises."""
    app = FastAPI()
    problems.install(app)
    logs.install(app)

    @app.get("/works")
    async def works() -> str:
        return "yes"

    @app.get("/raises/{key}")
    async def raises(key: int) -> str:
        message = f"a bug in {key}"
        raise RuntimeError(message)

    return app


def get(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    """Send a request to an application, and check that it leaves no context variables."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.get(path, headers=headers)
        assert structlog.contextvars.get_contextvars() == {}
        return response

    # The browser of another test may keep an event loop running in this thread.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(send())).result()


def counted(route: str, status: str) -> float:
    """Return how many requests of a route ended with a status."""
    labels = {"method": "GET", "route": route, "status": status}
    return REGISTRY.get_sample_value("recaller_requests_total", labels) or 0


def entries(captured: LogCapture, event: str) -> list[dict[str, Any]]:
    """Return the log entries of an event."""
    return [entry for entry in captured.entries if entry["event"] == event]


def test_unhandled_error_is_counted_and_logged_as_500(
    application: FastAPI, captured: LogCapture
) -> None:
    """A route that raises is a request with status 500, with one traceback, under one id."""
    before = counted("/raises/{key}", "500")
    response = get(application, "/raises/7", **{"x-request-id": "client-1"})
    assert response.status_code == 500
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    assert response.headers["x-request-id"] == "client-1"
    assert counted("/raises/{key}", "500") == before + 1
    (request,) = entries(captured, "request")
    assert request["status"] == 500
    assert request["route"] == "/raises/{key}"
    assert request["request"] == "client-1"
    (failure,) = entries(captured, "request.failed")
    assert failure["request"] == "client-1"
    assert str(failure["exc_info"]) == "a bug in 7"


def test_successful_request_is_counted_and_logged(
    application: FastAPI, captured: LogCapture
) -> None:
    """Each request has its status, its duration and an id of its own."""
    before = counted("/works", "200")
    ids = {get(application, "/works").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(GENERATED.fullmatch(request_id) for request_id in ids)
    assert counted("/works", "200") == before + 2
    logged = entries(captured, "request")
    assert {entry["request"] for entry in logged} == ids
    assert all(entry["ms"] >= 0 for entry in logged)


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", True),
        ("a.b_c:1", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("two words", False),
        ("{json}", False),
    ],
)
def test_request_id_of_client_is_validated_and_returned(
    application: FastAPI, sent: str, *, is_kept: bool
) -> None:
    """An id that could confuse a reader of the logs is replaced by a generated one."""
    returned = get(application, "/works", **{"x-request-id": sent}).headers["x-request-id"]
    if is_kept:
        assert returned == sent
    else:
        assert GENERATED.fullmatch(returned)


def test_unknown_path_is_counted_under_one_route(application: FastAPI) -> None:
    """Paths that lead nowhere don't make a new time series each."""
    before = counted("unknown", "404")
    for path in ("/nowhere", "/elsewhere"):
        assert get(application, path).status_code == 404
    assert counted("unknown", "404") == before + 2


def test_health_checks_are_counted_but_not_logged(
    application: FastAPI, captured: LogCapture
) -> None:
    """A probe every few seconds would drown the other log entries."""

    @application.get("/health/test")
    async def healthy() -> str:
        return "yes"

    assert get(application, "/health/test").is_success
    assert counted("/health/test", "200") == 1
    assert entries(captured, "request") == []


def test_error_after_the_response_started_is_counted_as_500(
    application: FastAPI, captured: LogCapture
) -> None:
    """The client has a status already, but the request failed."""

    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        message = "too late"
        raise RuntimeError(message)

    application.mount("/broken", broken)
    before = counted("unknown", "500")
    get(application, "/broken/")
    assert counted("unknown", "500") == before + 1
    assert entries(captured, "request")[0]["status"] == 500
