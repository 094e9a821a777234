"""Uploads: pictures and documents, stored in the sandbox and served under /uploads."""

from pathlib import PurePosixPath
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.routing import Route

from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.records import StoredUpload

MEGABYTE = 1024 * 1024

IMAGES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
OFFICE = "application/vnd.openxmlformats-officedocument"
DOCUMENTS = {
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".docx": f"{OFFICE}.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": f"{OFFICE}.spreadsheetml.sheet",
    ".ppt": "application/vnd.ms-powerpoint",
    ".pptx": f"{OFFICE}.presentationml.presentation",
    ".csv": "text/csv",
    ".txt": "text/plain",
}


async def upload_image(call: ApiCall) -> ApiReply:
    _, url = await _store(call, IMAGES, 10)
    return ApiReply(msg=None, data={"url": url})


async def upload_document(call: ApiCall) -> ApiReply:
    upload, url = await _store(call, DOCUMENTS, 50)
    data: dict[str, Any] = {
        "url": url,
        "file_type": upload.file_type,
        "file_name": upload.file_name,
        "size_bytes": len(upload.content),
    }
    return ApiReply(msg=None, data=data)


async def _store(call: ApiCall, types: dict[str, str], megabytes: int) -> tuple[StoredUpload, str]:
    name, content = await _read_file(call, megabytes)
    file_type = types.get(PurePosixPath(name.lower()).suffix)
    if file_type is None:
        allowed = ", ".join(suffix.removeprefix(".").upper() for suffix in types)
        raise Refusal(400, "Unsupported file type", f"allowed types are {allowed}")
    upload = StoredUpload(id=call.parts.state.new_id(), file_name=name, file_type=file_type, content=content)
    call.parts.state.store.put(upload)
    return upload, f"{call.origin}uploads/{upload.id}"


async def _read_file(call: ApiCall, megabytes: int) -> tuple[str, bytes]:
    too_large = Refusal(400, f"File exceeds the maximum size of {megabytes} MB")
    # The form around the file is small: a body far above the limit is not read.
    declared = call.request.headers.get("content-length", "0")
    if int(declared) > megabytes * MEGABYTE + 65536:
        raise too_large
    try:
        async with call.request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise Refusal(400, "Invalid request body", "the form field 'file' is required")
            if file.size is not None and file.size > megabytes * MEGABYTE:
                raise too_large
            return PurePosixPath(file.filename.replace("\\", "/")).name, await file.read()
    except HTTPException as malformed:
        raise Refusal(400, "Invalid request body", malformed.detail) from None


routes = [
    Route("/upload/image", endpoint(upload_image), methods=["POST"]),
    Route("/upload/document", endpoint(upload_document), methods=["POST"]),
]
