"""The document of the HTTP API: valid, complete, and true of the application."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.web.requests.openapi_document import openapi_document
from tests.service.web.requests.conftest import AskingReceiver, question

DOCUMENT = openapi_document()


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


@pytest.mark.slow
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
