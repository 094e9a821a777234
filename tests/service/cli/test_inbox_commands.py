"""What a person sees of the inbox and does about it at the command line."""

import json
import re
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.cli import environment
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from tests.builders import delivery, key, payload, routed, settled
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.inbox.worker_inbox import WorkerInbox

KEY = key(payload())
REQUEST = "66c0ffee00000000000000a1"
TRACEBACK = 'Traceback (most recent call last):\n  File "pay.py", line 7, in pay\nValueError: no such account'
Run = Callable[..., Result]


@pytest.fixture
def run(server: EmbeddedServer, redis: Redis) -> Run:
    """Runs a command with the server, empty at first, in its environment."""

    def invoke(*words: str, stdin: str = "", **environ: str) -> Result:
        env = {"REDIS_URL": server.url, "HITL_HANDLERS": "tests.service.cli.inbox_handlers"} | environ
        return CliRunner().invoke(cli, words, env=env, input=stdin)

    return invoke


@pytest.fixture
def inbox(async_redis: AsyncRedis) -> WorkerInbox:
    return WorkerInbox(async_redis, retention=86_400, lease=15.0)


async def settle(inbox: WorkerInbox, **ends: Any) -> None:
    """Route everything due to these handlers and settle each so: ``pay="failed"``."""
    for item in (await inbox.claim(1_000)).items:
        await inbox.report([routed(item, *ends)])
        for handler, end in ends.items():
            wrong = TRACEBACK if end == "failed" else ""
            await inbox.report([settled(item, end, handler, error=wrong)])


@pytest.fixture
async def failed_inbox(inbox: WorkerInbox) -> WorkerInbox:
    """One event, paid in vain and notified of."""
    await inbox.accept([delivery(callback_id="c", state={"customer": "bo@example.com"})])
    await settle(inbox, pay="failed", notify="done")
    return inbox


def states(redis: Redis) -> dict[str, str]:
    record = lookup.event(redis, KEY)
    assert record is not None
    return {effect.handler: effect.state for effect in record.effects}


# -- looking -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("failed_inbox")
def test_events_are_a_table(run: Run) -> None:
    heads, row = run("events").stdout.splitlines()

    assert heads.split() == ["ACCEPTED", "STATE", "EFFECTS", "KEY"]
    assert f"  failed  pay failed, notify done  {KEY}" in row


@pytest.mark.usefixtures("failed_inbox")
def test_events_are_filtered(run: Run) -> None:
    found = run("events", "--state", "failed", "--event", "request.*", "--handler", "pay", "--since", "1h", "--json")
    missed = run("events", "--until", "1h")

    assert [event["key"] for event in json.loads(found.stdout)] == [KEY]
    assert (missed.exit_code, missed.stdout) == (0, "")
    assert missed.stderr == "No matching events.\n"


@pytest.mark.usefixtures("failed_inbox")
@pytest.mark.parametrize(
    ("handler", "state", "found"), [("pay", "failed", 1), ("notify", "failed", 0), ("notify", "done", 1)]
)
def test_a_state_beside_a_handler_is_that_of_its_effect(run: Run, handler: str, state: str, found: int) -> None:
    result = run("events", "--handler", handler, "--state", state, "--json")

    assert len(json.loads(result.stdout)) == found


@pytest.mark.usefixtures("failed_inbox")
@pytest.mark.parametrize(
    "command", [("events",), ("failed",), ("retry", "--yes"), ("discard", "--reason", "no", "--yes")]
)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--handler", "pya", "No handler is named 'pya': did you mean 'pay'?\n"),
        ("--handler", "refund", "No handler is named 'refund': there are pay, notify, audit\n"),
        ("--event", "request.complete", "There is no event 'request.complete' (did you mean 'request.completed'?)\n"),
        ("--request", "nosuch", "There is no request 'nosuch': list request ids with `hitl-receiver requests`"),
        ("--loop", "Nosuch", "No event is of a loop with the id or name 'Nosuch': there is "),
    ],
)
def test_a_filter_value_that_does_not_exist_is_refused(
    run: Run, command: tuple[str, ...], option: str, value: str, message: str
) -> None:
    result = run(*command, option, value)

    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--state", "borken", "'borken' is not one of 'due', 'running'"),
        ("--state", "dne", "'dne' is unknown (did you mean 'done'?).\n"),
        ("--event", "completed", "no event can be named 'completed': did you mean 'request.completed'?\n"),
        ("--event", "zzz", "or a name such as request.created, request.claimed, request.completed"),
    ],
)
def test_a_filter_value_that_cannot_exist_is_refused(run: Run, option: str, value: str, message: str) -> None:
    result = run("events", option, value)

    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [("statsu", "No such command 'statsu' (did you mean 'stats'?)."), ("zzz", "No such command 'zzz'.")],
)
def test_an_unknown_command_is_refused(run: Run, name: str, message: str) -> None:
    result = run(name)

    assert result.exit_code == 2
    assert result.stderr.endswith(f"{message}\n")


