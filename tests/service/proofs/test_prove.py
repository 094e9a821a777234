"""`hitl-receiver doctor --prove`, against real web processes and through a real proxy that does harm."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from service.cli.main import cli
from service.doctor.findings import Finding
from service.local.embedded_server import EmbeddedServer
from service.proofs.prover import Prover
from tests.ports import free_port
from tests.service.conftest import CALLBACK_KEY, ENVIRON, OLD_SECRET, SECRET, Receiver, serving, wait_until
from tests.service.proofs.proxies import Behaviour, Forward, Message, proxy
from workers.inbox import keys
from workers.inbox.operations import proofs
from workers.redis_clients import command_client
from workers.settings import Settings

CASES = ["repeated", "forged", "malformed", "largest", "oversized"]


def settings(redis_url: str, **environ: str) -> Settings:
    return Settings.from_env({**ENVIRON, "REDIS_URL": redis_url, **environ})


def prove(server: EmbeddedServer, url: str, redis: Redis, *, seconds: float = 15.0, **environ: str) -> list[Finding]:
    return list(Prover(settings(server.url, **environ), url, redis, seconds=seconds).prove())


def bad(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.check.partition(".")[2], one.level, one.text) for one in findings if one.level != "ok"]


def refusals(receiver: Receiver) -> int:
    """How many deliveries the web process has refused and counted."""
    return receiver.log.read_text().count("delivery.refused")


def inbox_keys(redis: Redis) -> set[bytes]:
    """All keys but the proofs and what a web process writes each second."""
    names = {key.decode(): key for key in redis.scan_iter()}
    names_of_passing = ("proof:", "clock", "counters", "latest", "present:", "recent:", "alarms")
    passing = tuple(f"{keys.PREFIX}{name}" for name in names_of_passing)
    return {key for name, key in names.items() if not name.startswith(passing)}


# -- without harm --------------------------------------------------------------------------------------


def test_a_receiver_proves_itself(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    before = refusals(receiver)
    words = ("doctor", "--prove", f"http://127.0.0.1:{receiver.port}", "--json")

    run = CliRunner().invoke(cli, words, env={**ENVIRON, "REDIS_URL": server.url})

    problems = json.loads(run.stdout)["findings"]
    assert [(one["check"], one["level"]) for one in problems] == [
        *[(f"prove.{name}", "ok") for name in ("identity", "secrets", *CASES)],
        *[(f"prove.{name}", "ok") for name in ("identity", "repeated", "forged", "late", *CASES[2:])],
    ]
    assert run.exit_code == 0
    assert refusals(receiver) == before
    assert inbox_keys(redis) == set()
    assert not list(redis.scan_iter(keys.proof("*")))


def test_the_address_is_that_of_the_settings(receiver: Receiver, server: EmbeddedServer) -> None:
    environ = {**ENVIRON, "REDIS_URL": server.url, "HITL_PUBLIC_URL": f"http://127.0.0.1:{receiver.port}"}

    run = CliRunner().invoke(cli, ("doctor", "--prove"), env=environ)

    assert run.exit_code == 0
    assert f"Callback URLs: http://127.0.0.1:{receiver.port} leads to this receiver" in run.stdout


@pytest.mark.parametrize("words", [["--prove", "hooks.example.com"], ["--prove", "http://x/?a=1"], ["--offline"]])
def test_an_invalid_use_of_prove_is_refused(words: list[str], server: EmbeddedServer) -> None:
    more = [] if "--prove" in words else ["--prove", "http://127.0.0.1:1"]

    run = CliRunner().invoke(cli, ("doctor", *more, *words), env={**ENVIRON, "REDIS_URL": server.url})

    assert run.exit_code == 2
    assert "Error: " in run.stderr


def test_without_a_secret_nothing_is_posted(server: EmbeddedServer, redis: Redis) -> None:
    [nothing] = prove(server, "http://127.0.0.1:1", redis, HITL_WEBHOOK_SECRETS="", HITL_CALLBACK_SECRETS="")

    assert nothing.text.startswith("Neither HITL_WEBHOOK_SECRETS nor HITL_CALLBACK_SECRETS is set here")


def test_without_redis_nothing_is_posted(server: EmbeddedServer) -> None:
    with command_client("redis://127.0.0.1:1/0") as nowhere:
        [finding] = prove(server, "http://127.0.0.1:1", nowhere)

    assert (finding.check, finding.level) == ("prove.redis", "error")


# -- other receivers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """The same secrets, another Redis."""
    folder = tmp_path_factory.mktemp("staging")
    with EmbeddedServer(folder / "server", fsync="everysec") as own, serving(own.url, folder / "log") as running:
        yield running


def test_another_installation_with_the_same_secrets(staging: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    problems = bad(prove(server, f"http://127.0.0.1:{staging.port}", redis))

    assert [(check, level) for check, level, _ in problems] == [("identity", "error")] * 2
    assert all("with another Redis than REDIS_URL here" in text for _, _, text in problems)
    assert not list(redis.scan_iter(keys.proof("*")))


def test_a_receiver_with_other_secrets(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    environ = {"HITL_WEBHOOK_SECRETS": "whsec_of_somebody_else", "HITL_CALLBACK_SECRETS": "callback_of_somebody_else"}

    problems = bad(prove(server, f"http://127.0.0.1:{receiver.port}", redis, **environ))

    assert [check for check, _, _ in problems] == ["identity", "identity"]
    assert all("401 without a proof: a receiver with another secret" in text for _, _, text in problems)


def test_a_receiver_that_was_not_restarted_after_a_rotation(
    receiver: Receiver, server: EmbeddedServer, redis: Redis
) -> None:
    rotated = {"HITL_WEBHOOK_SECRETS": f"{SECRET},whsec_newer_than_both", "HITL_CALLBACK_SECRETS": CALLBACK_KEY}

    problems = bad(prove(server, f"http://127.0.0.1:{receiver.port}", redis, **rotated))

    assert [(check, level) for check, level, _ in problems] == [("identity", "error"), ("secrets", "error")]
    assert problems[1][2].endswith("the receiver has secret 1 of 2, and not the newest.")


def test_a_receiver_that_lacks_an_earlier_secret(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    more = {"HITL_WEBHOOK_SECRETS": f"whsec_older_than_both,{OLD_SECRET},{SECRET}"}

    [(check, level, text)] = bad(prove(server, f"http://127.0.0.1:{receiver.port}", redis, **more))

    assert (check, level) == ("secrets", "warning")
    assert text.startswith("Account webhooks: secret 1 of 3 of HITL_WEBHOOK_SECRETS is not accepted")


@pytest.mark.slow
def test_a_receiver_without_one_of_the_endpoints(server: EmbeddedServer, redis: Redis, tmp_path: Path) -> None:
    with serving(server.url, tmp_path / "log", HITL_CALLBACK_SECRETS="") as webhooks_only:
        [(check, _, text)] = bad(prove(server, f"http://127.0.0.1:{webhooks_only.port}", redis))

    assert check == "identity"
    assert "Callback URLs" in text
    assert "404 without a proof: nothing takes deliveries there" in text


def test_a_receiver_with_another_limit(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    url = f"http://127.0.0.1:{receiver.port}"

    smaller = bad(prove(server, url, redis, HITL_MAX_BODY="100000"))
    larger = bad(prove(server, url, redis, HITL_MAX_BODY="300000"))

    assert [(check, level) for check, level, _ in smaller] == [("oversized", "warning")] * 2
    assert [(check, level) for check, level, _ in larger] == [("largest", "warning")] * 2
    assert all("another HITL_MAX_BODY" in text for _, _, text in smaller + larger)


@pytest.mark.slow
def test_a_receiver_that_takes_no_deliveries_now(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "server", fsync="everysec") as own,
        serving(own.url, tmp_path / "log") as nearly_full,
        Redis.from_url(own.url) as redis,
    ):
        redis.setrange("filler", 20 << 20, "x")
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.95))
        wait_until(lambda: nearly_full.client.get("/health/ready").status_code == 503)
        problems = bad(prove(own, f"http://127.0.0.1:{nearly_full.port}", redis))

    assert [(check, level) for check, level, _ in problems] == [("accepted", "error")] * 2
    assert all("does not take deliveries now (not_ready)" in text for _, _, text in problems)


def test_a_port_without_a_listener_is_an_error(server: EmbeddedServer, redis: Redis) -> None:
    problems = bad(prove(server, f"http://127.0.0.1:{free_port()}", redis))

    assert [(check, "ConnectError" in text) for check, _, text in problems] == [("identity", True)] * 2


# -- on the way ----------------------------------------------------------------------------------------


def reencode(request: Message, forward: Forward) -> Message:
    with suppress(ValueError):
        request.body = json.dumps(json.loads(request.body)).encode()
    return forward(request)


def strip_signature(request: Message, forward: Forward) -> Message:
    request.headers.pop("x-hitl-signature-256", None)
    return forward(request)


def strip_unusual_headers(request: Message, forward: Forward) -> Message:
    request.headers = {name: value for name, value in request.headers.items() if not name.startswith("x-")}
    return forward(request)


def change_signature(request: Message, forward: Forward) -> Message:
    if "x-hitl-signature-256" in request.headers:
        request.headers["x-hitl-signature-256"] = "sha256=" + "0" * 64
    return forward(request)


def drop_query(request: Message, forward: Forward) -> Message:
    request.path = request.path.partition("?")[0]
    return forward(request)


def change_type(request: Message, forward: Forward) -> Message:
    request.headers["content-type"] = "text/plain"
    return forward(request)


def lower_path(request: Message, forward: Forward) -> Message:
    path, _, query = request.path.partition("?")
    request.path = f"{path.lower()}?{query}"
    return forward(request)


def limit(request: Message, forward: Forward) -> Message:
    return Message(status=413) if len(request.body) > 100_000 else forward(request)


def swallow_refusals(request: Message, forward: Forward) -> Message:
    answer = forward(request)
    return answer if answer.status < 400 else Message(status=200, body=b"OK")


def repeat(request: Message, forward: Forward) -> Message:
    forward(request)
    return forward(request)


def replace_answers(request: Message, forward: Forward) -> Message:
    return Message(status=forward(request).status, body=b"<html>Thank you</html>")


def redirect(request: Message, _forward: Forward) -> Message:
    return Message(status=301, headers={"location": f"https://www.example.com{request.path}"})


def accept_everything(_request: Message, _forward: Forward) -> Message:
    return Message(status=200, body=b'{"ok":true}')


def refuse_everything(_request: Message, _forward: Forward) -> Message:
    return Message(status=403, body=b"blocked")


def bad_gateway(_request: Message, _forward: Forward) -> Message:
    return Message(status=502)


class Cache:
    """Answers what it has seen before."""

    def __init__(self) -> None:
        self._seen: dict[str, Message] = {}

    def __call__(self, request: Message, forward: Forward) -> Message:
        if request.path not in self._seen:
            self._seen[request.path] = forward(request)
        return self._seen[request.path]


ERRORS: dict[str, tuple[Behaviour, list[tuple[str, str, str]]]] = {
    "a body that is encoded anew": (
        reencode,
        [
            ("accepted", "error", "changes the body: "),
            ("accepted", "warning", "changes the body"),
        ],
    ),
    "a signature that is removed": (
        strip_signature,
        [("accepted", "error", "removes the header X-HITL-")],
    ),
    "unusual headers that are removed": (strip_unusual_headers, [("accepted", "error", "removes the header")]),
    "a signature that is changed": (
        change_signature,
        [("accepted", "error", "changes the header X-HITL-")],
    ),
    "a query that is dropped": (drop_query, []),
    "a type that is changed": (change_type, [("accepted", "error", "changes the header Content-Type")] * 2),
    "a path that is changed": (lower_path, [("accepted", "error", "changes the path")]),
    "a limit of its own": (limit, [("largest", "warning", "something in front answers 413")] * 2),
    "deliveries that are repeated": (repeat, [("accepted", "warning", "one delivery arrived 2 times")] * 2),
    "answers that are replaced": (
        replace_answers,
        [("identity", "error", "replaces its answers on the way")] * 2,
    ),
    "a cache": (Cache(), [("repeated", "warning", "answers it from its memory")] * 2),
    "a redirect": (redirect, [("identity", "error", "redirects to https://www.example.com")] * 2),
    "a stranger": (accept_everything, [("identity", "error", "answers 200 without a proof: another program")] * 2),
    "a firewall": (refuse_everything, [("identity", "error", "answers 403 without a proof: something on the way")] * 2),
    "a receiver that is gone": (bad_gateway, [("identity", "error", "a proxy does not reach the receiver")] * 2),
    "refusals that are hidden": (
        swallow_refusals,
        [("forged", "warning", "answered 401, and something on the way makes that 200")],
    ),
}


@pytest.mark.parametrize("harm", ERRORS)
def test_harm_on_the_way_is_named(harm: str, receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    behaviour, expected = ERRORS[harm]
    before = refusals(receiver)

    with proxy(behaviour, receiver.port) as url:
        findings = prove(server, url, redis)
    problems = bad(findings)

    if any(level == "error" for _, level, _ in expected) and harm != "a path that is changed":
        assert not any("is accepted" in one.text for one in findings)
    if harm == "refusals that are hidden":
        assert {check for check, _, _ in problems} == {"forged", "late", "malformed", "oversized"}
        problems = problems[:1]
    assert [(check, level) for check, level, _ in problems] == [(check, level) for check, level, _ in expected], (
        problems
    )
    for (_, _, text), (_, _, part) in zip(problems, expected, strict=True):
        assert part in text
        assert "hitl-proof" not in text
    assert refusals(receiver) == before
    assert inbox_keys(redis) == set()


@pytest.mark.slow
def test_a_proxy_that_lets_nothing_through(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    released = threading.Event()

    def hang(_request: Message, _forward: Forward) -> Message:
        released.wait(20)
        return Message(status=504)

    with proxy(hang, receiver.port) as url:
        problems = bad(prove(server, url, redis, seconds=0.3))
        released.set()

    assert [(check, level) for check, level, _ in problems] == [("identity", "error")] * 2
    assert "does not answer (no answer within 0.3 s)" in problems[0][2]


@pytest.mark.slow
def test_a_proxy_that_passes_no_answer_on(receiver: Receiver, server: EmbeddedServer, redis: Redis) -> None:
    released = threading.Event()

    def hang(request: Message, forward: Forward) -> Message:
        answer = forward(request)
        released.wait(20)
        return answer

    with proxy(hang, receiver.port) as url:
        problems = bad(prove(server, url, redis, seconds=0.5))
        released.set()

    assert all("reaches this receiver, but no answer comes back" in text for _, _, text in problems)
    assert len(problems) == 2


def test_the_record_of_a_proof_expires(redis: Redis) -> None:
    nonce = f"{random.randrange(1 << 60)}"

    proofs.begin(redis, nonce)

    assert 0 < redis.ttl(keys.proof(nonce)) <= proofs.LIFE
    assert proofs.read(redis, nonce) == {}
    proofs.end(redis, nonce)
    assert not redis.exists(keys.proof(nonce))
