"""The folder of `hitl-receiver dev`: who may read it, that one `dev` uses it at a time, and what is left behind."""

import os
import signal
import stat
from pathlib import Path

import httpx
import pytest
from redis import Redis

from hitlsh.signatures import headers
from service.web.app import WEBHOOKS
from tests.builders import payload
from tests.processes import proc
from tests.processes.programs import Dev, invoke, run
from tests.processes.stacks import SECRET, key_of, settings
from workers.inbox import keys
from workers.inbox.queries import lookup
from workers.redis_clients import command_client


@pytest.mark.slow
def test_dev_closes_its_folder_to_others_until_ctrl_c_and_the_next_finds_what_it_received(tmp_path: Path) -> None:
    make_an_open_folder(tmp_path / "data")
    before = os.umask(0)
    try:
        first = Dev(tmp_path)
    finally:
        os.umask(before)
    with first.wait_until_up():
        event = post(first, "first")
        check_that_nobody_else_may_read(tmp_path / "data", first)
        check_that_a_second_is_refused(tmp_path, first)
        check_that_ctrl_c_stops_all_in_order(first)

    with Dev(tmp_path).wait_until_up() as second, command_client(second.redis_url) as redis:
        record = lookup.event(redis, event)
        assert record is not None
        assert record.deliveries == 1
        check_that_a_kill_leaves_nothing_running(second, redis)


def make_an_open_folder(data: Path) -> None:
    data.mkdir()
    data.chmod(0o755)
    (data / "dev.env").touch(0o644)
    (data / ".gitignore").write_text("mine\n")


def post(dev: Dev, request_id: str) -> str:
    """A signed delivery that must be kept; returns its event key."""
    body = payload(request_id=request_id)
    reply = httpx.post(dev.url + WEBHOOKS, content=body, headers=headers(SECRET, body))
    assert reply.status_code == 202, reply
    return key_of(body)


def check_that_nobody_else_may_read(data: Path, dev: Dev) -> None:
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in data.rglob("*")}

    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert "folder.narrowed" in dev.output
    assert {"dev.env", "sandbox.db", "server.log"} < modes.keys()
    assert {name for name, mode in modes.items() if mode & 0o077} == {".gitignore"}
    assert (data / ".gitignore").read_text() == "mine\n"


def check_that_a_second_is_refused(folder: Path, first: Dev) -> None:
    kept = (folder / "data" / "dev.env").read_text()

    with Dev(folder) as second:
        assert second.process.wait(15.0) == 2

    assert f"Another hitl-receiver is using {folder / 'data'}: stop it first" in first.output
    assert (folder / "data" / "dev.env").read_text() == kept
    assert httpx.get(f"{first.url}/health/ready").status_code == 200


def check_that_ctrl_c_stops_all_in_order(dev: Dev) -> None:
    # One for handlers, and one for reconcile runs.
    wanted = ["serve", "work", "work", "valkey"]
    names = [(pid, name) for pid in dev.family() if (name := name_of(pid)) in wanted]
    in_order = dict(sorted(names, key=lambda named: wanted.index(named[1])))

    dev.process.send_signal(signal.SIGINT)
    ended = order_of_death(in_order)

    assert dev.process.wait(10.0) == 0
    assert dev.family() == []
    assert ended == wanted
    assert "Stopped." in dev.output


def check_that_a_kill_leaves_nothing_running(dev: Dev, redis: Redis) -> None:
    earlier = len(dev.observer.happenings())
    post(dev, "second")
    proc.until(lambda: len(dev.observer.happenings()) > earlier, 10.0, "a handler ran, so there is a work-horse")
    # Else the work-horse tries for its whole grace to report to the server, which is gone too.
    proc.until(lambda: not redis.exists(keys.LEASES), 10.0, "what it did is recorded")
    assert len(dev.family()) >= 6

    dev.stop(signal.SIGKILL)

    proc.until(lambda: not dev.family(), 90.0, f"all of it ends: {dev.family()}")


def name_of(pid: int) -> str:
    """`serve`, `work`, ... of a process of ours, `valkey` of the server, '' of work-horses."""
    words = (proc.PROC / f"{pid}/cmdline").read_text().split("\0")
    if "valkey-server" in words[0] or "redis-server" in words[0]:
        return "valkey"
    parent = int((proc.PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[1])
    is_horse = os.path.realpath(proc.PROC / f"{pid}/exe") == os.path.realpath(proc.PROC / f"{parent}/exe") and (
        proc.PROC / f"{parent}/cmdline"
    ).read_text() == "\0".join(words)
    return "" if is_horse else words[3]


def order_of_death(in_order: dict[int, str], seconds: float = 20.0) -> list[str]:
    """The names in the order in which their processes ended; `in_order`: as they should end."""
    ended: list[str] = []
    left = dict(in_order)

    def watch() -> bool:
        # The last is looked at first: one that should end before it and is seen alive after it did not.
        gone = {pid for pid in reversed(left) if not proc.alive(pid)}
        ended.extend(left.pop(pid) for pid in list(left) if pid in gone)
        return not left

    proc.until(watch, seconds, f"all of {left} end")
    return ended


def test_dev_does_not_follow_a_link_that_a_repository_brought(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir(mode=0o755)
    (tmp_path / ".hitl").symlink_to(target)

    told = run("dev", cwd=tmp_path, environ=settings(tmp_path))

    assert told.returncode == 2
    assert told.stderr == (".hitl is a symbolic link: remove it, or name the folder that it leads to with --folder.\n")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(("words", "status"), [(["status"], 2), (["callback-url"], 2), (["api", "loops"], 1)])
def test_a_command_takes_no_settings_from_a_folder_that_is_a_link(
    tmp_path: Path, words: list[str], status: int
) -> None:
    target = tmp_path / "planted"
    target.mkdir()
    (target / "dev.env").write_text("REDIS_URL='redis://127.0.0.1:1/0'\n")
    (tmp_path / ".hitl").symlink_to(target)

    told = invoke(*words, cwd=tmp_path)

    assert told.exit_code == status
    assert ".hitl belongs to another user or is a symbolic link" in told.stderr
    assert "Traceback" not in told.stderr
