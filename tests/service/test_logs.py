"""What is logged is one line a record, whatever it holds."""

import asyncio
import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from redis import Redis

from hitlsh.events import Event
from service.local.embedded_server import EmbeddedServer
from service.logs import LineFormatter, configuration
from tests.builders import delivery
from tests.processes import proc
from tests.processes.programs import Program
from tests.service.hostile import EVERY, FORGED, texts, unprintable
from workers.inbox.store import Inbox
from workers.queue import enqueue_drain
from workers.redis_clients import drain_client

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


def logged(text: str) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.Logger(f"of{text}")  # noqa: LOG001 - one that no other test meets
    logger.addHandler(handler)
    logger.info("asked: %s", text)
    try:
        int(f"x{text}")
    except ValueError:
        logger.exception("failed %s", text, stack_info=True)
    return stream.getvalue()


@given(texts)
@example(EVERY)
@example("\n" + FORGED)
@example("\ud800")
def test_a_message_is_one_line_and_its_traceback_is_indented(text: str) -> None:
    output = logged(text)

    assert not unprintable(output)
    starts = [line for line in output.splitlines() if not line.startswith("    ")]
    assert len(starts) == 2
    assert starts[0].startswith("INFO of")
    assert starts[1].startswith("ERROR of")


def test_a_record_formatted_by_another_handler_is_escaped() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 1, "m", None, None)
    record.exc_text = f"Traceback\nValueError\n{FORGED}\x1b"

    assert LineFormatter("%(message)s").format(record) == f"m\n    Traceback\n    ValueError\n    {FORGED}\\x1b"


def test_every_process_uses_the_formatter() -> None:
    found = configuration("INFO")

    assert [made["()"] for made in found["formatters"].values()] == [LineFormatter]
    assert found["root"]["handlers"] == ["stderr"]


async def keep(url: str, text: str) -> None:
    content = Event(variant="api", name="request.completed", key="hostile", request_id=f"r{text}", loop_id=text,
                    outcome="completed", source="human", response=text)  # fmt: skip
    redis = drain_client(url)
    await Inbox(redis, retention=60).accept([delivery(content=content)])
    await redis.aclose()


def test_no_decision_forges_a_line_in_the_log_of_a_worker(server: EmbeddedServer, redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "hostile_handlers.py").write_text(HANDLERS)
    text = f"{EVERY}\n{FORGED}"
    asyncio.run(keep(server.url, text))
    environ = {
        "REDIS_URL": server.url,
        "HITL_HANDLERS": "hostile_handlers",
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}",
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


@pytest.mark.parametrize("where", ["main", "thread"])
def test_an_uncaught_error_is_logged_the_same_way(where: str) -> None:
    call = "fail()" if where == "main" else "t = threading.Thread(target=fail); t.start(); t.join()"
    program = f"import threading\nfrom service import logs\nlogs.configure(); logs.log_uncaught()\ntext = {EVERY!r}\n"
    program += f"text += '\\n' + {FORGED!r}\ndef fail(): raise ValueError(text)\n{call}\n"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)

    assert not unprintable(told.stderr)
    first, *rest = told.stderr.splitlines()
    assert STARTS.match(first)
    assert first.endswith("CRITICAL hitl process.failed")
    assert all(line.startswith("    ") for line in rest)
