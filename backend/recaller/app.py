"""The application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from liftlock import settings as liftlock_settings
from liftlock.revisions.build import address_of, build_of
from recaller import accounts, encounters, health, logs, people, problems, reminders, search
from recaller.database import engine_for
from recaller.settings import ServiceSettings

_log = structlog.get_logger("recaller")


def create_app(settings: ServiceSettings | None = None) -> FastAPI:
    """The service. Its database is the one that liftlock's settings name.

    Parameters:
        settings: the service's own; the environment's by default.
    """
    settings = settings or ServiceSettings()
    app = FastAPI(
        title="Recaller",
        version="0.1.0",
        summary="The people you meet, the encounters you had, and when to get back in touch.",
        lifespan=_lifespan,
    )
    app.state.settings = settings
    logs.install(app)
    problems.install(app)
    for part in (accounts, people, encounters, reminders, search, health):
        app.include_router(part.router)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServiceSettings = app.state.settings
    logs.configure(settings)
    app.state.liftlock = liftlock_settings.read()
    app.state.address = address_of(app.state.liftlock)
    revision = ",".join(sorted(build_of(app.state.liftlock).required))
    app.state.engine = engine_for(app.state.address, revision, settings.pool_size)
    given = settings.secret.get_secret_value() if settings.secret else None
    app.state.secret = given or await accounts.signing_key(app.state.engine)
    _log.info(
        "service.started",
        revision=revision,
        database=repr(app.state.address),
        docs=f"http://localhost:{settings.port}/docs",
    )
    yield
    await app.state.engine.dispose()
    _log.info("service.stopped")
