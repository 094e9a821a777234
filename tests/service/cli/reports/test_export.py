"""`hitl-receiver export` writes each decision with its effects."""

import asyncio
import csv
import io
import json
import subprocess
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.cli.reports import decision_scan
from service.cli.reports.csv_cells import csv_cell
from service.local.embedded_server import EmbeddedServer
from service.local.supervisor import command
from tests.builders import claimed, delivery, key, payload
from tests.processes.stacks import plain_environment
from tests.service.cli.reports.conftest import Run, answered, decide
from tests.service.conftest import wait_until
from workers.inbox.queries import search
from workers.inbox.queries.pagination import until_now
from workers.inbox.queries.search import Filter
from workers.inbox.worker_inbox import WorkerInbox


def rows(output: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(output)))


async def test_each_decision_is_a_json_line_as_events_prints_it(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a"), pay="done", notify="failed")
    await decide(inbox, payload("b", status="timeout"))
    await decide(inbox, claimed("c"))

    lines = [json.loads(line) for line in run("export").stdout.splitlines()]

    assert [line["content"]["request_id"] for line in lines] == ["a", "b"]
    assert lines == list(reversed([event for event in json.loads(run("events", "--json").stdout) if event in lines]))
    assert [(effect["handler"], effect["state"]) for effect in lines[0]["effects"]] == [
        ("pay", "done"),
        ("notify", "failed"),
    ]


async def test_each_effect_is_a_csv_row(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a", response="Approve"), pay="done", notify="failed")
    await decide(inbox, payload("b", status="timeout"))

    pay, notify, timeout = rows(run("export", "--format", "csv").stdout)

    assert (pay["request_id"], pay["outcome"], pay["response"], pay["reviewer_id"]) == (
        "a", "completed", "Approve", "u1",
    )  # fmt: skip
    assert (pay["handler"], pay["effect_state"], pay["state"], pay["attempts"]) == ("pay", "done", "failed", "1")
    assert (notify["handler"], notify["errors"], notify["error"]) == ("notify", "1", "ValueError: no")
    assert (timeout["request_id"], timeout["response"], timeout["handler"]) == ("b", "", "")


@pytest.mark.parametrize(("response", "cell"), [(False, "false"), (0, "0"), (-5, "-5"), (["a", "b"], '["a", "b"]')])
async def test_every_answer_is_a_cell(run: Run, inbox: WorkerInbox, response: object, cell: str) -> None:
    await decide(inbox, answered("a", response=response))

    [row] = rows(run("export", "--format", "csv").stdout)

    assert (row["source"], row["response"]) == ("human", cell)


async def test_personal_data_is_written_on_demand(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a", response_data={"revised_text": "Dear Bo", "was_edited": True}), pay="done")

    without = run("export").stdout + run("export", "--format", "csv").stdout
    [row] = rows(run("export", "--format", "csv", "--personal-data").stdout)

    assert "Dear Bo" not in without
    assert "ada@example.com" not in without
    assert "Ada" not in without
    assert (row["response"], row["reviewer_name"], row["reviewer_email"]) == ("Dear Bo", "Ada", "ada@example.com")
    assert json.loads(run("export", "--personal-data").stdout)["content"]["response"] == "Dear Bo"


async def test_filters_are_those_of_events(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a"), pay="done")
    await decide(inbox, answered("b"), notify="done")

    assert [row["request_id"] for row in rows(run("export", "--format", "csv", "--handler", "pay").stdout)] == ["a"]
    assert run("export", "--until", "1d").stdout == ""
    unknown = run("export", "--handler", "nosuch")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("No handler is named 'nosuch'")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1", "\\t=1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a\x1b[2J", "a\\x1b[2J"),
        ("Approve", "Approve"),
        (-5, "-5"),
        (0.5, "0.5"),
        (False, "false"),
        (None, ""),
        (["=1"], '["=1"]'),
    ],
)
def test_a_cell_is_never_a_formula(value: Any, text: str) -> None:
    assert csv_cell(value) == text


async def test_hostile_names_are_no_formulas_in_a_file(run: Run, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("=HYPERLINK(1)", loop_name='=1,"x'), pay="done")

    [row] = rows(run("export", "--format", "csv").stdout)

    assert row["request_id"] == "'=HYPERLINK(1)"
    assert not [value for value in row.values() if value.startswith(("=", "+", "-", "@"))]


async def test_memory_does_not_grow_with_the_inbox(
    redis: Redis, inbox: WorkerInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SCAN_CHUNK", 5)
    text = "x" * 20_000
    await inbox.accept([delivery(answered(f"r{number}", response=text)) for number in range(200)])

    tracemalloc.start()
    count = sum(1 for _ in decision_scan.scan_decisions(redis, Filter(), label=""))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 200
    assert peak < 200 * len(text) / 4


async def test_decisions_that_come_meanwhile_are_left_out(redis: Redis, inbox: WorkerInbox) -> None:
    await decide(inbox, answered("a"))
    scan = decision_scan.scan_decisions(redis, Filter(), label="")
    first = next(scan)
    latest = until_now(redis, None)
    wait_until(lambda: until_now(redis, None) - timedelta(milliseconds=1) >= latest)
    await decide(inbox, answered("b"))

    assert first.event.key == key(answered("a"))
    assert list(scan) == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 400])
async def test_a_full_disk_ends_the_export_with_a_sentence(
    server: EmbeddedServer, inbox: WorkerInbox, count: int
) -> None:
    """Whether the first or the last write fails."""
    await decide(inbox, *(answered(f"r{number}") for number in range(count)), pay="done")

    result = await asyncio.to_thread(export_to_a_full_disk, server.url)

    assert (result.returncode, result.stderr) == (2, "Cannot write the output: No space left on device.\n")


def export_to_a_full_disk(url: str) -> subprocess.CompletedProcess[str]:
    environ = plain_environment() | {"REDIS_URL": url}
    with Path("/dev/full").open("w") as full:
        return subprocess.run(
            command("export"), env=environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
