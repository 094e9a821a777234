"""What happened to a request, as every webhook form is given it."""

from typing import Any

import msgspec

from hitl_sandbox.model.answers import write_answer
from hitl_sandbox.model.records import Loop, Member, Request
from hitl_sandbox.settings import ResponseForm


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a request."""

    event: str
    at: float
    request: Request
    loop: Loop
    #: Who answered or claimed.
    reviewer: Member | None = None
    #: How the answer is written in the forms that leave it open.
    form: ResponseForm = "object"
    #: Fill response_data with the default when the request timed out.
    fill_timeout: bool = False

    def response(self, form: ResponseForm | None = None) -> Any:
        request = self.request
        if request.status == "timeout" and self.fill_timeout:
            return request.ask.default_response
        if request.status != "completed":
            return None
        return write_answer(request.ask, request.answer, form or self.form)

    def person(self, id_name: str) -> dict[str, Any] | None:
        if self.reviewer is None or self.request.status != "completed":
            return None
        return {id_name: self.reviewer.user_id, "name": self.reviewer.name, "email": self.reviewer.email}


def refund_info(request: Request) -> dict[str, Any]:
    if request.previous_status == "claimed":
        return {"refunded": False, "reason": "Request was already being processed by reviewer"}
    return {"refunded": True, "reason": "Request cancelled before processing began"}
