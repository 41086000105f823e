"""The stand-in as a process of its own, against a fake database that can be told to fail."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .programs import StandIn

Start = Callable[..., StandIn]
BID = "/bid?tender=T1&vendor=V1"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[StandIn] = []

    def one(word: str = "primary", state: str = "serving") -> StandIn:
        running.append(StandIn(tmp_path, word))
        running[-1].wait_for(state, open_connections=3 if state != "failed" else None)
        return running[-1]

    yield one
    for stand_in in running:
        stand_in.close()


@pytest.mark.parametrize("size", [1, 10_000, 700_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_receipt_means_row_and_file(start: Start, size: int, chunked: bool) -> None:
    stand_in = start()
    document = os.urandom(size)
    body = (document[at : at + 99_999] for at in range(0, size, 99_999)) if chunked else document
    status, answer = stand_in.request("POST", BID, body)
    sha256 = hashlib.sha256(document).hexdigest()
    assert (status, answer["sha256"], answer["size"], answer["site"]) == (201, sha256, size, "pdc")
    status, row = stand_in.request("GET", f"/receipt/{answer['receipt']}")
    assert (status, row["id"]) == (200, answer["receipt"])
    assert [path.read_bytes() for path in stand_in.documents()] == [document]
    assert stand_in.documents()[0] == stand_in.files / row["path"]


def test_health_shows_epoch_and_pool(start: Start) -> None:
    status, body = start().request("GET", "/health")
    assert (status, body["state"], body["epoch"], body["in_flight"]) == (200, "serving", 7, 0)
    assert body["pool"] == {"size": 3, "open": 3}
    assert body["age_seconds"] < 1


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/bid?tender=T1", {}, b"x", 400),
        ("/bid?vendor=V1", {}, b"x", 400),
        (f"/bid?tender={'T' * 201}&vendor=V", {}, b"x", 400),
        (BID, {}, b"", 400),
        (BID, {"Content-Length": "many"}, b"", 400),
        (BID, {"Content-Length": str(801 * 1024 * 1024)}, b"", 413),
        ("/elsewhere", {}, b"x", 404),
        ("/lpse-dr/prove-write", {}, b"", 403),
    ],
)
def test_bad_requests_leave_nothing(
    start: Start, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    stand_in = start()
    assert stand_in.request("POST", path, body, headers=headers)[0] == status
    assert stand_in.documents() == []
    assert stand_in.health()["in_flight"] == 0


def test_a_request_without_a_length_is_refused(start: Start) -> None:
    stand_in = start()
    with socket.create_connection(("127.0.0.1", stand_in.port), 5) as channel:
        channel.sendall(f"POST {BID} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert channel.recv(100).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize("text", ["not-a-uuid", "0" * 40])
def test_a_receipt_is_a_uuid(start: Start, text: str) -> None:
    assert start().request("GET", f"/receipt/{text}")[0] == 400


def test_an_unknown_receipt(start: Start) -> None:
    assert start().request("GET", "/receipt/00000000-0000-4000-8000-000000000000")[0] == 404


def test_half_a_document_gets_no_receipt_and_leaves_no_file(start: Start) -> None:
    stand_in = start()
    with socket.create_connection(("127.0.0.1", stand_in.port), 5) as channel:
        channel.sendall(f"POST {BID} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        channel.shutdown(socket.SHUT_WR)
        assert channel.recv(100) == b""
    assert stand_in.documents() == []


def test_a_standby_refuses_before_anything_is_on_disk(start: Start) -> None:
    stand_in = start("standby", "standby")
    status, answer = stand_in.request("POST", BID, b"x" * 5000)
    assert (status, answer["site"]) == (503, "pdc")
    assert "standby" in answer["error"]
    assert list(stand_in.files.iterdir()) == []


def test_a_refused_upload_that_waits_for_100_continue_is_never_sent(start: Start) -> None:
    stand_in = start("standby", "standby")
    with socket.create_connection(("127.0.0.1", stand_in.port), 5) as channel:
        head = f"POST {BID} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        channel.sendall(head.encode())
        assert channel.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_an_accepted_upload_is_asked_to_continue(start: Start) -> None:
    stand_in = start()
    with socket.create_connection(("127.0.0.1", stand_in.port), 5) as channel:
        head = f"POST {BID} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        channel.sendall(head.encode())
        assert channel.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        channel.sendall(b"hello")
        assert channel.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_right_after_a_promotion_bids_are_taken(start: Start) -> None:
    stand_in = start("standby", "standby")
    stand_in.become("primary")
    assert stand_in.request("POST", BID, b"x")[0] == 201


def test_prove_write_waits_for_the_promotion_and_then_health_serves_at_once(start: Start) -> None:
    stand_in = start("standby", "standby")
    status, proof = stand_in.request("POST", "/lpse-dr/prove-write?seconds=0.1", control=True)
    assert (status, proof["connections"], proof["proven"]) == (503, 3, 0)
    assert "read-only" in proof["detail"]
    stand_in.become("primary")
    status, proof = stand_in.request("POST", "/lpse-dr/prove-write", control=True)
    assert (status, proof["connections"], proof["proven"]) == (200, 3, 3)
    assert stand_in.health()["state"] == "serving"


def test_prove_write_opens_what_is_closed(start: Start) -> None:
    stand_in = start("dead", "failed")
    stand_in.become("primary")
    assert stand_in.request("POST", "/lpse-dr/prove-write", control=True)[1]["proven"] == 3


@pytest.mark.parametrize("word", ["dead", "frozen"])
def test_a_lost_database_is_failed_and_health_still_answers(start: Start, word: str) -> None:
    stand_in = start()
    stand_in.become(word)
    body = stand_in.wait_for("failed")
    started = time.monotonic()
    assert stand_in.health()["detail"]
    assert time.monotonic() - started < 1
    if word == "frozen":
        assert body["age_seconds"] > 2
    else:
        status, answer = stand_in.request("POST", BID, b"x")
        assert (status, "cannot take bids" in answer["error"]) == (503, True)
    stand_in.become("primary")
    stand_in.wait_for("serving", open_connections=3)
    assert stand_in.request("POST", BID, b"x")[0] == 201


def test_a_kept_alive_connection_survives_a_refusal(start: Start) -> None:
    stand_in = start("standby", "standby")
    with socket.create_connection(("127.0.0.1", stand_in.port), 5) as channel:
        for _ in range(2):
            channel.sendall(f"POST {BID} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode())
            assert channel.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_sigterm_ends_an_idle_service_at_once(start: Start) -> None:
    stand_in = start()
    with socket.create_connection(("127.0.0.1", stand_in.port), 5):
        code, seconds = stand_in.terminate()
    assert code == 0
    assert seconds < 2


def slow_upload(stand_in: StandIn) -> socket.socket:
    """Begin an upload that lacks five bytes, and wait until the service counts it."""
    channel = socket.create_connection(("127.0.0.1", stand_in.port), 5)
    head = "POST /bid?tender=T1&vendor=slow HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.9.8.7\r\nContent-Length: 10\r\n\r\nhello"
    channel.sendall(head.encode())
    for _ in range(200):
        body = stand_in.health()
        if body["in_flight"] and body["uploads"][0]["bytes"] == 5:
            break
        time.sleep(0.01)
    upload = body["uploads"][0]
    assert (upload["vendor"], upload["tender"], upload["client"]) == ("slow", "T1", "10.9.8.7")
    return channel


def test_sigterm_cuts_a_long_upload_and_removes_its_part(start: Start) -> None:
    stand_in = start()
    with slow_upload(stand_in) as channel:
        assert [path.suffix for path in stand_in.documents()] == [".part"]
        assert stand_in.terminate()[0] == 0
        assert channel.recv(100) == b""
    assert stand_in.documents() == []


def test_stale_parts_go_at_the_start_and_documents_stay(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "files" / "2026" / "11" / "24"
    folder.mkdir(parents=True)
    for name in ("a.bid.part", "b.bid"):
        (folder / name).write_text("x")
        os.utime(folder / name, (1, 1))
    stand_in = start()
    for _ in range(100):
        if len(stand_in.documents()) == 1:
            break
        time.sleep(0.02)
    assert [path.name for path in stand_in.documents()] == ["b.bid"]


def test_a_control_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path, control="0.0.0.0")
    assert stand_in.process.wait(10) == 1
