"""What an application says about itself, read with a short time limit and judged without trust."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Dict, Optional, Tuple
from urllib.parse import urlsplit

LARGEST_ANSWER = 1 << 20


def ask(method: str, url: str, timeout_seconds: float) -> Tuple[int, bytes]:
    """Send one request without a body; return status and body. OSError, HTTPException: no whole answer.

    ``http.client`` instead of ``urllib.request``: no proxy of the environment can come between, and a
    status that is no 200 is an answer, not an exception.
    """
    parts = urlsplit(url)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port or (443 if https else 80), timeout=timeout_seconds)
    try:
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        connection.request(method, path, headers={"Content-Length": "0"} if method == "POST" else {})
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST_ANSWER)
    finally:
        connection.close()


def read_health(url: str, timeout_seconds: float) -> Dict[str, Any]:
    """Return {health, http_status, detail, in_flight, epoch, uploads}; never raises.

    ``unreachable``: no answer at all, so that nothing is known about what runs there. ``failed``: it
    answered, and not with a state that is known.
    """
    reading: Dict[str, Any] = {
        "health": "unreachable",
        "http_status": None,
        "detail": "",
        "in_flight": None,
        "epoch": None,
        "uploads": [],
    }
    try:
        status, body = ask("GET", url, timeout_seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = isinstance(error, socket.timeout)
        reading["detail"] = "no answer within %.1f s" % timeout_seconds if late else str(error) or repr(error)
        return reading
    reading["http_status"] = status
    said = _parse(body)
    state = (said or {}).get("state")
    if said is None or state not in ("serving", "standby", "failed"):
        reading.update(health="failed", detail="HTTP %d without a known state" % status)
        return reading
    # A page that claims to serve with an error status, or the other way round, is believed in neither.
    if (state == "serving") != (status == 200):
        reading.update(health="failed", detail="HTTP %d with state %s" % (status, state))
        return reading
    reading.update(health=state, detail=str(said.get("detail") or ""), epoch=said.get("epoch"))
    count = said.get("in_flight")
    reading["in_flight"] = count if isinstance(count, int) and not isinstance(count, bool) else None
    uploads = said.get("uploads")
    reading["uploads"] = uploads if isinstance(uploads, list) else []
    return reading


def _parse(body: bytes) -> Optional[Dict[str, Any]]:
    try:
        said = json.loads(body.decode("utf-8"))
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
