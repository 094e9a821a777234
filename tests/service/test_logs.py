"""What is logged is one line a record, whatever it holds."""

import asyncio
import contextvars
import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from redis import Redis

from hitlsh.callbacks import CallbackSigner
from hitlsh.events import Event
from service.local.embedded_server import EmbeddedServer
from service.log_format import LogFormatter, LogStyle
from service.logs import ATOMIC, LineHandler, configuration
from tests.builders import delivery, payload
from tests.processes import proc
from tests.processes.programs import Program
from tests.python_path import python_path
from tests.service.conftest import CALLBACK_KEY, OLD_SECRET, SECRET, serving
from tests.service.hostile import EVERY, FORGED, texts, unprintable
from workers.inbox.store import Inbox
from workers.queue import enqueue_drain
from workers.redis_clients import drain_client
from workers.telemetry import log_fields

STARTS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
HANDLERS = """
import logging

from workers import GiveUp, Router
from workers.sinks import Log

router = Router()
router.forward(Log(), on="request.completed")


@router.on("request.completed")
def give_up(decision):
    logging.getLogger("shop").warning("asked for %s", decision.response)
    raise GiveUp(decision.response)


@router.on("request.completed", attempts=1)
async def fail(decision):
    try:
        raise ValueError(decision.response)
    except ValueError:
        logging.getLogger("shop").exception("it went wrong")
        raise
"""


def logged(text: str, style: LogStyle = "console") -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(style))
    logger = logging.Logger(f"of{text}")  # noqa: LOG001 - one that no other test meets
    logger.addHandler(handler)
    logger.info("asked: %s", text)
    try:
        int(f"x{text}")
    except ValueError:
        logger.exception("failed %s", text, stack_info=True)
    return stream.getvalue()


@pytest.mark.slow
@given(texts)
@example(EVERY)
@example("\n" + FORGED)
@example("\ud800")
def test_a_message_is_one_line_and_its_traceback_is_indented(text: str) -> None:
    output = logged(text)

    assert not unprintable(output)
    starts = [line for line in output.splitlines() if not line.startswith("    ")]
    assert len(starts) == 2
    assert " INFO of" in starts[0]
    assert " ERROR of" in starts[1]
    assert all(map(STARTS.match, starts))


@pytest.mark.slow
@given(texts)
@example(EVERY)
@example("\n" + FORGED)
@example("\ud800")
def test_a_json_line_is_one_object_that_holds_the_text_as_it_was(text: str) -> None:
    output = logged(text, "json")

    assert not unprintable(output)
    asked, failed = map(json.loads, output.splitlines())
    assert asked["event"] == f"asked: {text}"
    assert asked["level"] == "info"
    assert asked["logger"] == failed["logger"] == f"of{text}"
    assert failed["exception"].startswith("Traceback")
    assert "stack" in failed


def rendered(style: LogStyle, message: str, *arguments: object, **extra: object) -> str:
    record = logging.LogRecord("hitl.x", logging.WARNING, "", 1, message, arguments, None)
    record.__dict__ |= extra
    return LogFormatter(style).format(record)


@pytest.mark.parametrize(
    ("message", "arguments", "fields"),
    [
        ("intake.ready", (), {"event": "intake.ready"}),
        ("clock.missed error=%s", ("TimeoutError",), {"event": "clock.missed", "error": "TimeoutError"}),
        ("x.y event=%s level=%d", ("k", 3), {"event": "x.y", "event_key": "k", "level_": 3}),
        ("x.y seconds=%.0f: wait for %s", (2.4, "a"), {"event": "x.y", "seconds": 2, "detail": "wait for a"}),
        ("process.killed after=%.0fs", (3,), {"event": "process.killed", "after": "3s"}),
        ("%s subject=%s", ("recorder.failed", "r"), {"event": "recorder.failed", "subject": "r"}),
        ("x.y key=%r: 100 %% sure", ("a b",), {"event": "x.y", "key": "'a b'", "detail": "100 % sure"}),
        ("x.y reason=%s", ("a level=error event=z",), {"event": "x.y", "reason": "a level=error event=z"}),
        ("%s reason=%s", ("not an event", 1), {"event": "not an event reason=1"}),
        ("asked for %s", ("yes",), {"event": "asked for yes"}),
        ("example.com is down", (), {"event": "example.com is down"}),
        ("x.y ratio=%.1f", (float("nan"),), {"event": "x.y", "ratio": "nan"}),
    ],
)
def test_the_fields_of_a_json_line_are_those_of_the_template(
    message: str, arguments: tuple[object, ...], fields: dict[str, object]
) -> None:
    line = json.loads(rendered("json", message, *arguments))

    base = {"level": "warning", "logger": "hitl.x"}
    assert {name: value for name, value in line.items() if name != "timestamp"} == base | fields


