import httpx
import pytest

from hitl_sandbox.testing import Sandbox
from tests.hitl_sandbox.caller import Caller, refusal

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_picture_is_kept_and_served(sandbox: Sandbox, api: Caller, prefix: str) -> None:
    api.prefix = prefix

    reply = api.call("POST", "/upload/image", files={"file": ("a.PNG", b"\x89PNG", "image/png")})

    body = reply.json()
    assert set(body) == {"error", "data"}
    served = httpx.get(body["data"]["url"])
    assert (served.content, served.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert served.headers["x-content-type-options"] == "nosniff"


def test_a_document_is_described(api: Caller) -> None:
    reply = api.call("POST", "/upload/document", files={"file": ("a b.pdf", b"%PDF", "application/pdf")})

    data = reply.json()["data"]
    assert data.pop("url").startswith("http://127.0.0.1")
    assert data == {"file_type": "application/pdf", "file_name": "a b.pdf", "size_bytes": 4}


@pytest.mark.parametrize(("path", "name"), [("image", "a.svg"), ("image", "a.pdf"), ("document", "a.mp4")])
def test_other_types_are_refused(api: Caller, path: str, name: str) -> None:
    reply = api.call("POST", f"/upload/{path}", files={"file": (name, b"x")})

    assert refusal(reply)[:2] == (400, "Unsupported file type")


def test_a_picture_has_ten_megabytes(api: Caller) -> None:
    fits = api.call("POST", "/upload/image", files={"file": ("a.png", b"x" * 10 * MEGABYTE)})
    over = api.call("POST", "/upload/image", files={"file": ("a.png", b"x" * (10 * MEGABYTE + 1))})

    assert fits.status_code == 200
    assert refusal(over) == (400, "File exceeds the maximum size of 10 MB", None)


def test_a_document_far_over_fifty_megabytes_is_not_read(api: Caller) -> None:
    reply = api.call("POST", "/upload/document", files={"file": ("a.txt", b"x" * 51 * MEGABYTE)})

    assert refusal(reply) == (400, "File exceeds the maximum size of 50 MB", None)


@pytest.mark.parametrize("content", [{"json": {}}, {"data": {"file": "text"}}, {"files": {"other": ("a.png", b"x")}}])
def test_a_form_without_the_file_is_refused(api: Caller, content: dict[str, object]) -> None:
    reply = api.call("POST", "/upload/image", **content)

    assert refusal(reply)[:2] == (400, "Invalid request body")
