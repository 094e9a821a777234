"""Loops and their members (https://docs.hitl.sh, "Loops")."""

from typing import Any

from msgspec import UNSET, UnsetType

from hitlsh.api.models.loops import CreatedLoop, DeletedLoop, Loop, Members, RemovedMember
from hitlsh.api.operations import Envelope, Operation, changed_fields, encode_body, path_segment, without_none
from hitlsh.api.questions.limits import check_length


def create(name: str, icon: str, *, description: str | None = None) -> Operation[CreatedLoop]:
    """Create a loop; the reply holds the invite code with which people join in the app.

    ``name`` and ``icon``: 1 to 100 characters; ``description``: up to 500. After a lost reply, list the loops before
    you create it again.
    """
    check_length("name", name, 1, 100)
    check_length("icon", icon, 1, 100)
    if description is not None:
        check_length("description", description, 0, 500)
    body = encode_body({"name": name, "icon": icon} | without_none(description=description))
    return Operation(method="POST", path="/api/loops", body=body, read=_created)


def list_all() -> Operation[tuple[Loop, ...]]:
    """Return all loops of the owner of the API key; there is no paging."""
    return Operation(method="GET", path="/api/loops", read=_listed)


def get(loop_id: str) -> Operation[Loop]:
    """Return one loop with its members."""
    return Operation(method="GET", path=_path(loop_id), read=_one)


def update(
    loop_id: str,
    *,
    name: str | UnsetType = UNSET,
    description: str | UnsetType = UNSET,
    icon: str | UnsetType = UNSET,
) -> Operation[Loop]:
    """Change the given fields; only the creator of the loop may."""
    fields = changed_fields(name=name, description=description, icon=icon)
    for field, minimum, maximum in (("name", 1, 100), ("description", 0, 500), ("icon", 1, 100)):
        if field in fields:
            check_length(field, fields[field], minimum, maximum)
    return Operation(method="PUT", path=_path(loop_id), body=encode_body(fields), read=_one)


def delete(loop_id: str) -> Operation[DeletedLoop]:
    """Delete a loop and its requests. This cannot be undone."""
    return Operation(
        method="DELETE",
        path=_path(loop_id),
        read=lambda reply: DeletedLoop.from_payload({"loop_id": loop_id, **reply.data}),
    )


def members(loop_id: str) -> Operation[Members]:
    """Return the members of a loop, pending ones included. No call adds a member: people join with the invite code."""
    return Operation(
        method="GET",
        path=f"{_path(loop_id)}/members",
        read=lambda reply: Members.from_payload({"loop_id": loop_id, **reply.data}),
    )


def remove_member(loop_id: str, user_id: str) -> Operation[RemovedMember]:
    """Remove a member from a loop; the creator cannot be removed."""
    ids = {"loop_id": loop_id, "user_id": user_id}
    return Operation(
        method="DELETE",
        path=f"{_path(loop_id)}/members/{path_segment('user_id', user_id)}",
        read=lambda reply: RemovedMember.from_payload(ids | reply.data),
    )


def _path(loop_id: str) -> str:
    return f"/api/loops/{path_segment('loop_id', loop_id)}"


def _one(reply: Envelope) -> Loop:
    return Loop.from_payload(reply.inner("loop"))


def _listed(reply: Envelope) -> tuple[Loop, ...]:
    return tuple(Loop.from_payload(loop) for loop in reply.items("loops"))


def _created(reply: Envelope) -> CreatedLoop:
    """Read the codes beside the loop or, as some pages show them, inside it."""
    loop = reply.inner("loop")
    names = ("invite_code", "qr_code_base64", "qr_code_url", "join_url")
    inside: dict[str, Any] = {name: loop[name] for name in names if name in loop}
    return CreatedLoop.from_payload({**inside, **reply.data, "loop": loop})
