"""How guards ask each other: one line there, one line back over TCP, each sealed with the office's key.

The lines are no secret (an epoch, a site), so nothing is encrypted. What counts is who wrote them and that an answer
belongs to this very question: an HMAC over both, with a number that is used once. No certificate can expire in the
night of an emergency, no clock has to be right, and no account with a shell has to exist between the sites.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import queue
import socket
import socketserver
import threading
import time
from typing import Any, Callable, Dict, List

Message = Dict[str, Any]

MOST_BYTES = 65536
ONE_SECONDS = 1.2
# Once somebody has permitted, the others have this long to forbid.
OBJECTION_SECONDS = 0.4


def seal(key: bytes, message: Message) -> bytes:
    """Return the message as a line with its seal."""
    body = json.dumps(message, sort_keys=True).encode("utf-8")
    return hmac.new(key, body, hashlib.sha256).hexdigest().encode() + b" " + body + b"\n"


def unseal(key: bytes, line: bytes) -> Message:
    """Return what a line says; ValueError for one that is cut short or was not sealed with this key."""
    if not line.endswith(b"\n"):
        raise ValueError("a line without its end")
    mark, _, body = line[:-1].partition(b" ")
    if not hmac.compare_digest(mark, hmac.new(key, body, hashlib.sha256).hexdigest().encode()):
        raise ValueError("a seal of another key")
    message = json.loads(body.decode("utf-8"))
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def ask(witness: Message, key: bytes, question: Message, seconds: float) -> Message:
    """Return the answer of one witness; OSError or ValueError where there is none that counts."""
    nonce = os.urandom(16).hex()
    with socket.create_connection((witness["address"], int(witness["port"])), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(seal(key, dict(question, kind="question", to=witness["host"], nonce=nonce)))
        with connection.makefile("rb") as stream:
            answer = unseal(key, stream.readline(MOST_BYTES))
    if (answer.get("kind"), answer.get("host"), answer.get("nonce")) != ("answer", witness["host"], nonce):
        raise ValueError("an answer to another question")
    return answer


def ask_all(
    witnesses: List[Message], key: bytes, question: Message, seconds: float = ONE_SECONDS
) -> Dict[str, Message]:
    """Ask everybody at once; return {host: answer, or {"error": why}}. Takes ``seconds`` at most."""
    arrived: "queue.Queue[Any]" = queue.Queue()

    def one(witness: Message) -> None:
        try:
            arrived.put((witness["host"], ask(witness, key, question, seconds)))
        except (OSError, ValueError, KeyError) as error:
            arrived.put((witness["host"], {"error": str(error) or type(error).__name__}))

    for witness in witnesses:
        threading.Thread(target=one, args=(witness,), daemon=True).start()
    answers: Dict[str, Message] = {}
    ends = time.monotonic() + seconds
    while len(answers) < len(witnesses) and time.monotonic() < ends:
        with contextlib.suppress(queue.Empty):
            host, answer = arrived.get(timeout=max(0.01, ends - time.monotonic()))
            answers[host] = answer
            if answer.get("verdict") == "permit":
                ends = min(ends, time.monotonic() + OBJECTION_SECONDS)
    for witness in witnesses:
        answers.setdefault(witness["host"], {"error": "no answer in time"})
    return answers


class Server(socketserver.ThreadingTCPServer):
    """Answers questions until the process ends; a line that is not sealed with the key gets no answer."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int, host: str, key: bytes, answer: Callable[[Message], Message]) -> None:
        self.host = host
        self.key = key
        self.answer = answer
        super().__init__((address, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a port scan is no news."""


class _Handler(socketserver.StreamRequestHandler):
    timeout = 2.0
    server: Server

    def handle(self) -> None:
        question = unseal(self.server.key, self.rfile.readline(MOST_BYTES))
        if question.get("kind") != "question" or question.get("to") != self.server.host:
            return
        answer = dict(self.server.answer(question), kind="answer", host=self.server.host, nonce=question.get("nonce"))
        self.wfile.write(seal(self.server.key, answer))
