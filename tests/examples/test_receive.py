"""The examples for other frameworks, each through its framework's own test client."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
import django.test
import pytest
from django.conf import settings
from fastapi.testclient import TestClient

from examples import receive_django, receive_fastapi, receive_flask
from hitlsh.webhooks import CallbackSigner

SAMPLES = Path(__file__).parents[1] / "samples"
VECTORS = json.loads((SAMPLES / "signatures.json").read_bytes())
KEY = "callback_key_for_tests"
BODY = (SAMPLES / "callback-v2.completed.boolean.json").read_bytes()

Post = Callable[[str, bytes, Mapping[str, str]], int]


def django_client() -> Post:
    if not settings.configured:
        receive_django.configure()
        django.setup()
    client: Any = django.test.Client()

    def post(path: str, body: bytes, headers: Mapping[str, str]) -> int:
        response = client.post(path, data=body, content_type="application/json", headers=headers)
        assert response.content == b""
        return int(response.status_code)

    return post


def flask_client() -> Post:
    client = receive_flask.create_app().test_client()

    def post(path: str, body: bytes, headers: Mapping[str, str]) -> int:
        response = client.post(path, data=body, headers={**headers, "Content-Type": "application/json"})
        assert response.data == b""
        return response.status_code

    return post


def fastapi_client() -> Post:
    client = TestClient(receive_fastapi.create_app())

    def post(path: str, body: bytes, headers: Mapping[str, str]) -> int:
        response = client.post(path, content=body, headers={**headers, "Content-Type": "application/json"})
        assert response.content in {b"", b"null"}
        return response.status_code

    return post


@pytest.fixture(params=[django_client, flask_client, fastapi_client], ids=["django", "flask", "fastapi"])
def post(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setenv("HITL_WEBHOOK_SECRETS", f"the_one_before,{VECTORS['secret']}")
    monkeypatch.setenv("HITL_CALLBACK_SECRETS", KEY)
    return request.param()


@pytest.mark.parametrize("sample", VECTORS["hex"])
def test_a_signed_sample_is_received(post: Post, sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"X-HITL-Signature-256": f"sha256={VECTORS['hex'][sample]}"}

    assert post("/webhooks/hitl", (SAMPLES / sample).read_bytes(), headers) == 202
    assert capsys.readouterr().out


def test_an_answer_at_a_callback_url_is_received(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    token = CallbackSigner([KEY]).mint({"order": 17})

    assert post(f"/callbacks/{token}", BODY, {}) == 202
    assert "request.completed" in capsys.readouterr().out


@pytest.mark.parametrize("headers", [{}, {"X-HITL-Signature": "0" * 64}, {"X-HITL-Signature": "g"}])
def test_a_delivery_that_is_not_proven_is_401(
    post: Post, headers: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert post("/webhooks/hitl", BODY, headers) == 401
    assert post("/callbacks/x.y.z", BODY, headers) == 401
    assert capsys.readouterr().out == ""


def test_a_verified_body_that_is_not_json_is_400(post: Post) -> None:
    assert post(f"/callbacks/{CallbackSigner([KEY]).mint()}", b"{", {}) == 400