def test_a_line_on_the_console_says_all_that_its_message_says() -> None:
    line = rendered("console", "x.y event=%s seconds=%.0f: wait for %s", "k", 2.4, "a")

    assert line.endswith(" WARNING hitl.x x.y event=k seconds=2: wait for a")


@pytest.mark.parametrize("style", ["console", "json"])
def test_what_a_line_belongs_to_is_added_to_it(style: LogStyle) -> None:
    def log() -> str:
        log_fields.bind(lambda: {"handler": "pay_out", "event_key": "k"})
        return rendered(style, "%s paid for %s", "Ada", "x")

    line = contextvars.copy_context().run(log)

    expected = {"console": "Ada paid for x handler=pay_out event=k", "json": '"handler":"pay_out","event_key":"k"}'}
    assert line.endswith(expected[style])


@pytest.mark.parametrize("style", ["console", "json"])
def test_many_rows_are_one_line_each(style: LogStyle) -> None:
    rows = [{"event_key": f"k{number}\n{FORGED}", "seconds": 0.5} for number in range(100)]

    lines = rendered(style, "%s count=%d", "effect.done", 100, **{log_fields.ROWS: rows}).splitlines()

    assert len(lines) == 100
    assert not unprintable("".join(lines))
    if style == "json":
        assert [json.loads(line)["event_key"] for line in lines] == [row["event_key"] for row in rows]
    else:
        assert all(STARTS.match(line) and line.endswith("seconds=0.5") for line in lines)


def test_what_is_written_at_once_is_whole_lines_that_a_pipe_takes_at_once() -> None:
    writes: list[str] = []

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    handler = LineHandler(Pipe())
    handler.setFormatter(LogFormatter())
    record = logging.LogRecord("x", logging.INFO, "", 1, "%s count=%d", ("a.b", 299), None)
    record.__dict__[log_fields.ROWS] = [{"n": number} for number in range(299)]
    handler.emit(record)

    assert len("".join(writes).splitlines()) == 299
    assert all(text.endswith("\n") and len(text) <= ATOMIC for text in writes)
    assert len(writes) > 1


def test_what_comes_through_structlog_has_the_same_format() -> None:
    program = "import structlog\nfrom service import logs\nlogs.configure('INFO', 'json')\n"
    program += f"log = structlog.get_logger('shop')\nlog.info('paid', amount=3, text={FORGED!r})\nlog.debug('hidden')\n"
    program += "try: int('x')\nexcept ValueError: log.exception('lost')\n"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)

    paid, lost = map(json.loads, told.stderr.splitlines())
    assert paid == {**paid, "level": "info", "logger": "shop", "event": "paid", "amount": 3, "text": FORGED}
    assert lost["exception"].startswith("Traceback")


def test_a_record_formatted_by_another_handler_is_escaped() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 1, "m", None, None)
    record.exc_text = f"Traceback\nValueError\n{FORGED}\x1b"

    assert (
        LogFormatter().format(record).partition(" ERROR x ")[2]
        == f"m\n    Traceback\n    ValueError\n    {FORGED}\\x1b"
    )


def test_every_process_uses_the_formatter() -> None:
    found = configuration("INFO")

    assert [made["()"] for made in found["formatters"].values()] == [LogFormatter]
    assert found["root"]["handlers"] == ["stderr"]


async def keep(url: str, text: str) -> None:
    content = Event(variant="api", name="request.completed", key="hostile", request_id=f"r{text}", loop_id=text,
                    outcome="completed", source="human", response=text)  # fmt: skip
    redis = drain_client(url)
    await Inbox(redis, retention=60).accept([delivery(content=content)])
    await redis.aclose()


