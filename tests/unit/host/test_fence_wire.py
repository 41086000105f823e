"""Questions and answers over real sockets: only who has the key is heard, and only what belongs together counts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import fence_wire as wire

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@pytest.fixture
def server() -> Iterator[wire.Server]:
    heard: list[dict[str, Any]] = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        heard.append(question)
        return {"verdict": "permit", "epoch": question["epoch"]}

    serving = wire.Server("127.0.0.1", 0, "drc-db", KEY, answer)
    serving.heard = heard  # type: ignore[attr-defined]
    threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


def witness(server: wire.Server, host: str = "drc-db") -> dict[str, Any]:
    return {"host": host, "site": "drc", "role": "database", "address": "127.0.0.1", "port": server.server_address[1]}


def test_a_question_is_answered(server: wire.Server) -> None:
    question = {"host": "pdc-db", "epoch": {"number": 1, "site": "pdc"}}
    found = wire.ask_all([witness(server)], KEY, question)
    assert (found["drc-db"]["verdict"], found["drc-db"]["epoch"]) == ("permit", question["epoch"])


def test_another_key_is_not_heard(server: wire.Server) -> None:
    assert "error" in wire.ask_all([witness(server)], OTHER_KEY, {"epoch": None})["drc-db"]
    assert server.heard == []  # type: ignore[attr-defined]


def test_a_question_for_another_host_is_not_answered(server: wire.Server) -> None:
    assert "error" in wire.ask_all([witness(server, "drc-gateway")], KEY, {"epoch": None})["drc-gateway"]
    assert server.heard == []  # type: ignore[attr-defined]


def test_an_answer_that_is_played_again_is_refused() -> None:
    """Somebody on the line keeps a good answer and gives it to the next question."""
    kept = wire.seal(KEY, {"kind": "answer", "host": "drc-db", "nonce": "old", "verdict": "permit"})
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(kept)

        threading.Thread(target=play, daemon=True).start()
        place = {"host": "drc-db", "address": "127.0.0.1", "port": listener.getsockname()[1]}
        with pytest.raises(ValueError, match="another question"):
            wire.ask(place, KEY, {}, 1.0)


def test_silence_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = {"host": "drc-db", "address": "127.0.0.1", "port": listener.getsockname()[1]}
        closed = {"host": "ns", "address": "127.0.0.1", "port": 1}
        found = wire.ask_all([place, closed], KEY, {}, 0.3)
    assert set(found) == {"drc-db", "ns"}
    assert all("error" in said for said in found.values())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"x",
        b"abc {}\n",
        wire.seal(KEY, {"a": 1})[:-1],
        wire.seal(OTHER_KEY, {"a": 1}),
        wire.seal(KEY, {"a": 1}).replace(b"1", b"2"),
    ],
)
def test_what_is_not_whole_and_sealed_says_nothing(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line without|seal of another"):
        wire.unseal(KEY, line)
