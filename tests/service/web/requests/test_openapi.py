"""The document of the HTTP API: valid, complete, and true of the application."""

import re
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
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
from tests.service.web.requests.conftest import FUZZER, AskingReceiver, question

DOCUMENT = openapi_document()
CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
)  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_document_is_served_to_everybody(web: AskingReceiver) -> None:
    reply = web.receiver.client.get("/openapi.json")

    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == DOCUMENT
    assert web.receiver.client.post("/openapi.json").status_code == 405


def test_every_operation_has_an_id_a_summary_and_a_scope() -> None:
    operations = [
        operation for path in DOCUMENT["paths"].values() for name, operation in path.items() if name != "parameters"
    ]

    assert len({operation["operationId"] for operation in operations}) == len(operations) == 5
    assert all(operation["summary"] for operation in operations)
    assert all(re.search("scope `(ask|read)`", operation["description"]) for operation in operations)


def test_every_field_of_a_question_is_described() -> None:
    question_schema = DOCUMENT["components"]["schemas"]["NewQuestion"]

    assert [name for name, field in question_schema["properties"].items() if "description" not in field] == []


def _is_valid(schema: str, value: Any) -> bool:
    reference = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return bool(Draft202012Validator(reference).is_valid(value))


@pytest.mark.parametrize(
    ("fields", "is_valid"),
    [
        ({}, True),
        ({"key": "k", "escalate_to": [{"loop": "On call", "timeout_seconds": 600}], "trust": "signed"}, True),
        ({"timeout_seconds": None, "context": {"order": 1}, "state": [1], "image_url": None}, True),
        ({"text": ""}, False),
        ({"timeout_seconds": 59}, False),
        ({"response_type": "essay"}, False),
        ({"priority": "urgent"}, False),
        ({"timeout": 60}, False),
        ({"key": ""}, False),
    ],
)
def test_the_schema_of_a_question_is_that_of_the_application(
    web: AskingReceiver, fields: dict[str, Any], is_valid: bool
) -> None:
    asked = question(**fields)

    assert _is_valid("NewQuestion", asked) is is_valid
    assert (web.client.post("/requests", json=asked).status_code in (201, 202)) is is_valid


def test_every_reply_is_as_its_schema_says(web: AskingReceiver) -> None:
    request = web.ask(key="refund-42")
    web.asking.sandbox.answer(request["request_id"], "Approve")

    assert _is_valid("AskedRequest", request)
    assert _is_valid("AskedRequest", web.wait(request["id"]))
    assert _is_valid("RequestPage", web.client.get("/requests").json())
    assert _is_valid("Problem", web.client.get("/requests/unknown").json())
    assert _is_valid("Problem", web.client.post("/requests", json=question(key="refund-42", text="Other")).json())


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
    if re.fullmatch(r"\d+(\.\d+)?", str(case.query.get("wait"))) and float(str(case.query["wait"])) <= LONGEST_WAIT:
        case.query["wait"] = 0.1

    case.call_and_validate(base_url=web.url, headers={"authorization": f"Bearer {FUZZER}"}, checks=CHECKS, timeout=10)
