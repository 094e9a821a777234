"""The key and the loops, by both clients over HTTP."""

from typing import Any

import pytest

from hitl_sandbox.testing import Sandbox
from hitlsh.api import BadRequest, Forbidden, NotFound, Unauthorized

NO_LOOP = "f" * 24


async def test_a_key_is_tested(api: Any) -> None:
    key = await api.test()

    assert key.account_status == "active"
    assert "requests:write" in key.permissions
    assert key.rate_limit.limit == api.rate_limit.limit == 100
    assert api.rate_limit.remaining == 99
    assert api.rate_limit.reset_at > api.rate_limit.observed_at


async def test_a_loop_lives_and_goes(api: Any) -> None:
    created = await api.loops.create("Refunds", "💶", description="Above 100 €")
    found = await api.loops.get(created.loop.id)
    changed = await api.loops.update(found.id, name="Refunds, large", description="")
    listed = await api.loops.list()
    gone = await api.loops.delete(found.id)

    assert created.invite_code
    assert created.qr_code_base64.startswith("data:image/png;base64,")
    assert (found.name, found.icon, found.description) == ("Refunds", "💶", "Above 100 €")
    assert (changed.name, changed.icon) == ("Refunds, large", "💶")
    assert [loop.id for loop in listed] == [found.id]
    assert gone.loop_id == found.id
    assert await api.loops.list() == ()


async def test_members_are_listed_and_removed(api: Any, loop_id: str, sandbox: Sandbox) -> None:
    sandbox.add_member(loop_id, "noor@example.org", status="pending")

    found = await api.loops.members(loop_id)
    kim = next(person for person in found.members if person.email == "kim@example.org")
    noor = next(person for person in found.members if person.email == "noor@example.org")
    removed = await api.loops.remove_member(loop_id, kim.user_id)

    assert (found.loop_id, found.member_count) == (loop_id, 3)
    assert (kim.status, noor.status, noor.joined_at) == ("active", "pending", None)
    assert (removed.loop_id, removed.user_id) == (loop_id, kim.user_id)
    assert len((await api.loops.members(loop_id)).members) == 2


async def test_the_path_without_api_works_too(opened: Any) -> None:
    api = opened(api_prefix="")

    created = await api.loops.create("Refunds", "lock")

    assert (await api.loops.get(created.loop.id)).name == "Refunds"


@pytest.mark.parametrize("call", ["get", "delete", "members"])
async def test_an_unknown_loop_is_not_found(api: Any, call: str) -> None:
    with pytest.raises(NotFound) as refused:
        await getattr(api.loops, call)(NO_LOOP)

    assert refused.value.msg == "Loop not found"
    assert NO_LOOP in refused.value.path


async def test_an_id_that_is_none_is_a_bad_request(api: Any) -> None:
    with pytest.raises(BadRequest, match="Invalid loop ID format"):
        await api.loops.get("seventeen")


async def test_a_stranger_may_not_touch_a_loop(opened: Any, loop_id: str) -> None:
    stranger = opened("hitl_test_of_somebody_else")

    for refused in (stranger.loops.get, stranger.loops.delete, stranger.loops.members):
        with pytest.raises(Forbidden):
            await refused(loop_id)
    with pytest.raises(Forbidden):
        await stranger.loops.update(loop_id, name="Mine")


async def test_a_member_is_no_creator(opened: Any, loop_id: str, sandbox: Sandbox) -> None:
    sandbox.add_key("hitl_test_of_kim", email="kim@example.org")
    kim = opened("hitl_test_of_kim")

    with pytest.raises(Forbidden, match="Only loop creator can update the loop"):
        await kim.loops.update(loop_id, name="Mine")
    with pytest.raises(Forbidden, match="Only loop creator can delete the loop"):
        await kim.loops.delete(loop_id)


async def test_the_creator_stays_and_a_stranger_cannot_be_removed(api: Any, loop_id: str) -> None:
    creator = (await api.loops.get(loop_id)).creator_id

    with pytest.raises(Forbidden, match="creator cannot"):
        await api.loops.remove_member(loop_id, creator)
    with pytest.raises(NotFound, match="not a member"):
        await api.loops.remove_member(loop_id, NO_LOOP)


async def test_an_inactive_key_is_unauthorized(opened: Any, sandbox: Sandbox) -> None:
    sandbox.add_key("hitl_test_of_kim", email="kim@example.org", active=False)

    with pytest.raises(Unauthorized, match="API key is inactive"):
        await opened("hitl_test_of_kim").test()
