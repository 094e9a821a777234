"""The calls of docs/http-api.md, run as they stand there."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from service.web.requests.openapi_document import openapi_document
from service.web.requests.token_access import CALL_RATES, MAX_WAITS
from tests.service.conftest import wait_until
from tests.service.web.requests.conftest import TOKEN, AskingReceiver, Json

PAGE = (Path(__file__).parents[4] / "docs" / "http-api.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_calls_of_the_page_do_what_it_says(web: AskingReceiver, tmp_path: Path) -> None:
    def answer() -> None:
        wait_until(lambda: any(request["status"] == "open" for request in open_requests()), 30.0)
        time.sleep(1.0)  # the page's wait begins meanwhile
        web.asking.sandbox.answer(open_requests()[0]["request_id"], "Approve")

    def open_requests() -> list[Json]:
        return list(web.client.get("/requests").json()["requests"])

    reviewer = threading.Thread(target=answer)
    reviewer.start()
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join([*BLOCKS, 'echo "$HITL_TOKENS"'])],
        cwd=tmp_path, env={**os.environ, "RECEIVER": web.url, "TOKEN": TOKEN}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    reviewer.join()

    assert '"key":"refund-42","status":"open"' in run.stdout
    assert "'kind': 'answered', 'response': 'Approve'" in run.stdout
    assert re.search(r"^id: \d+\ndata: .*\"kind\":\"answered\"", run.stdout, re.MULTILINE)
    assert '{"requests":[],"next":null}' in run.stdout
    assert '"title":"Not cancelled","status":409' in run.stdout
    assert re.search(r"agent:[\w-]{43}$", run.stdout, re.MULTILINE)
    assert run.stderr == ""


def test_the_page_has_every_field_and_status_of_asking() -> None:
    document = openapi_document()
    rows = re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`|(\d{3})", row) for name in name if name}
    statuses = set(document["paths"]["/requests"]["post"]["responses"]) - {"400", "401", "403", "408", "413", "415"}

    assert named == set(document["components"]["schemas"]["NewQuestion"]["properties"]) | statuses


def test_the_limits_of_the_page_are_those_of_the_application() -> None:
    (ask_rate, ask_burst), (read_rate, read_burst) = CALL_RATES["ask"], CALL_RATES["read"]

    assert (
        f"ask {ask_rate:.0f} times a second on average and {ask_burst:.0f} times at once, read {read_rate:.0f} times a "
        f"second and {read_burst:,.0f} at once, and have {MAX_WAITS:,} waits."
    ) in " ".join(PAGE.split())