@pytest.mark.usefixtures("failed_inbox")
def test_a_filter_whose_values_exist_may_match_nothing(run: Run) -> None:
    result = run("events", "--request", REQUEST, "--handler", "audit", "--event", "request.timeout")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No matching events.\n")


async def test_a_failed_attempt_counts_as_an_error(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([routed(item, "pay:run")])
    await inbox.report([settled(item, "retry", "pay", error=TRACEBACK)])
    await failing_attempt(inbox)

    row = next(line for line in run("show", KEY).stdout.splitlines() if line.startswith("  pay  "))

    assert row.split() == ["pay", "failed", "2", "2", "0"]


async def failing_attempt(inbox: WorkerInbox) -> None:
    """Run what is due, and fail it for good."""
    [item] = (await inbox.claim(1)).items
    await inbox.report([settled(item, "failed", "pay", error=TRACEBACK)])


async def test_what_is_tried_again_shows_when(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery()])
    [item] = (await inbox.claim(1)).items
    await inbox.report([routed(item, "pay:run")])
    await inbox.report([settled(item, "retry", "pay", error=TRACEBACK, after=3_600.0)])

    shown = run("show", KEY).stdout

    assert re.search(r"pay: attempt 1 failed, and is repeated; it took 0\.\d+ s: ValueError: no such account\n", shown)
    assert "pay: attempt 2 is due\n" in shown
    assert "\n  state      retry\n" in shown


async def test_the_state_of_the_callback_url_is_shown_without_texts(run: Run, inbox: WorkerInbox) -> None:
    state = {"invoice": 7, "paid": False, "customer": "bo@example.com", "items": ["a", None]}
    await inbox.accept([delivery(callback_id="c", trust="callback", state=state)])

    masked = {"invoice": 7, "paid": False, "customer": "(14 characters, shown with --body)"}
    masked["items"] = ["(1 characters, shown with --body)", None]
    assert f"its URL carried the state {json.dumps(masked)}" in run("show", KEY).stdout
    assert f"its URL carried the state {json.dumps(state)}" in run("show", KEY, "--body").stdout
    assert json.loads(run("show", KEY, "--json").stdout)[0]["callback_state"] == masked


async def test_a_truncated_list_is_reported(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload(request_id=name)) for name in "abc"])

    result = run("events", "--limit", "2")

    assert len(result.stdout.splitlines()) == 3
    assert "There are more than 2" in result.stderr


@pytest.mark.usefixtures("failed_inbox")
@pytest.mark.parametrize("name", [KEY, REQUEST, f"pay|{KEY}"])
def test_an_event_is_shown_with_its_timeline(run: Run, name: str) -> None:
    shown = run("show", name).stdout

    assert KEY in shown.splitlines()
    assert shown.startswith("request " if name == REQUEST else KEY)
    ends = ("pay: attempt 1 failed; it took 0.0", "notify: done", "ValueError: no such account", '"Approve"')
    for words in ("received", "stored", "routed to pay, notify", "pay: attempt 1 began", *ends):
        assert words in shown


@pytest.mark.usefixtures("failed_inbox")
@pytest.mark.parametrize(
    "command", [("events", "--json"), ("failed", "--json"), ("show", KEY), ("show", KEY, "--json")]
)
def test_personal_data_and_bodies_are_not_shown_by_default(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command)

    assert result.exit_code == 0
    assert "@example.com" not in result.output
    assert "response_by" not in result.output


async def test_free_text_is_not_shown_by_default(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload(response_data="Call Bo at home"))])

    assert "Bo" not in run("show", KEY).output + run("show", KEY, "--json").output
    assert "Call Bo at home" in run("show", KEY, "--body").output


