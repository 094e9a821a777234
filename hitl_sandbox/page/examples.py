"""One example request of each response type, for the first visit to the page."""

from typing import Any

from hitl_sandbox.application import SandboxParts
from hitl_sandbox.model.records import StoredLoop
from hitl_sandbox.model.request_spec import read_spec
from hitl_sandbox.settings import OWNER

DEMO_KEY = "hitl_test_example"
LOOP = "Example desk"
REVIEWERS = ("priya@example.com", "noor@example.com")

EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "priority": "critical",
        "timeout_seconds": 600,
        "request_text": "## Refund **€ 480** to order 7731?\n\nThe customer says the parcel did not arrive. "
        "Tracking says *delivered, left with neighbour*.",
        "context": {"order": 7731, "customer_since": 2019, "refunds_before": 0},
        "response_type": "boolean",
        "response_config": {"true_label": "Refund it", "false_label": "Do not refund"},
        "default_response": False,
    },
    {
        "priority": "high",
        "timeout_seconds": 3600,
        "request_text": "May this forum reply go live?\n\n> Have you tried turning it off and on again? "
        "That is what fixed [mine](https://example.com/thread/1881).",
        "response_type": "single_select",
        "response_config": {
            "options": [
                {"value": "publish", "label": "Publish", "color": "#16a34a"},
                {"value": "hold", "label": "Hold back", "description": "Send it to a second reviewer"},
                {"value": "ask", "label": "Ask the author"},
            ]
        },
        "default_response": "hold",
    },
    {
        "priority": "medium",
        "timeout_seconds": 7200,
        "request_text": "An agent drafted this reply. Edit it to match our tone.",
        "response_type": "editable_text",
        "response_config": {
            "draft_text": "Dear customer, your ticket has been received and will be processed.",
            "max_length": 500,
        },
        "default_response": "Dear customer, your ticket has been received and will be processed.",
    },
    {
        "priority": "medium",
        "request_text": "What is wrong with the product description?\n\n| field | text |\n|---|---|\n"
        "| title | Blue Mug |\n| body | A red mug for tea. |",
        "response_type": "multi_select",
        "response_config": {
            "options": ["Typo", "Wrong colour", "Too short", "Off brand"],
            "min_selections": 0,
            "max_selections": 3,
        },
        "default_response": [],
    },
    {
        "priority": "low",
        "request_text": "How good is this summary?\n\n1. Revenue grew\n2. Costs grew faster",
        "response_type": "rating",
        "response_config": {"scale_min": 1, "scale_max": 5, "labels": {"1": "Useless", "5": "Excellent"}},
        "default_response": 3,
    },
    {
        "priority": "low",
        "request_text": "What should we offer for the used bicycle?",
        "response_type": "number",
        "response_config": {"min_value": 0, "max_value": 500, "decimal_places": 2, "prefix": "€"},
        "default_response": 0,
    },
    {
        "priority": "low",
        "request_text": "What should the next shift know?",
        "response_type": "text",
        "response_config": {"max_length": 280, "placeholder": "One sentence is enough"},
        "default_response": "",
    },
)


def create_examples(parts: SandboxParts) -> None:
    """Create all examples in the example loop, with the first key named at start or a demo key."""
    token, email = next(iter(parts.state.settings.keys.items()), (DEMO_KEY, OWNER))
    key = parts.state.add_key(token, email)
    loops = parts.state.store.find(StoredLoop, owner=key.user_id)
    loop = next((loop for loop in loops if loop.name == LOOP), None)
    if loop is None:
        loop = parts.loops.create(key, name=LOOP, icon="👋", description="Created by the button for examples")
        for reviewer in REVIEWERS:
            parts.loops.set_member(loop.id, reviewer)
        loop = parts.state.store.get(StoredLoop, loop.id) or loop
    for example in EXAMPLES:
        processing_type = "time-sensitive" if "timeout_seconds" in example else "deferred"
        spec = read_spec({"processing_type": processing_type, "type": "markdown", "platform": "web_portal", **example})
        parts.lifecycle.create(key, loop, spec)
