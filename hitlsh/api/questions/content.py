"""The content of a request beside its text: images, a file, videos or audio, each by URL.

Follows https://docs.hitl.sh, "Rich content".
"""

from typing import Any

import msgspec

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.operations import without_none
from hitlsh.api.questions.limits import check_url


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The ``type`` of a request and the fields of that type."""

    type: str
    fields: dict[str, Any] = {}


#: Text only, which may contain Markdown.
MARKDOWN = Content(type="markdown")


def image(*urls: str) -> Content:
    """Show one image or several."""
    return _linked("image", urls)


def video(*urls: str) -> Content:
    """Show one video or several. HITL.sh stores none, so they must be hosted elsewhere."""
    return _linked("video", urls)


def audio(*urls: str) -> Content:
    """Show one recording or several. HITL.sh stores none, so they must be hosted elsewhere."""
    return _linked("audio", urls)


def file(address: str, *, file_type: str | None = None, file_name: str | None = None) -> Content:
    """Show a document. The create page requires MIME type and name too; ``uploads.document`` returns all three."""
    check_url("file_url", address)
    return Content(type="file", fields={"file_url": address} | without_none(file_type=file_type, file_name=file_name))


def _linked(kind: str, urls: tuple[str, ...]) -> Content:
    if not urls:
        raise ArgumentInvalid(f"{kind}_url", "is missing: give one or several addresses")
    for address in urls:
        check_url(f"{kind}_url", address)
    fields: dict[str, Any] = {f"{kind}_url": urls[0]}
    return Content(type=kind, fields=fields if len(urls) == 1 else fields | {f"{kind}_urls": list(urls)})
