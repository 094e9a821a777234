"""Calls that Schemathesis makes up from the document of the HTTP API.

It prepares them when the tests are collected, which takes a second: `make test-fast` leaves this module out.
"""

import re
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from service.web.requests.openapi_document import openapi_document
from service.web.requests.query_parameters import LONGEST_WAIT
from tests.service.web.requests.conftest import FUZZER, AskingReceiver

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
)  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(openapi_document())


def _settings(examples: int) -> Callable[[Any], Any]:
    checks = [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow]
    return hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=checks
    )


@pytest.fixture
def known_ids(web: AskingReceiver) -> dict[str, str]:
    """Requests that exist, by path: one that can be cancelled, and one whose events end."""
    ended = web.ask()["id"]
    web.client.delete(f"/requests/{ended}")
    return {"/requests/{id}": web.ask()["id"], "/requests/{id}/events": ended}


@SCHEMA.parametrize()
@_settings(30)
def test_calls_made_up_from_the_document_are_answered_as_it_says(
    case: Case, web: AskingReceiver, known_ids: dict[str, str]
) -> None:
    if len(case.path_parameters.get("id", "")) % 2:  # else what is unknown would be all that is tried
        case.path_parameters["id"] = known_ids[case.path]
    if case.path.endswith("/events") and case.query.get("trust") in ("signed", "confirmed"):
        case.query["trust"] = "callback"  # nobody confirms an end, so these events would go on
    if re.fullmatch(r"\d+(\.\d+)?", str(case.query.get("wait"))) and float(str(case.query["wait"])) <= LONGEST_WAIT:
        case.query["wait"] = 0.1

    case.call_and_validate(base_url=web.url, headers={"authorization": f"Bearer {FUZZER}"}, checks=CHECKS, timeout=10)
