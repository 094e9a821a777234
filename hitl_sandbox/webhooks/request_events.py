"""An event of a request: the input of every webhook form."""

from typing import Any

import msgspec

from hitl_sandbox.model.answers import write_answer
from hitl_sandbox.model.records import StoredLoop, StoredMember, StoredRequest
from hitl_sandbox.settings import ResponseForm


class RequestEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a request's state."""

    #: ``request.completed`` and its like.
    name: str
    at: float
    request: StoredRequest
    loop: StoredLoop
    #: Who answered or claimed.
    reviewer: StoredMember | None = None
    #: The form of an answer where the documents leave it open.
    form: ResponseForm = "object"
    #: Fill response_data with the default when the request timed out.
    fill_timeout: bool = False

    def response(self, form: ResponseForm | None = None) -> Any:
        """The answer in this form; None unless the request is completed."""
        request = self.request
        if request.status == "timeout" and self.fill_timeout:
            return request.spec.default_response
        if request.status != "completed":
            return None
        return write_answer(request.spec, request.answer, form or self.form)

    def person(self, id_name: str) -> dict[str, Any] | None:
        """Who answered, with the user id under `id_name`: the documents call it ``id`` or ``user_id``."""
        if self.reviewer is None or self.request.status != "completed":
            return None
        return {id_name: self.reviewer.user_id, "name": self.reviewer.name, "email": self.reviewer.email}


def refund_info(request: StoredRequest) -> dict[str, Any]:
    """Whether a cancelled request returned its unit of quota, in the documents' words."""
    if request.previous_status == "claimed":
        return {"refunded": False, "reason": "Request was already being processed by reviewer"}
    return {"refunded": True, "reason": "Request cancelled before processing began"}
