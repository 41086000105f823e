"""The power fence: a command's word counts only when it ends with 0 in time, and it is recorded before it runs."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from lpse_dr.lab import fence
from lpse_dr.plugins.action import power, verb


@pytest.mark.parametrize(
    ("script", "ok", "found"),
    [
        ("print('off')", True, "exit 0: off"),
        ("import sys; sys.exit('no route to the board')", False, "exit 1: no route to the board"),
        ("import time; time.sleep(5)", False, "no end within"),
    ],
)
def test_only_an_end_with_0_in_time_is_off(script: str, ok: bool, found: str) -> None:
    said = power.cut([sys.executable, "-c", script], 0.5)
    assert said[0] is ok
    assert found in said[1]


def test_a_command_that_is_not_there_proves_nothing() -> None:
    assert power.cut(["/no/such/command"], 1)[0] is False


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"ok\n", ""), (b"error the disk is full\n", "error the disk is full"), (b"", "the recorder is gone")],
)
def test_what_cannot_be_recorded_is_not_done(tmp_path: Path, answer: bytes, said: str) -> None:
    path, seen = tmp_path / "s", []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            channel, _ = server.accept()
            with channel:
                seen.append(json.loads(channel.recv(1000)))
                channel.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        assert power.record(str(path), {"kind": "power", "hosts": ["pdc-db"]}) == said
    assert seen == [{"kind": "power", "hosts": ["pdc-db"]}]
    assert power.record(str(tmp_path / "none"), {"kind": "power"})
    assert power.record("", {"kind": "power"}) == ""


def test_the_labs_own_command_says_off_of_nothing_that_it_cannot_see(capsys: pytest.CaptureFixture[str]) -> None:
    assert fence.main(["nosuchlab", "pdc-db"]) == 1
    assert fence.main(["nosuchlab"]) == 2
    assert capsys.readouterr().err


class Way:
    """A connection as Ansible's ssh plugin has it."""

    def __init__(self, port: int, arguments: str = "") -> None:
        self._options = {"port": port, "ssh_common_args": arguments}

    def get_option(self, name: str) -> object:
        return self._options.get(name)


def test_a_host_that_takes_no_connection_is_given_up_at_once_unless_ssh_goes_another_way() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(Exception, match=r"no SSH at 127\.0\.0\.1 within 0\.5 s"):
            verb.knock(Way(port), "127.0.0.1", 0.5)
        assert time.monotonic() - began < 3
        verb.knock(Way(port, "-o ProxyJump=gate.example"), "127.0.0.1", 0.5)
        unused.listen()
        verb.knock(Way(port), "127.0.0.1", 0.5)
