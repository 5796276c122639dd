"""Requests that Schemathesis generates from the OpenAPI document."""

from __future__ import annotations

import httpx
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recaller.app import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


schema = schemathesis.openapi.from_dict(create_app().openapi())


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_responses_conform_to_openapi(
    case: schemathesis.Case, service: str, client: httpx.Client
) -> None:
    """No generated request gets a 5xx or a response that the document doesn't describe."""
    headers = {"Authorization": client.headers["Authorization"]}
    response = case.call(base_url=service, headers=headers)
    case.validate_response(response, checks=CHECKS)
