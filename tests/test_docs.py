"""What README.md and docs/ say is so: their code runs, their commands, settings and links exist."""

import asyncio
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from hitl_sandbox.testing import Sandbox
from hitlsh.api import Client, single_select
from hitlsh.api.models.requests import Request
from hitlsh.samples.catalog import sample
from hitlsh.webhooks.parsing import event_from_request, parse
from service.cli.main import cli
from service.local.embedded_server import EmbeddedServer
from service.local.stack import free_port
from tests.log_events import log_events
from tests.workers.asking.asked import deliver
from workers import Router
from workers.decision import ATTRIBUTES
from workers.inbox.tracker import tracked_requests
from workers.settings import Settings
from workers.testing import completed, timed_out

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
README = PAGES["README.md"]
DOCUMENTS = "\n".join(PAGES.values())
API_KEY = "hitl_test_of_the_documents_0123456789"
#: Files of a user's project in the examples of a page.
FILES_OF_THE_USER = {"workers/tasks.py", "workers/payments.py"}
SETTING = r"`((?:HITL|REDIS)_[A-Z_]+)`"

BLOCK = re.compile(
    r"^(?:<!-- no-run: (?P<reason>.+?) -->\n+)?```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    code: str
    #: Of its first line of code.
    line: int
    #: Why it is not run; None if it is.
    reason: str | None


def blocks(page: str, language: str) -> list[Block]:
    text = PAGES[page]
    return [
        Block(found["language"], found["code"], text.count("\n", 0, found.start("code")) + 1, found["reason"])
        for found in BLOCK.finditer(text)
        if found["language"] == language
    ]


def commands(page: str) -> list[str]:
    """The shell commands of a page, without what follows a `#`."""
    lines = [line for block in blocks(page, "console") for line in block.code.splitlines()]
    return [shlex.join(shlex.split(line[2:], comments=True)) for line in lines if line.startswith("$ ")]


def run_python(page: str) -> dict[str, Any]:
    """Run the page's Python from top to bottom as one module."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.reason is None:
            exec(compile("\n" * (block.line - 1) + block.code, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def environment(server: EmbeddedServer, redis: Redis, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as a page expects them."""
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("HITL_API_KEY", API_KEY)
    monkeypatch.setenv("HITL_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("HITL_CALLBACK_SECRETS", "a-callback-key-of-these-tests-01")
    monkeypatch.setenv("HITL_PUBLIC_URL", "https://hooks.example.com")


# -- Python ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_of_a_page_runs(page: str, environment: None) -> None:
    run_python(page)


def test_a_first_handler_stands_by_line_30() -> None:
    assert "async def pay_out" in "\n".join(README.splitlines()[:30])


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_readmes_handlers_run(capsys: pytest.CaptureFixture[str]) -> None:
    router: Router = run_python("README.md")["router"]
    capsys.readouterr()

    approved, *to_sinks = router.match(completed("Approve", state={"invoice": 7}))
    released, *_ = router.match(timed_out())

    assert (approved.name, released.name, len(to_sinks)) == ("pay_out", "release", 1)
    asyncio.run(approved.handler(completed("Approve", state={"invoice": 7})))  # type: ignore[arg-type]
    assert "approved 7" in capsys.readouterr().out


def test_the_readmes_first_handler_needs_neither_state_nor_reviewer(capsys: pytest.CaptureFixture[str]) -> None:
    pay_out = run_python("README.md")["pay_out"]

    asyncio.run(pay_out(completed("Approve", state=None, reviewer=None)))

    assert "Somebody approved an invoice" in capsys.readouterr().out


def test_the_first_handlers_pass_strict_mypy(tmp_path: Path) -> None:
    modules = []
    for page in ("README.md", "docs/tutorial.md", "docs/handlers.md"):
        modules.append(tmp_path / f"{page.split('/')[-1][:-3].lower()}_handlers.py")
        modules[-1].write_text(blocks(page, "python")[0].code)

    # The project's own configuration, so that it shares the cache of `make check`.
    words = [sys.executable, "-m", "mypy", "--strict", *map(str, modules)]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_the_forwarding_page_forwards_to_every_sink() -> None:
    router: Router = run_python("docs/forwarding.md")["router"]

    assert len(router.match(completed("Approve"))) == 5


def test_the_asking_page_asks(redis: Redis, sandbox: Sandbox, environment: None) -> None:
    with Client(API_KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Payouts", icon="key").loop
        sandbox.add_member(loop.id, "ann@example.com")

    request_id = run_python("docs/asking.md")["ask_to_pay"](7, loop.id)

    [known] = tracked_requests.load(redis).values()
    assert known.request.id == request_id
    assert known.callback is not None
    assert known.callback.state == {"invoice": 7}


async def test_the_asking_page_waits_for_the_answer(
    redis: Redis, async_redis: AsyncRedis, sandbox: Sandbox, environment: None
) -> None:
    sandbox.reset()
    with Client(API_KEY, base_url=sandbox.base_url) as client:
        loop = client.loops.create("Payouts", icon="key").loop
    sandbox.add_member(loop.id, "ann@example.com")
    asking = asyncio.create_task(run_python("docs/asking.md")["ask_to_refund"](42))
    async with asyncio.timeout(10):
        while not (open_requests := tracked_requests.load(redis)):  # noqa: ASYNC110 - of Redis
            await asyncio.sleep(0.01)

    await deliver(async_redis, next(iter(open_requests)), response="Approve", trust="signed")

    assert await asyncio.wait_for(asking, 10) == "Approve"


def test_a_handler_that_demands_confirmation_waits_for_it() -> None:
    posted = completed("Approve", state={"invoice": 7}, trust="callback")

    assert [wait.route.name for wait in run_python("README.md")["router"].waits(posted)] == ["wire_money"]


def test_the_asking_pages_callback_url_is_one() -> None:
    names = run_python("docs/asking.md")
    token = names["url"].rsplit("/", 1)[1]

    assert names["signer"].read(token).state == {"invoice": 7}


def test_the_handlers_page_names_every_field_of_a_decision() -> None:
    _, _, table = PAGES["docs/handlers.md"].partition("## Fields of a decision")
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}

    assert set(ATTRIBUTES) <= named


def field_table() -> dict[str, list[str]]:
    """The cells of the table of fields, by field: callback URL, account webhook, API list, API read."""
    section = PAGES["docs/handlers.md"].partition("## Fields of a decision")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: row[1:] for row in rows if len(row) == 5 for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize("outcome", ["completed", "timeout", "cancelled"])
def test_the_handlers_page_says_which_form_fills_which_field(outcome: str, sandbox: Sandbox) -> None:
    with Client(API_KEY, base_url=sandbox.base_url) as client:
        shown = requests_of(client, sandbox)[outcome]
        events = [
            parse(sample(f"callback-v2.{outcome}")),
            parse(sample(f"nested.{outcome}")),
            event_from_request(dict(next(row.raw for row in client.requests.list() if row.id == shown.id))),
            event_from_request(dict(shown.raw)),
        ]

    for field, cells in field_table().items():
        for event, cell in zip(events, cells, strict=True):
            value = getattr(event, {"event": "name", "event_key": "key"}.get(field, field), ...)
            if cell == "None":
                assert value is None, (field, event)
            elif cell.startswith("yes") and value is not ... and field != "response" and "None for" not in cell:
                assert value is not None, (field, event)


def requests_of(client: Client, sandbox: Sandbox) -> dict[str, Request]:
    """An ended request of each outcome, as the API shows it."""
    loop = client.loops.create("Fields", icon="key").loop
    sandbox.add_member(loop.id, "ann@example.com")
    question = single_select("Approve", "Reject")
    names = {
        outcome: client.requests.create(
            loop.id, "Pay?", question, default_response="Reject", timeout_seconds=600, context={"invoice": 7}
        ).request_id
        for outcome in ("completed", "timeout", "cancelled")
    }
    sandbox.answer(names["completed"], "Approve")
    client.requests.cancel(names["cancelled"])
    sandbox.advance(601)
    return {outcome: client.requests.get(request_id) for outcome, request_id in names.items()}


# -- settings -------------------------------------------------------------------------------------------


def settings_read() -> set[str]:
    source = (ROOT / "workers" / "settings.py").read_text()
    return set(re.findall(r'"((?:HITL|REDIS)_[A-Z_]+)"', source))


def test_the_settings_page_lists_every_setting_and_no_other() -> None:
    listed = set(re.findall(rf"^\| {SETTING} \|", PAGES["docs/settings.md"], re.MULTILINE))

    assert listed == settings_read() | {"HITL_LOG_LEVEL"}


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_a_page_names_exists(page: str) -> None:
    of_compose, of_clients = {"HITL_HANDLERS_DIR"}, {"HITL_RECEIVER_URL", "HITL_RECEIVER_TOKEN"}

    assert set(re.findall(SETTING, PAGES[page])) <= settings_read() | {"HITL_LOG_LEVEL"} | of_compose | of_clients


def test_the_defaults_are_those_of_the_settings() -> None:
    settings = Settings.from_env({"REDIS_URL": "redis://localhost"})
    rows = dict(re.findall(rf"^\| {SETTING} \| .*? \| (.*) \|$", PAGES["docs/settings.md"], re.MULTILINE))

    for name, value in {
        "HITL_MAX_BODY": settings.max_body,
        "HITL_RETENTION_DAYS": settings.retention_days,
        "HITL_BASE_URL": settings.base_url,
        "HITL_LEASE_SECONDS": f"{settings.lease_seconds:g}",
        "HITL_HANDLER_CONCURRENCY": settings.handler_concurrency,
        "HITL_HANDLER_THREADS": settings.handler_threads,
        "HITL_DISCOVER": int(settings.discover),
        "HITL_LOOKBACK": f"{settings.lookback / 3600:g}h",
        "HITL_RECONCILE_SHARE": settings.reconcile_share,
        "HITL_ASK_RESERVE": settings.ask_reserve,
        "HITL_CHECK_WITHIN": f"{settings.check_within / 3600:g}h",
    }.items():
        assert str(value) in rows[name], name


# -- commands -------------------------------------------------------------------------------------------


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command of ours that these words name, and the rest of them."""
    command: click.Command = cli
    context = click.Context(command)
    while isinstance(command, click.Group) and words and (found := command.get_command(context, words[0])):
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    for name in set(re.findall(r"hitl-receiver (?!is |does |has )([a-z][a-z-]+)", code_of(page))):
        assert name in cli.list_commands(click.Context(cli)), name
    for name in set(re.findall(r"hitl-receiver api ([a-z-]+)", code_of(page))):
        assert resolve(["api", name])[0] is not resolve(["api"])[0], name


def test_the_page_of_the_command_line_lists_every_command() -> None:
    cells = re.findall(r"^\| (`[a-z][^|]*) \|", PAGES["docs/command-line.md"], re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([a-z-]+)`", cell)]

    assert sorted(listed) == cli.list_commands(click.Context(cli))


def code_of(page: str) -> str:
    """What stands between backticks, and in blocks for the shell."""
    return "\n".join([*re.findall(r"`([^`\n]+)`", PAGES[page]), *commands(page)])


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_every_shell_command_of_a_page_can_be_parsed(page: str) -> None:
    for line in commands(page):
        program, *words = shlex.split(line)
        if program == "hitl-receiver":
            command, rest = resolve(words)
            assert command is not cli, line
            # Parses arguments and options; runs nothing.
            command.make_context(command.name, rest, resilient_parsing=False)
        elif program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line


def test_every_make_target_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()

    for target in set(re.findall(r"`make ([a-z-]+)`", DOCUMENTS)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_extras_that_a_page_installs_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text()

    for extras in re.findall(r"hitl-receiver\[([a-z,]+)\]", DOCUMENTS):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


class DevStack:
    """`hitl-receiver dev` in the background, and the other commands beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output: list[str] = []
        # A reader has no settings yet.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HITL_", "REDIS_", "PORT"))}
        self.environ = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.process: subprocess.Popen[str] | None = None

    def start(self, words: list[str]) -> None:
        """Run the command on free ports until it says that it runs."""
        words = [*words, "--port", str(_pair_of_free_ports())]
        self.process = subprocess.Popen(
            words, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        self.wait_for("hitl-receiver is running")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self.output.extend(lines)

    def wait_for(self, text: str, seconds: float = 45.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in "".join(self.output):
            assert self.process is not None
            assert self.process.poll() is None, "".join(self.output)
            assert time.monotonic() < deadline, f"{text!r} is not in {''.join(self.output)}"
            time.sleep(0.05)

    def run(self, words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(10)


def _pair_of_free_ports() -> int:
    """A port below 32768 that is free, with the one of the sandbox 100 above it."""
    while True:
        port = free_port(random.randrange(19_000, 31_000))
        if free_port(port + 100) == port + 100:
            return port


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[DevStack]:
    started = DevStack(tmp_path)
    yield started
    started.stop()


@pytest.mark.slow
def test_the_readmes_commands_run_in_order_from_an_empty_folder(stack: DevStack) -> None:
    (stack.folder / "handlers.py").write_text(blocks("README.md", "python")[0].code)
    outputs = {}

    for line in commands("README.md"):
        words = shlex.split(line)
        if words[0] == "pip":
            # An installation needs a package index; the extras are checked above.
            assert shutil.which("hitl-receiver", path=stack.environ["PATH"])
        elif words[:2] == ["hitl-receiver", "dev"]:
            stack.start(words)
        else:
            assert stack.process is not None, f"{line}: stands before `hitl-receiver dev`"
            outputs[words[1]] = stack.run(words)
            if words[1] == "send":
                stack.wait_for("approved 7")

    assert outputs["send"].startswith("202")
    assert "pay_out" in outputs["events"]
    assert "/callbacks/" in outputs["callback-url"]
    # Without a state, as a reader's first try may be.
    stack.run(["hitl-receiver", "send", "callback-v2.completed"])
    stack.wait_for("approved an invoice")
    assert "Traceback" not in "".join(stack.output)


# -- the code -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_operating_page_lists_every_log_event_and_no_other() -> None:
    row = r"^\| `([a-z_]+\.[a-z_]+)` \| (?:info|warning|error|critical)"

    assert set(re.findall(row, PAGES["docs/operating.md"], re.MULTILINE)) == log_events()


def test_the_architecture_page_leads_from_the_socket_to_the_handler_in_under_ten_files() -> None:
    section = PAGES["docs/architecture.md"].partition("## From the socket to the handler")[2].partition("\n## ")[0]
    files = re.findall(r"^\d\. `([\w/]+\.py)`", section, re.MULTILINE)

    assert 5 < len(files) < 10
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    named = set(
        re.findall(r"`((?:service|hitlsh|workers|hitl_sandbox|tests|examples|hitl_receiver)/[\w/]+\.\w+)`", PAGES[page])
    )

    assert {name for name in named if not (ROOT / name).is_file()} <= FILES_OF_THE_USER


# -- links ----------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_resolves(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", PAGES[page])):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.is_file(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_path_of_a_machine(page: str) -> None:
    assert not re.findall(r"(?<![\w.`:])/(?:home|root|tmp|work|opt|Users)/", PAGES[page])


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()

    assert set(re.findall(r": ([\w-]+\.md)$", navigation, re.MULTILINE)) == {
        page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")
    }