@pytest.mark.slow
def test_no_decision_forges_a_line_in_the_log_of_a_worker(server: EmbeddedServer, redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "hostile_handlers.py").write_text(HANDLERS)
    text = f"{EVERY}\n{FORGED}"
    asyncio.run(keep(server.url, text))
    environ = {
        "REDIS_URL": server.url,
        "HITL_HANDLERS": "hostile_handlers",
        "PYTHONPATH": python_path(tmp_path),
    }

    with Program("work", cwd=tmp_path, environ=environ) as worker:
        enqueue_drain(redis)
        proc.until(
            lambda: all(name in worker.output for name in ("gave_up", "forwarded", "asked for", "went wrong")),
            20.0,
            "all has been logged",
        )
        worker.stop()

    assert not unprintable(worker.output)
    assert all(STARTS.match(line) or line.startswith("    ") for line in worker.output.splitlines())
    assert FORGED not in worker.output.splitlines()


LOGGING_HANDLERS = """
import logging

from workers import Router

router = Router()


@router.on("request.completed")
def pay_out(decision):
    logging.getLogger("shop").info("paid for %s", decision.request_id)


@router.on("request.completed", attempts=1)
async def fail(decision):
    logging.getLogger("shop").info("about to fail")
    raise ValueError
"""


@pytest.mark.slow
def test_every_line_of_every_process_is_json_and_the_successes_have_their_ids(
    server: EmbeddedServer, redis: Redis, tmp_path: Path
) -> None:
    (tmp_path / "logging_handlers.py").write_text(LOGGING_HANDLERS)
    environ = {
        "HITL_LOG_FORMAT": "json",
        "HITL_LOG_LEVEL": "DEBUG",
        "HITL_HANDLERS": "logging_handlers",
        "PYTHONPATH": python_path(tmp_path),
    }
    worker_environ = environ | {"REDIS_URL": server.url}
    body = payload(request_id="r1")

    with serving(server.url, tmp_path / "web.log", **environ) as receiver, \
         Program("clock", cwd=tmp_path, environ=worker_environ), \
         Program("work", cwd=tmp_path, environ=worker_environ) as worker:  # fmt: skip
        token = CallbackSigner([CALLBACK_KEY]).mint()
        for _ in range(2):
            receiver.client.post(f"/callbacks/{token}", content=body)
        receiver.client.post("/webhooks/hitl", content=body, headers={"X-HITL-Signature": "wrong"})
        proc.until(lambda: "effect.done" in worker.output and "handler.failed" in worker.output, 20.0, "both ended")
        worker.stop()

    logs = "".join(path.read_text() for path in (tmp_path / "web.log", *tmp_path.glob("*.output")))
    lines = [json.loads(line) for line in logs.splitlines()]
    assert {"uvicorn.error", "hitl.receiver", "hitl.workers", "shop"} <= {line["logger"] for line in lines}
    assert not [line for line in lines if line["logger"].partition(".")[0] in {"httpcore", "redis", "asyncio", "rq"}]
    accepted = [line for line in lines if line["event"] == "delivery.accepted"]
    assert [line["verdict"] for line in accepted] == ["accepted", "duplicate"]
    assert {line["request"] for line in accepted} == {"r1"}
    (done,) = [line for line in lines if line["event"] == "effect.done"]
    effect = {"event_key": accepted[0]["event_key"], "request": "r1", "attempt": 1}
    assert done == {**done, **effect, "handler": "pay_out"}
    assert 0 < done["seconds"] < 20
    of_the_shop = {line["event"]: line for line in lines if line["logger"] == "shop"}
    assert of_the_shop["paid for r1"].items() >= (effect | {"handler": "pay_out"}).items()
    assert of_the_shop["about to fail"].items() >= (effect | {"handler": "fail"}).items()
    for secret in (token, "ada@example.com", "Approve", SECRET, OLD_SECRET, CALLBACK_KEY):
        assert secret not in logs


def test_uncaught_errors_are_logged_the_same_way() -> None:
    program = f"import threading\nfrom service import logs\nlogs.configure(); logs.log_uncaught()\ntext = {EVERY!r}\n"
    program += f"text += '\\n' + {FORGED!r}\ndef fail(): raise ValueError(text)\n"
    program += "t = threading.Thread(target=fail); t.start(); t.join()\nfail()\n"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)

    assert not unprintable(told.stderr)
    starts = [line for line in told.stderr.splitlines() if not line.startswith("    ")]
    assert len(starts) == 2
    assert told.stderr.startswith(starts[0])
    assert all(STARTS.match(line) and line.endswith("CRITICAL hitl process.failed") for line in starts)
