"""Tokens, their scopes and their limits."""

from collections.abc import Callable

import pytest

from service.web.requests.problems import RequestProblem
from service.web.requests.token_access import TokenAccess
from workers.access_tokens import AccessToken, Scope, read_access_tokens

AGENT = AccessToken(name="agent", token="agent-token-0123456789")
READER = AccessToken(name="reader", token="reader-token-0123456789", scopes=frozenset({"read"}))


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def access(clock: Callable[[], float] | None = None, **limits: int) -> TokenAccess:
    rates: dict[Scope, tuple[float, float]] = {"ask": (2.0, 3.0), "read": (10.0, 10.0)}
    return TokenAccess([AGENT, READER], rates=rates, clock=clock or Clock(), **limits)


def refusal(call: Callable[[], object]) -> RequestProblem:
    with pytest.raises(RequestProblem) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_is_recognised(scheme: str) -> None:
    headers = [(b"authorization", f"{scheme} {READER.token}".encode())]

    assert access().authenticate({"headers": headers}) is READER


def test_calls_beyond_the_rate_are_refused_until_time_has_passed() -> None:
    clock = Clock()
    tokens = access(clock)
    for _ in range(3):
        tokens.admit(AGENT, "ask")

    refused = refusal(lambda: tokens.admit(AGENT, "ask"))
    clock.now += 0.5
    tokens.admit(AGENT, "ask")

    assert (refused.problem.status, dict(refused.headers)) == (429, {b"retry-after": b"1"})


def test_each_token_and_scope_has_a_rate_of_its_own() -> None:
    tokens = access()
    for _ in range(3):
        tokens.admit(AGENT, "ask")

    tokens.admit(AGENT, "read")
    tokens.admit(READER, "read")

    assert refusal(lambda: tokens.admit(AGENT, "ask")).problem.status == 429


def test_a_call_that_lacks_its_scope_costs_nothing() -> None:
    tokens = access()

    assert [refusal(lambda: tokens.admit(READER, "ask")).problem.status for _ in range(5)] == [403] * 5


def test_waits_are_counted_while_they_last() -> None:
    tokens = access(max_waits=1)

    with tokens.waiting(AGENT):
        with tokens.waiting(READER):
            pass
        refused = refusal(lambda: tokens.waiting(AGENT).__enter__())
    with tokens.waiting(AGENT):
        pass

    assert refused.problem.status == 429


def test_tokens_are_read_with_their_scopes() -> None:
    tokens, problems = read_access_tokens(
        "agent:agent-token-0123456789, n8n:n8n+token/0123456789==:ask+read,ui:ui-token-0123456789abc:read,"
    )

    assert problems == []
    assert [(token.name, sorted(token.scopes)) for token in tokens] == [
        ("agent", ["ask", "read"]), ("n8n", ["ask", "read"]), ("ui", ["read"]),
    ]  # fmt: skip
    assert tokens[1].token == "n8n+token/0123456789=="


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a-secret-token-of-somebody", "has no name"),
        (":a-secret-token-of-somebody", "has no name"),
        ("my agent:a-secret-token-of-somebody", "has no name"),
        ("agent:a-secret", "has 8 characters; use at least 16"),
        ("agent:", "has 0 characters; use at least 16"),
        ("agent:a-secret token-of-somebody", "others cannot be sent in a header"),
        ("agent:a-secret-token-of-somebody:write", "has a scope that does not exist"),
        ("agent:a-secret-token-of-somebody:ask:read", "has a scope that does not exist"),
        ("agent:a-secret-token-of-somebody,agent:another-secret-of-somebody", "two names are equal"),
        ("agent:a-secret-token-of-somebody,other:a-secret-token-of-somebody", "two tokens are equal"),
    ],
)
def test_a_problem_of_a_token_names_no_token(text: str, problem: str) -> None:
    _, problems = read_access_tokens(text)

    assert problem in " ".join(problems)
    assert "secret" not in " ".join(problems).replace("import secrets; print(secrets.", "")
    assert "a-secret" not in repr(read_access_tokens(text)[0])
