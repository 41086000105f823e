"""Verbs that use the service as its users do: through a front door, by name and certificate."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import time
from typing import Any, Dict
from urllib.parse import urlencode, urlsplit

from .base import Context, Verb, VerbError


class _Door(http.client.HTTPSConnection):
    """HTTPS to a fixed address, with the certificate checked against the service's public name."""

    def __init__(self, name: str, port: int, address: str, timeout: float, tls: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=timeout, context=tls)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        """Connect to the address; greet it by the name."""
        raw = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)


def submit_bid(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Submit one synthetic bid through this gateway's own door and read its receipt back.

    The bid carries the tool's name as vendor and the run as tender, so that it is never taken for a real one.
    """
    url = urlsplit(ctx.config["traffic_service_url"])
    tls = ssl.create_default_context(cafile=ctx.config.get("traffic_service_ca_file") or None)
    document = ("lpse-dr %s %s %f" % (args["run"], ctx.host, time.time())).encode()
    wanted = hashlib.sha256(document).hexdigest()
    started = time.monotonic()
    door = _Door(
        url.hostname or "",
        url.port or 443,
        ctx.config["traffic_public_address"],
        max(0.5, ctx.remaining()),
        tls,
    )
    try:
        query = urlencode({"tender": "UJI-%s" % args["run"], "vendor": "lpse-dr"})
        door.request("POST", ctx.config["traffic_submit_path"] + "?" + query, body=document)
        posted = door.getresponse()
        words = posted.read(65536)
        if posted.status != 201:
            raise VerbError(
                "service.bid_refused",
                "the service to take a synthetic bid",
                "HTTP %d: %s" % (posted.status, words[:200].decode("utf-8", "replace")),
                "lpse-dr status",
            )
        receipt = json.loads(words)["receipt"]
        door.request("GET", ctx.config["traffic_receipt_path"] + receipt)
        read = door.getresponse()
        row = json.loads(read.read(65536)) if read.status == 200 else {}
        if row.get("sha256") != wanted:
            raise VerbError(
                "service.receipt_wrong",
                "the receipt to name what was sent",
                "HTTP %d, hash %s" % (read.status, row.get("sha256")),
                "lpse-dr status",
            )
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise VerbError(
            "service.unreachable",
            "the service behind %s" % ctx.config["traffic_public_address"],
            repr(error),
            "lpse-dr traffic status",
        ) from error
    finally:
        door.close()
    return {
        "changed": True,
        "receipt": receipt,
        "site": row.get("site"),
        "seconds": round(time.monotonic() - started, 3),
    }


VERBS: Dict[str, Verb] = {"submit_bid": submit_bid}
