"""Describes the HTTP API as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html)."""

from importlib.metadata import version
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from hitlsh.api.questions.new_question import LONGEST_KEY, MAX_ESCALATIONS, NewQuestion
from hitlsh.asking.asked_request import AskedRequest
from service.web.requests import problems
from service.web.requests.problems import Problem
from service.web.requests.query_parameters import LONGEST_PAGE, LONGEST_WAIT
from service.web.requests.replies import Reply, reply_with_problem
from service.web.requests.request_endpoints import RequestPage

Json = dict[str, Any]

PATH = "/openapi.json"
_LEVELS = ["callback", "signed", "confirmed"]
_SECONDS: Json = {"minimum": 60, "maximum": 86_400}
_TIMES = frozenset({"asked_at", "timeout_at", "retry_at", "responded_at"})
#: What the types of a question do not say: limits, and what each field is for.
_QUESTION: dict[str, Json] = {
    "text": {"description": "What is asked; may contain Markdown.", "minLength": 1, "maxLength": 10_000},
    "loop": {"description": "Id or name of the loop that is asked.", "minLength": 1, "maxLength": 200},
    "response_type": {
        "description": "How it can be answered.",
        "enum": ["single_select", "multi_select", "rating", "number", "text", "editable_text", "boolean"],
    },
    "response_config": {
        "description": "Depends on the response type, as in HITL.sh's API.",
        "examples": [{"options": ["Approve", "Reject"]}],
    },
    "default_response": {"description": "What HITL.sh assumes when nobody answers; must fit the response type."},
    "timeout_seconds": {"description": "From 60 to 86400; without it, the request is open for 30 days."},
    "priority": {"description": "Shown to the reviewer; of questions that wait for calls, the highest is asked first."},
    "context": {"description": "Shown to the reviewer beside the text."},
    "image_url": {"description": "An image that is shown beside the text.", "format": "uri"},
    "state": {"description": "Comes back to handlers as `decision.state`; at most 2,048 bytes as JSON."},
    "key": {"description": "Idempotency key: a question with the same key is asked once."},
    "when_limited": {"description": "When the hour's calls to HITL.sh are used up: ask later, or answer 429."},
    "escalate_to": {
        "description": "Loops that are asked one after another when the one before has timed out.",
        "maxItems": MAX_ESCALATIONS,
    },
    "trust": {"description": "The least trust that the outcome must have."},
}
_ID: Json = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The request's `id`, or HITL.sh's own `request_id`.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_TRUST: Json = {
    "name": "trust",
    "in": "query",
    "description": "The least trust of an outcome that is shown; what was demanded when it was asked holds too.",
    "schema": {"enum": _LEVELS},
}
_WAIT: Json = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the outcome. Without one by then, the reply shows the request as it is.",
    "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT},
}
_LAST_EVENT_ID: Json = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was received.",
    "schema": {"type": "string"},
}
_LIMIT: Json = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE},
}
_AFTER: Json = {
    "name": "after",
    "in": "query",
    "description": "`next` of the previous page.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_RETRY_AFTER: Json = {
    "Retry-After": {
        "description": "Seconds after which to repeat the call.",
        "schema": {"type": "integer", "minimum": 0},
    }
}
#: Problems that every call may answer with.
_COMMON = {
    400: "A parameter is wrong: `problems` lists each.",
    401: "The token is missing or unknown.",
    403: "The token lacks the scope.",
    429: "The token makes too many calls.",
    503: "The receiver is not available now.",
}


