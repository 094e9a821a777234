"""Uploads for requests: images and documents (https://docs.hitl.sh, "Uploads"). Video and audio cannot be uploaded."""

from collections.abc import Mapping
from pathlib import PurePath

from hitlsh.api.errors import ArgumentInvalid
from hitlsh.api.models.optional import Upload
from hitlsh.api.operations import Attachment, Operation

_MB = 1024 * 1024
_OFFICE = "application/vnd.openxmlformats-officedocument"

_IMAGES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_DOCUMENTS = {
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".ppt": "application/vnd.ms-powerpoint",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".csv": "text/csv",
    ".txt": "text/plain",
}


def image(content: bytes, name: str) -> Operation[Upload]:
    """Upload a JPEG, PNG, GIF or WebP of up to 10 MB; the suffix of ``name`` tells its type."""
    return _upload("/upload/image", content, name, _IMAGES, 10)


def document(content: bytes, name: str) -> Operation[Upload]:
    """Upload a PDF, an Office file, CSV or text of up to 50 MB; the suffix of ``name`` tells its type."""
    return _upload("/upload/document", content, name, _DOCUMENTS, 50)


def _upload(path: str, content: bytes, name: str, types: Mapping[str, str], max_megabytes: int) -> Operation[Upload]:
    suffix = PurePath(name).suffix.lower()
    if suffix not in types:
        raise ArgumentInvalid(
            "file", f"{name!r} has a suffix that {path} does not take: it takes only {', '.join(types)}"
        )
    if not 0 < len(content) <= max_megabytes * _MB:
        raise ArgumentInvalid("file", f"{name!r} has {len(content)} bytes: {path} takes 1 byte to {max_megabytes} MB")
    attachment = Attachment(content=content, name=PurePath(name).name, content_type=types[suffix])
    return Operation(
        method="POST",
        path=path,
        attachment=attachment,
        read=lambda reply: Upload.from_payload(reply.data),
    )