@pytest.mark.usefixtures("failed_inbox")
def test_the_body_is_shown_with_the_option(run: Run) -> None:
    [event] = json.loads(run("show", KEY, "--body", "--json").stdout)

    assert event["body"] == payload().decode()
    assert event["callback_state"] == {"customer": "bo@example.com"}
    assert event["content"]["reviewer"]["email"] == "ada@example.com"
    assert "ada@example.com" in run("show", KEY, "--body").stdout


def test_an_unknown_key_is_an_error(run: Run) -> None:
    result = run("show", "no such")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("There is no event or request 'no such'")


@pytest.mark.usefixtures("failed_inbox")
def test_dead_letters_are_a_table_with_the_reason(run: Run) -> None:
    heads, row = run("failed").stdout.splitlines()
    [failure] = json.loads(run("failed", "--json").stdout)

    assert heads.split() == ["FAILED", "HANDLER", "ATTEMPTS", "REASON", "EVENT", "KEY"]
    assert f"  pay      1         ValueError: no such account  {KEY}" in row
    assert (failure["key"], failure["error"]) == (f"pay|{KEY}", TRACEBACK)


def test_no_dead_letters_are_a_message_and_success(run: Run) -> None:
    result = run("failed")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No matching dead letters.\n")
    assert run("failed", "--json").stdout == "[]\n"


async def test_text_from_outside_cannot_control_the_terminal(run: Run, inbox: WorkerInbox) -> None:
    await inbox.accept([delivery(payload(loop_id="\x1b[2J\nL"))])

    assert "\x1b" not in run("show", KEY, "--body").output + run("events").output


# -- changing ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("failed_inbox")
def test_a_retry_reports_its_size_and_asks_for_confirmation(run: Run, redis: Redis) -> None:
    refused = run("retry", "--handler", "pay", stdin="n\n")
    before = states(redis)
    agreed = run("retry", "--handler", "pay", stdin="y\n")

    assert f"retry 1 effect:\n  pay|{KEY}\nContinue?" in refused.stderr
    assert (refused.exit_code, before["pay"]) == (1, "failed")
    assert (agreed.exit_code, agreed.stdout, states(redis)["pay"]) == (0, "retried 1 effect\n", "due")


@pytest.mark.usefixtures("failed_inbox")
def test_a_dry_run_changes_nothing(run: Run, redis: Redis) -> None:
    retried = run("retry", "--all", "--dry-run")
    discarded = run("discard", REQUEST, "--reason", "no", "--dry-run")
    replayed = run("replay", "--all", "--dry-run", "--json")

    assert retried.stdout == f"would retry 1 effect\n  pay|{KEY}\n"
    assert discarded.stdout == f"would discard 1 effect\n  pay|{KEY}\n"
    assert json.loads(replayed.stdout)["effects"] == 2
    assert states(redis) == {"pay": "failed", "notify": "done"}


@pytest.mark.usefixtures("failed_inbox")
def test_yes_skips_the_confirmation(run: Run, redis: Redis) -> None:
    result = run("retry", f"pay|{KEY}", "--yes", "--json")

    assert json.loads(result.stdout) == {
        "effects": 1,
        "bodies": 0,
        "examples": [f"pay|{KEY}"],
        "dry_run": False,
    }


@pytest.mark.usefixtures("failed_inbox")
def test_a_discard_stores_its_reason(run: Run, redis: Redis) -> None:
    result = run("discard", KEY, "--reason", "paid by hand", "--yes")

    assert result.stdout == "discarded 1 effect\n"
    assert states(redis)["pay"] == "discarded"
    assert "pay: discarded: paid by hand" in run("show", KEY).stdout
    assert redis.ttl(keys.event(KEY)) > 86_400


@pytest.mark.usefixtures("failed_inbox")
def test_a_discard_without_a_reason_is_refused(run: Run) -> None:
    result = run("discard", KEY, "--yes")

    assert result.exit_code == 2
    assert "Missing option '--reason'" in result.stderr


@pytest.mark.usefixtures("failed_inbox")
def test_a_replay_uses_the_current_routes(run: Run, redis: Redis) -> None:
    result = run("replay", "--since", "1h", "--yes")

    assert result.stdout == "replayed 2 effects\n"
    assert states(redis) == {"pay": "due", "notify": "done", "audit": "due"}
    assert "replay 1 by an operator" in run("show", KEY).stdout


