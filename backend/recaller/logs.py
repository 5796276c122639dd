"""Structured logs and request metrics."""

from __future__ import annotations

import http
import logging
import re
import sys
import time
import uuid

import structlog
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import Processor

from recaller.problems import problem_response
from recaller.settings import ServiceSettings

_log = structlog.get_logger("recaller")
_requests = Counter(
    "recaller_requests_total", "Requests, by route and status.", ["method", "route", "status"]
)
_seconds = Histogram("recaller_request_seconds", "Duration of requests.", ["method", "route"])
_UNLOGGED_ROUTES = ("/health/", "/metrics")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""Ids that a client or a proxy may choose: they are logged, so only harmless characters pass."""


def configure(settings: ServiceSettings) -> None:
    """Send all logs, those of libraries too, to standard output, one line each, as text or JSON."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(settings),
            ],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def _renderer(settings: ServiceSettings) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=False)


def install(app: FastAPI) -> None:
    """Log and count each request of an application."""
    app.add_middleware(RequestLog)


class RequestLog:
    """Middleware that gives each request an id, logs it and counts it.

    It answers unhandled errors itself. Starlette's own handler for them is outside of all
    middleware: there the request's id is unknown, and the server logs the traceback a second time.

    Parameters:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI defines it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        # An error leaves this status in place: the server answers with it, or ends the connection.
        status = http.HTTPStatus.INTERNAL_SERVER_ERROR.value
        is_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, is_started
            if message["type"] == "http.response.start":
                status = message["status"]
                is_started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                status = http.HTTPStatus.INTERNAL_SERVER_ERROR.value
                _log.error("request.failed", exc_info=error)
                if is_started:
                    raise
                response = problem_response(status, "The service failed; the error is logged.")
                await response(scope, receive, send_with_id)
            finally:
                _record(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    """Return the client's id of a request if it is valid, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _record(scope: Scope, status: int, seconds: float) -> None:
    """Count a request and log it, unless it is one that monitoring sends all the time."""
    method = scope["method"]
    route = getattr(scope.get("route"), "path", "unknown")
    _requests.labels(method, route, status).inc()
    _seconds.labels(method, route).observe(seconds)
    if not route.startswith(_UNLOGGED_ROUTES):
        _log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
