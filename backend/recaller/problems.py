"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """A mistake in the input, and the field that has it."""

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
    """Describe the errors of a route for OpenAPI.

    Parameters:
        codes: their HTTP statuses.
    """
    return {code: _described(code, *_EXAMPLES[code]) for code in codes}


def _described(code: int, title: str, detail: str) -> dict[str, Any]:
    example = Problem(title=title, status=code, detail=detail).model_dump()
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": title,
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }


def not_found(kind: str, key: int) -> HTTPException:
    """Make the error for a key that the account has no row for.

    It is the same when the row belongs to another account, so that keys can't be probed.
    """
    return HTTPException(HTTPStatus.NOT_FOUND, f"There is no {kind} {key}.")


def problem_response(
    status: int,
    detail: str,
    mistakes: list[Mistake] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Make a response that holds a problem document."""
    title = HTTPStatus(status).phrase
    problem = Problem(title=title, status=status, detail=detail, mistakes=mistakes or [])
    return JSONResponse(
        problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def install(app: FastAPI) -> None:
    """Answer every rejected request with a problem document."""
    app.exception_handler(StarletteHTTPException)(_rejected)
    app.exception_handler(RequestValidationError)(_invalid)


def add_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schema of problem documents to an OpenAPI document.

    FastAPI adds the schemas of a route's models for the media type application/json only.
    """
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= schema.pop("$defs") | {"Problem": schema}
    return document


async def _rejected(_request: Request, error: StarletteHTTPException) -> JSONResponse:
    return problem_response(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    mistakes = [
        Mistake(where=".".join(str(part) for part in mistake["loc"]), what=mistake["msg"])
        for mistake in error.errors()
    ]
    return problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The input can't be used; see the mistakes.", mistakes
    )