@pytest.mark.usefixtures("failed_inbox")
def test_a_forced_replay_runs_effects_that_are_done(run: Run, redis: Redis) -> None:
    without = run("replay", KEY, "--yes")
    result = run("replay", f"notify|{KEY}", "--force", "--yes")

    assert without.exit_code == 0
    assert result.stdout == "replayed 1 effect\n"
    assert states(redis)["notify"] == "due"


async def test_unrouted_events_are_replayed_once_they_have_a_route(run: Run, inbox: WorkerInbox, redis: Redis) -> None:
    await inbox.accept([delivery()])
    await settle(inbox)

    counted = run("status")
    planned = run("replay", "--unrouted", "--dry-run")
    replayed = run("replay", "--unrouted", "--yes")

    assert "events that no route matched: add a route, then `hitl-receiver replay --unrouted`" in counted.stdout
    assert planned.stdout.splitlines()[0] == "would replay 3 effects"
    assert (replayed.stdout, set(states(redis))) == ("replayed 3 effects\n", {"pay", "notify", "audit"})
    assert json.loads(run("status", "--json").stdout)["unrouted"] == 0


def test_unrouted_and_another_state_cannot_both_be_replayed(run: Run) -> None:
    result = run("replay", "--unrouted", "--state", "failed")

    assert result.exit_code == 2
    assert "--unrouted stands for --state unrouted" in result.stderr


@pytest.mark.parametrize("verb", ["retry", "replay", "discard"])
def test_nothing_to_change_exits_with_1(run: Run, verb: str) -> None:
    reason = ["--reason", "no"] if verb == "discard" else []

    result = run(verb, "--all", "--yes", *reason)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Nothing to {verb}: ")


@pytest.mark.parametrize("words", [(), (KEY, "--all"), (KEY, "--handler", "pay"), ("--all", "--loop", "L")])
def test_effects_are_selected_in_exactly_one_way(run: Run, words: tuple[str, ...]) -> None:
    result = run("retry", *words)

    assert result.exit_code == 2
    assert "Select what to retry: give KEYs, filters or --all" in result.stderr


@pytest.mark.usefixtures("failed_inbox")
def test_one_unknown_key_prevents_every_change(run: Run, redis: Redis) -> None:
    result = run("retry", KEY, "no-such", "--yes")

    assert result.exit_code == 1
    assert states(redis)["pay"] == "failed"


def test_a_replay_to_an_unknown_handler_is_refused(run: Run) -> None:
    result = run("replay", "--handler", "pya", "--yes")

    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        ["No handler is named 'pya': list them with `hitl-receiver routes`."],
    )


@pytest.mark.parametrize("when", ["yesterday", "2 hours", "3y", "2026-13-01"])
def test_an_invalid_time_is_refused(run: Run, when: str) -> None:
    result = run("events", "--since", when)

    assert result.exit_code == 2
    assert "write an age such as 90s, 30m, 2h, 3d or 1w, or ISO 8601" in result.stderr


@pytest.mark.usefixtures("failed_inbox")
@pytest.mark.parametrize("when", ["2026-01-01", "2026-01-01T12:00", "2026-01-01T12:00:00+02:00", "90s", "1w"])
def test_times_are_iso_8601_or_an_age(run: Run, when: str) -> None:
    assert run("events", "--since", when).exit_code == 0


# -- where -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("failed_inbox")
def test_the_server_of_the_dev_stack_in_this_folder_is_found(server: EmbeddedServer, tmp_path: Path) -> None:
    (tmp_path / environment.FOLDER).mkdir()
    environment.write_settings(tmp_path / environment.FOLDER / environment.DEV_SETTINGS, {"REDIS_URL": server.url})

    with chdir(tmp_path):
        result = CliRunner().invoke(cli, ["events"], env={"REDIS_URL": None})

    assert result.exit_code == 0
    assert KEY in result.stdout


def test_without_a_server_the_message_names_the_setting(tmp_path: Path) -> None:
    with chdir(tmp_path):
        result = CliRunner().invoke(cli, ["events"], env={"REDIS_URL": None})

    assert result.exit_code == 2
    assert "REDIS_URL is not set" in result.stderr
