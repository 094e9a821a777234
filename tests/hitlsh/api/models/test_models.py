"""Every documented reply body reads into its model without loss."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hitlsh.api.calls import accounts, chains, loops, request_lists, requests, sessions, uploads, workflows
from hitlsh.api.operations import Envelope, Operation
from hitlsh.api.questions.builders import boolean
from hitlsh.api.resource import Resource
from hitlsh.events import Reviewer

OWN = Path(__file__).parents[1] / "samples"
#: The documented payload files, where the repository lies beside them.
SHARED = Path(__file__).parents[5] / "shared" / "hitl-api" / "payloads"
SAMPLES = sorted(path for folder in (OWN, SHARED) for path in folder.glob("rest.*.json") if ".error." not in path.name)

#: The call that each kind of sample answers, by the first word of its name.
CALLS: dict[str, Operation[Any]] = {
    "test": accounts.test(),
    "create-loop": loops.create("n", "i"),
    "list-loops": loops.list_all(),
    "get-loop": loops.get("l"),
    "update-loop": loops.update("l", name="n"),
    "delete-loop": loops.delete("l"),
    "members": loops.members("l"),
    "remove-member": loops.remove_member("l", "u"),
    "create-request": requests.create("l", "t", boolean(), default_response=False),
    "list-requests": request_lists.page(),
    "loop-requests": request_lists.list_of_loop("l"),
    "get-request": requests.get("r"),
    "cancel-request": requests.cancel("r"),
    "feedback": requests.feedback("r", rating=1),
    "session": sessions.get("s"),
    "turn": sessions.get_turn("s", "t"),
    "turn-wait": sessions.wait_for_turn("s", "t"),
    "chain": chains.get("r"),
    "upload": uploads.document(b"x", "a.txt"),
    "trigger": workflows.trigger("w"),
}


def reply(body: dict[str, Any]) -> Envelope:
    return Envelope(status=200, origin="https://api.hitl.sh", msg=body.get("msg"), data=body["data"])


def read(path: Path) -> tuple[Any, dict[str, Any]]:
    body = json.loads(path.read_text())
    return CALLS[path.name.split(".")[1]].read(reply(body)), body["data"]


def lost(found: Any, sent: Any) -> list[str]:
    """The fields of a JSON value that its model does not hold."""
    if isinstance(found, Resource):
        return [name for name, value in sent.items() if value is not None and lost(getattr(found, name, None), value)]
    if isinstance(found, tuple):
        return [str(at) for at, pair in enumerate(zip(found, sent, strict=True)) if lost(*pair)]
    if isinstance(found, datetime):
        return [] if found == datetime.fromisoformat(sent) else [sent]
    return [] if found == sent or str(found).endswith(str(sent)) else [str(sent)]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_documented_reply_reads_without_loss(path: Path) -> None:
    found, sent = read(path)

    parts = found if isinstance(found, tuple) else (found,)
    assert [lost(part, part.raw) for part in parts] == [[] for _ in parts]
    assert [part.extra for part in parts] == [{} for _ in parts]
    assert sent


def sample(name: str) -> Any:
    return read(OWN / f"rest.{name}.json")[0]


def test_false_and_zero_are_answers() -> None:
    assert sample("get-request.boolean-false.200").answer.value is False
    assert sample("get-request.rating-zero.200").answer.value == 0


def test_a_timeout_is_never_an_answer() -> None:
    request = sample("get-request.timeout.200")

    assert request.outcome == "timeout"
    assert request.answer is None
    assert request.default_response is False


def test_a_filled_in_default_of_a_timeout_is_no_answer_either() -> None:
    request = requests.get("r").read(reply({"data": {"id": "r", "status": "Timed Out", "response_data": "Reject"}}))

    assert request.outcome == "timeout"
    assert request.answer is None


def test_a_claimed_request_is_open() -> None:
    assert sample("get-request.claimed.200").outcome is None


def test_fields_straight_in_data_read_like_those_in_request() -> None:
    bare, wrapped = sample("get-request.bare.200"), sample("get-request.boolean-false.200")

    assert bare == wrapped


def test_the_reviewer_is_read_from_every_form() -> None:
    assert sample("get-request.boolean-false.200").reviewer.id == "65fc00000000000000000003"
    assert sample("get-request.reviewer-object.200").reviewer.name == "Dana"
    intro = requests.get("r").read(reply({"data": {"id": "r", "response_by": "dana@example.org"}}))
    assert intro.reviewer == Reviewer(email="dana@example.org")


def test_a_polling_url_is_joined_to_the_host_not_to_the_base_path() -> None:
    body = {"data": {"request_id": "r", "polling_url": "/v1/api/requests/r"}}

    created = CALLS["create-request"].read(reply(body))

    assert created.polling_url == "https://api.hitl.sh/v1/api/requests/r"


def test_the_quickstart_reply_gives_the_request_id() -> None:
    assert sample("create-request.201.quickstart").request_id == "65fb00000000000000000002"


def test_the_invite_code_is_found_inside_the_loop() -> None:
    assert sample("create-loop.201.codes-inside").invite_code == "AB12CD"


def test_what_a_model_does_not_name_is_kept() -> None:
    loop = loops.get("l").read(reply({"data": {"loop": {"id": "l", "colour": "red"}}}))

    assert loop.extra == {"colour": "red"}


def test_an_optional_field_of_another_type_is_kept_aside() -> None:
    body = {"data": {"loop": {"id": "l", "member_count": "many", "created_at": "yesterday", "members": [3]}}}

    loop = loops.get("l").read(reply(body))

    assert (loop.member_count, loop.created_at, loop.members) == (None, None, ())
    assert loop.extra == {"member_count": "many", "created_at": "yesterday", "members": [3]}


def test_a_time_that_go_never_set_is_none() -> None:
    loop = loops.get("l").read(reply({"data": {"loop": {"id": "l", "created_at": "0001-01-01T00:00:00Z"}}}))

    assert loop.created_at is None


def test_a_time_without_offset_is_utc() -> None:
    loop = loops.get("l").read(reply({"data": {"loop": {"id": "l", "created_at": "2026-01-01T00:00:00"}}}))

    assert loop.created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_missing_id_is_an_error_that_names_it() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Loop\.id is missing"):
        loops.get("l").read(reply({"data": {"loop": {"name": "x"}}}))


def test_a_model_shows_its_fields_but_not_its_raw_form() -> None:
    assert "raw" not in repr(sample("turn.201"))
    assert "human_decision=None" in repr(sample("turn.201"))


def test_a_turn_is_pending_until_a_person_has_decided() -> None:
    assert sample("turn-wait.408").pending
