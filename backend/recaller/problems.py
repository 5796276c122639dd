"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger("recaller")


class Mistake(BaseModel):
    """One thing that is wrong with the input."""

    where: str
    what: str


class Problem(BaseModel):
    """A problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    mistakes: list[Mistake] = []


_EXAMPLES = {
    400: ("Bad Request", "The body isn't valid JSON."),
    401: ("Unauthorized", "Log in: the token is missing, wrong or expired."),
    404: ("Not Found", "There is no person 17."),
    409: ("Conflict", "An account with this e-mail address exists already."),
    422: ("Unprocessable Content", "The input can't be used."),
    503: ("Service Unavailable", "The database can't be reached."),
}


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says about errors of a route."""
    return {
        code: {
            "description": _EXAMPLES[code][0],
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": Problem(
                        title=_EXAMPLES[code][0], status=code, detail=_EXAMPLES[code][1]
                    ).model_dump(),
                }
            },
        }
        for code in codes
    }


def not_found(what: str, key: int) -> HTTPException:
    """Nothing of this account's has that key; whether of another's is nobody's business."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"There is no {what} {key}.")


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)
    _describe(app)


def _describe(app: FastAPI) -> None:
    """Add the problem document's schema to OpenAPI, which FastAPI does only for JSON of its own."""
    real = app.openapi

    def openapi() -> dict[str, Any]:
        document = real()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= schema.pop("$defs") | {"Problem": schema}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def document(
    status: int,
    detail: str,
    mistakes: list[Mistake] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A response that holds a problem document."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, mistakes=mistakes or []
    )
    return JSONResponse(
        problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    return document(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    mistakes = [
        Mistake(where=".".join(str(part) for part in one["loc"]), what=one["msg"])
        for one in error.errors()
    ]
    return document(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The input can't be used; see the mistakes.", mistakes
    )


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    _log.error("request.failed", exc_info=error)
    return document(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it is logged.")
