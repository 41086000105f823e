"""A conductor's hand on one host: reads one request a line, answers one line, ends with its connection.

Its source is streamed into ``python3`` over SSH, so nothing lies on the host before or after. When the
connection ends, standard input ends, and so does the agent: a conductor that died can ask nothing more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict

from .base import Context, VerbError
from .registry import perform


def answer(request: Dict[str, Any], hello: Dict[str, Any], memory: Dict[str, Any]) -> Dict[str, Any]:
    """Perform one request; every failure becomes an answer, none ends the agent."""
    started = time.monotonic()
    ctx = Context(
        hello["host"],
        hello["site"],
        hello["config"],
        hello.get("operation"),
        request.get("timeout_seconds", 30.0),
        memory,
    )
    try:
        reply: Dict[str, Any] = {
            "ok": True,
            "result": perform(request["verb"], ctx, request.get("args") or {}),
        }
    except VerbError as error:
        reply = {"ok": False, "error": error.as_dict()}
    except Exception as error:  # noqa: BLE001 - a bug in a verb must reach the conductor as a failed act, not as a silent end
        reply = {
            "ok": False,
            "error": {
                "id": "verb.bug",
                "expected": request.get("verb"),
                "found": repr(error),
                "todo": "",
                "data": {},
            },
        }
    reply["id"] = request.get("id")
    reply["seconds"] = round(time.monotonic() - started, 4)
    return reply


def serve() -> None:
    """Answer until standard input ends or the lifetime given in the first line is over."""
    # Some verbs start helpers that print; answers keep a descriptor of their own.
    channel = os.fdopen(os.dup(1), "w", 1)
    os.dup2(2, 1)
    hello = json.loads(sys.stdin.buffer.readline())
    ends = time.monotonic() + hello["lifetime_seconds"]
    memory: Dict[str, Any] = {}
    channel.write(json.dumps({"ok": True, "id": "hello", "result": {"clock": time.time()}, "seconds": 0}) + "\n")
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line)
        if time.monotonic() > ends:
            reply: Dict[str, Any] = {
                "ok": False,
                "id": request.get("id"),
                "seconds": 0,
                "error": VerbError(
                    "operation.deadline",
                    "an agent within its lifetime",
                    "its lifetime is over; nothing was done",
                    "lpse-dr status",
                ).as_dict(),
            }
        else:
            reply = answer(request, hello, memory)
        channel.write(json.dumps(reply) + "\n")
    for closing in list(memory.values()):
        close = getattr(closing, "close", None)
        if close is not None:
            close()