def openapi_document() -> Json:
    """The document, as it is decoded from JSON."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "hitl-receiver",
            "version": version("hitl-receiver"),
            "description": "Ask a person through HITL.sh, and wait for the answer.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": "requests", "description": "Questions and their outcomes."}],
        "paths": {
            "/requests": {"get": _list_operation(), "post": _ask_operation()},
            "/requests/{id}": {"parameters": [_ID], "get": _read_operation(), "delete": _cancel_operation()},
            "/requests/{id}/events": {"parameters": [_ID], "get": _events_operation()},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of HITL_TOKENS."}
            },
        },
    }
    return dict(msgspec.json.decode(msgspec.json.encode(document)))


def _ask_operation() -> Json:
    location = {"Location": {"description": "Path of the request.", "schema": {"type": "string"}}}
    replies = {
        "200": _request_reply("The same question was asked with the same key before.", location),
        "201": _request_reply("Asked.", location),
        "202": _request_reply("Recorded; it is asked as soon as calls to HITL.sh are available.", location),
    }
    errors = {
        408: "The body did not arrive in time.",
        409: "The key belongs to another question: `fields` lists what differs.",
        413: "The question is too long.",
        415: "The body is not JSON.",
        422: "The question is invalid: `problems` lists each field. Or HITL.sh refuses it.",
        429: "The token makes too many calls, or no call to HITL.sh is left.",
    }
    body = {"required": True, "content": {"application/json": {"schema": _reference("NewQuestion")}}}
    return {"requestBody": body} | _operation("askQuestion", "Ask a question", "ask", replies, errors)


def _list_operation() -> Json:
    page = {"200": {"description": "A page.", "content": {"application/json": {"schema": _reference("RequestPage")}}}}
    return {"parameters": [_LIMIT, _AFTER]} | _operation("listRequests", "List open requests", "read", page, {})


def _read_operation() -> Json:
    replies = {"200": _request_reply("The request; `outcome` is null while it has none.", _RETRY_AFTER)}
    return {"parameters": [_WAIT, _TRUST]} | _operation(
        "getRequest", "Read a request, or wait for its outcome", "read", replies, {404: "There is no such request."}
    )


def _cancel_operation() -> Json:
    replies = {"200": _request_reply("Cancelled, or it will be once HITL.sh has it.", {})}
    errors = {404: "There is no such request.", 409: "It has ended.", 422: "HITL.sh refuses to cancel it."}
    return _operation("cancelRequest", "Cancel a request", "ask", replies, errors)


def _events_operation() -> Json:
    description = "Server-sent events: `id` is the version, `data` a request. They end with the outcome."
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _reference("AskedRequest")}
    event = {"type": "object", "properties": {"id": {"type": "string"}, "data": data}, "required": ["id", "data"]}
    replies = {
        "200": {"description": description, "content": {"text/event-stream": {"schema": event}}},
        "204": {"description": "The client has the outcome, so it need not reconnect."},
    }
    return {"parameters": [_TRUST, _LAST_EVENT_ID]} | _operation(
        "followRequest", "Follow a request", "read", replies, {404: "There is no such request."}
    )


def _operation(name: str, summary: str, scope: str, replies: Json, errors: dict[int, str]) -> Json:
    listed = sorted((_COMMON | errors).items())
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Needs the scope `{scope}`.",
        "tags": ["requests"],
        "responses": replies | {str(status): _problem_reply(status, text) for status, text in listed},
    }


def _request_reply(description: str, headers: Json) -> Json:
    content = {"application/json": {"schema": _reference("AskedRequest")}}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def _problem_reply(status: int, description: str) -> Json:
    content = {"application/problem+json": {"schema": _reference("Problem")}}
    return {"description": description, "content": content} | (
        {"headers": _RETRY_AFTER} if status in (429, 503) else {}
    )


def _schemas() -> Json:
    _, schemas = msgspec.json.schema_components(
        [AskedRequest, NewQuestion, RequestPage, Problem], ref_template="#/components/schemas/{name}"
    )
    question = schemas["NewQuestion"]["properties"]
    for name, described in _QUESTION.items():
        question[name] |= described
    _limit(question["timeout_seconds"], _SECONDS)
    _limit(question["key"], {"minLength": 1, "maxLength": LONGEST_KEY})
    escalation = schemas["Escalation"]["properties"]
    escalation["timeout_seconds"] |= _SECONDS
    escalation["loop"] |= {"minLength": 1, "maxLength": 200}
    for name, schema in schemas.items():
        if name in ("NewQuestion", "Escalation", "Problem"):
            continue
        # A reply has every field.
        schema["required"] = list(schema["properties"])
        for field in _TIMES & schema["properties"].keys():
            _limit(schema["properties"][field], {"format": "date-time"})
    return schemas


def _limit(schema: Json, limits: Json) -> None:
    """Add limits to the type that is not null."""
    for alternative in schema.get("anyOf", [schema]):
        if alternative.get("type") != "null":
            alternative |= limits


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


class DocumentEndpoint:
    """``GET /openapi.json``, for everybody: it tells nothing of what was asked."""

    def __init__(self) -> None:
        self._reply = Reply(body=msgspec.json.encode(openapi_document()))

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._reply.send(send)
        else:
            await reply_with_problem(problems.method_not_allowed(scope["method"], ["GET"])).send(send)
