"""Structured logs and request metrics."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client import Counter, Histogram
from structlog.typing import Processor

from recaller.settings import ServiceSettings

_log = structlog.get_logger("recaller")
_requests = Counter(
    "recaller_requests_total", "Requests, by route and status.", ["method", "route", "status"]
)
_seconds = Histogram("recaller_request_seconds", "How long requests take.", ["method", "route"])
_QUIET = ("/health/", "/metrics")


def configure(settings: ServiceSettings) -> None:
    """Send all logs, the libraries' too, to standard output: one line each, JSON or human."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


def install(app: FastAPI) -> None:
    """Log and count each request."""

    @app.middleware("http")
    async def observe(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        structlog.contextvars.bind_contextvars(
            request=request.headers.get("x-request-id") or uuid.uuid4().hex[:12]
        )
        started = time.perf_counter()
        response = await call_next(request)
        seconds = time.perf_counter() - started
        route = getattr(request.scope.get("route"), "path", "unknown")
        _requests.labels(request.method, route, response.status_code).inc()
        _seconds.labels(request.method, route).observe(seconds)
        if not route.startswith(_QUIET):
            _log.info(
                "request",
                method=request.method,
                route=route,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
            )
        structlog.contextvars.clear_contextvars()
        return response
