"""The load generator: what counts as acknowledged, what as failed, and that nothing is sent twice."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.lab.bids import Bid, read_bids
from lpse_dr.lab.load import read_result

from .programs import IMAGE, StandIn


def run_load(folder: Path, port: int, *options: str) -> tuple[list[Bid], dict[str, Any]]:
    """Run the generator against a port of this machine."""
    command = [sys.executable, str(IMAGE / "load.py"), "--url", f"http://localhost:{port}", "--out"]
    command += [str(folder / "load.jsonl"), "--summary", str(folder / "summary.json"), *options]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return read_bids(folder / "load.jsonl"), json.loads((folder / "summary.json").read_text())


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    one = StandIn(tmp_path)
    one.wait_for("serving", open_connections=3)
    yield one
    one.close()


def test_every_receipt_is_recorded(tmp_path: Path, stand_in: StandIn) -> None:
    bids, summary = run_load(tmp_path, stand_in.port, "--seconds", "1", "--clients", "3")
    assert len(bids) == summary["requests"] == summary["acknowledged"] == len(stand_in.documents()) > 10
    assert summary["failed"] == 0
    assert summary["connections"] == 3  # kept alive
    assert len({bid.receipt for bid in bids}) == len({bid.sha256 for bid in bids}) == len(bids)
    assert all(1000 <= bid.size <= 1_000_000 for bid in bids)
    assert {path.stem for path in stand_in.documents()} == {bid.receipt for bid in bids}
    result = read_result(tmp_path)
    assert (result.requests, result.failed) == (len(bids), 0)
    assert result.longest_wait_seconds == round(max(bid.wait for bid in bids), 4)
    assert result.window.start / 1e9 <= min(bid.start for bid in bids)
    assert result.window.end / 1e9 >= max(bid.end for bid in bids)


def test_a_refusal_is_a_failure_and_no_flood(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.become("standby")
    stand_in.wait_for("standby")
    bids, summary = run_load(tmp_path, stand_in.port, "--seconds", "1", "--clients", "2")
    assert (summary["acknowledged"], summary["errors"]) == (0, {"status 503": len(bids)})
    assert 2 <= len(bids) <= 22  # a pause of 0.1 s after each
    assert all(bid.receipt is None for bid in bids)


def test_a_slow_upload_is_one_more_client(tmp_path: Path, stand_in: StandIn) -> None:
    bids, summary = run_load(tmp_path, stand_in.port, "--seconds", "0.3", "--clients", "1", "--slow-upload", "1")
    slow = [bid for bid in bids if bid.client == 1]
    assert [bid.error for bid in slow] == [None]
    assert slow[0].wait >= 0.9
    assert summary["longest_wait_seconds"] < slow[0].wait


def test_sigterm_ends_the_load_and_breaks_the_slow_upload_off(tmp_path: Path, stand_in: StandIn) -> None:
    command = [sys.executable, str(IMAGE / "load.py"), "--url", f"http://localhost:{stand_in.port}"]
    command += ["--seconds", "60", "--clients", "1", "--slow-upload", "60"]
    command += ["--out", str(tmp_path / "load.jsonl"), "--summary", str(tmp_path / "summary.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["requests"] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["failed"] == 1
    assert "broken off" in next(iter(summary["errors"]))


def test_a_name_that_does_not_resolve_is_a_failed_request(tmp_path: Path) -> None:
    options = ["--url", "http://name.invalid", "--seconds", "0.3", "--clients", "1"]
    bids, summary = run_load(tmp_path, 1, *options)
    assert summary["failed"] == len(bids) > 0


Script = Callable[[socket.socket, int], None]


class Server:
    """Accepts connections and hands each to a script, with its number."""

    def __init__(self, script: Script) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.script = script
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                channel, _ = self.listener.accept()
            except OSError:
                return
            with channel:
                self.script(channel, number)
            number += 1


def read_request(channel: socket.socket) -> bytes:
    """Return one document."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = channel.recv(65536)
        if not piece:
            return b""
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += channel.recv(65536)
    return body


def answer(channel: socket.socket, body: dict[str, Any], status: str = "201 Created") -> None:
    data = json.dumps(body).encode()
    channel.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)


def acknowledge(channel: socket.socket) -> None:
    document = read_request(channel)
    if document:
        answer(
            channel,
            {"receipt": str(uuid.uuid4()), "site": "pdc", "sha256": hashlib.sha256(document).hexdigest()},
        )


def test_an_idle_connection_that_the_server_closed_is_no_failure(tmp_path: Path) -> None:
    def script(channel: socket.socket, number: int) -> None:
        acknowledge(channel)  # and close, without having said so

    # The pause lets the server's goodbye arrive before the next request looks at the connection.
    server = Server(script)
    bids, summary = run_load(tmp_path, server.port, "--seconds", "0.5", "--clients", "1", "--pause-between", "0.05")
    assert summary["failed"] == 0
    assert summary["idle_closed"] >= 2
    assert summary["connections"] == len(bids)


def test_a_connection_lost_after_sending_is_a_failure_and_is_not_sent_again(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def script(channel: socket.socket, number: int) -> None:
        seen.append(read_request(channel))

    server = Server(script)
    bids, summary = run_load(tmp_path, server.port, "--seconds", "0.3", "--clients", "1")
    assert summary["acknowledged"] == 0
    assert summary["failed"] == len(bids) == len(seen) == len(set(seen)) > 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"receipt": "r", "site": "pdc", "sha256": "0" * 64}, "the receipt is for another document"),
        ({"receipt": "r"}, "the receipt is unreadable"),
    ],
)
def test_a_receipt_for_something_else_does_not_count(tmp_path: Path, body: dict[str, Any], error: str) -> None:
    def script(channel: socket.socket, number: int) -> None:
        while read_request(channel):
            answer(channel, body)

    server = Server(script)
    _, summary = run_load(tmp_path, server.port, "--seconds", "0.3", "--clients", "1")
    assert summary["acknowledged"] == 0
    assert set(summary["errors"]) == {error}


def test_silence_is_a_failure_after_the_time_out(tmp_path: Path) -> None:
    def script(channel: socket.socket, number: int) -> None:
        read_request(channel)
        channel.recv(1)

    server = Server(script)
    bids, _ = run_load(tmp_path, server.port, "--seconds", "0.2", "--clients", "1", "--timeout", "0.3")
    assert [(bid.error or "")[:12] for bid in bids] == ["TimeoutError"]
    assert bids[0].wait >= 0.3
