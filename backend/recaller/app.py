"""The application, assembled from its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

import liftlock
from recaller import accounts, encounters, health, logs, people, problems, reminders, search
from recaller.database import engine_for
from recaller.settings import ServiceSettings

_log = structlog.get_logger("recaller")


class Application(FastAPI):
    """A FastAPI application whose OpenAPI document also describes its errors."""

    def openapi(self) -> dict[str, Any]:
        """Build the OpenAPI document."""
        return problems.add_schema(super().openapi())


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """Create the service. Its database is the one that liftlock's settings name.

    Parameters:
        settings: of the service; read from the environment by default.
    """
    settings = settings or ServiceSettings()
    app = Application(
        title="Recaller",
        version="0.1.0",
        summary="The people you meet, the encounters you had, and when to get back in touch.",
        lifespan=_lifespan,
    )
    app.state.settings = settings
    logs.install(app)
    problems.install(app)
    for module in (accounts, people, encounters, reminders, search, health):
        app.include_router(module.router)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServiceSettings = app.state.settings
    logs.configure(settings)
    app.state.liftlock = liftlock.settings_from_environment()
    app.state.address = liftlock.database_address(app.state.liftlock)
    revision = ",".join(sorted(liftlock.required_revisions(app.state.liftlock)))
    app.state.engine = engine_for(app.state.address, revision, settings.pool_size)
    configured = settings.secret.get_secret_value() if settings.secret else None
    app.state.secret = configured or await accounts.signing_key(app.state.engine)
    _log.info(
        "service.started",
        revision=revision,
        database=repr(app.state.address),
        docs=f"http://localhost:{settings.port}/docs",
    )
    yield
    await app.state.engine.dispose()
    _log.info("service.stopped")
