"""Looking for the other site: a real server, a listener that says nothing, a closed port, an address that is nobody's."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import search
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context
from tests.unit.host import database_sites
from tests.unit.host.database_sites import Site

pair = database_sites.pair


def look(config: dict[str, Any], site: str = "drc") -> dict[str, dict[str, Any]]:
    """Return what was seen, by what was looked at."""
    seen = search.look(Context(f"{site}-x", site, config), {})["search"]
    assert all(entry["answer"] in search.ANSWERS and entry["detail"] for entry in seen)
    return {entry["what"]: entry for entry in seen}


@contextmanager
def application(state: str, status: int = 200) -> Iterator[int]:
    """An application that says of itself what it is told to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"state": state}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("state", "status", "answer"),
    [("serving", 200, "writable"), ("standby", 503, "open"), ("failed", 503, "open"), ("?", 200, "open")],
)
def test_an_application_that_serves_is_a_site_that_writes(state: str, status: int, answer: str) -> None:
    with application(state, status) as port:
        seen = look(
            {
                "traffic_sites": {
                    "pdc": {"address": "127.0.0.1", "port": port},
                    "drc": {"address": "127.0.0.1", "port": port},
                }
            }
        )
    # The own site is not looked for.
    assert [(what, entry["site"], entry["answer"]) for what, entry in seen.items()] == [
        ("application", "pdc", answer)
    ]


def test_nobody_is_silent_and_a_closed_port_is_closed() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        closed = look({"traffic_sites": {"pdc": {"address": "127.0.0.1", "port": port}}})
    assert closed["application"]["answer"] == "closed"
    # A listener whose queue is full drops what comes, as a host does that is not there.
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        silent = look({"traffic_sites": {"pdc": {"address": "127.0.0.1", "port": full.getsockname()[1]}}})
    assert silent["application"]["answer"] == "silent"


def test_a_front_door_without_a_certificate_is_open_and_proves_nothing() -> None:
    with application("serving") as port:
        config = {"traffic_dns_addresses": {"pdc": "127.0.0.1"}, "traffic_service_url": f"https://spse.test:{port}"}
        assert look(config)["front_door"]["answer"] == "open"


@pytest.mark.parametrize(
    ("conninfo", "found"),
    [
        ("host=10.0.0.1 port=5433 user=x", ("10.0.0.1", 5433)),
        ("host=a hostaddr=10.0.0.2", ("10.0.0.2", 5432)),
        ("host='10.0.0.3' password='it''s'", ("10.0.0.3", 5432)),
        ("host=a,b port=1,2", ("a", 1)),
        ("user=x", ("", 5432)),
        ("", ("", 5432)),
    ],
)
def test_where_replication_comes_from(conninfo: str, found: tuple[str, int]) -> None:
    assert search.parse_address(conninfo) == found


def over_tcp(primary: Site, standby: Site, password: str = "x y'\\z") -> None:
    """Let the primary listen on loopback, and the standby name it so, with a password that needs quoting."""
    with (primary.data / "postgresql.conf").open("a") as stream:
        stream.write("\nlisten_addresses = '127.0.0.1'\n")
    primary.call("stop")
    primary.call("start")
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    conninfo = f"host=127.0.0.1 port={primary.config['database_port']} user={database_sites.USER} password='{quoted}'"
    standby.sql("ALTER SYSTEM SET primary_conninfo = '" + conninfo.replace("'", "''") + "'")
    standby.sql("SELECT pg_reload_conf()")
    standby.call("await_streaming")


def test_a_database_says_itself_whether_it_writes(pair: tuple[Site, Site]) -> None:
    pdc, drc = pair
    over_tcp(pdc, drc)
    assert look(drc.config)["database"]["answer"] == "writable"
    # Beside the reading, and only where it is asked for.
    assert "search" not in drc.call("status")["reading"]
    (entry,) = drc.call("status", search=True)["reading"]["search"]
    assert (entry["answer"], entry["address"]) == ("writable", f"127.0.0.1:{pdc.config['database_port']}")
    drc.call("await_replay", lsn=pdc.call("prove_write")["lsn"])
    reading = drc.reading()
    assert abs(reading["received_at"] - reading["last_commit_at"]) < 5
    assert pdc.reading()["received_at"] is None
    pdc.call("fence")
    pdc.call("stop")
    pdc.call("start")
    assert look(drc.config)["database"]["answer"] == "standby"
    pdc.call("stop")
    assert look(drc.config)["database"]["answer"] == "closed"
    # How long ago it last received is known from the file that it wrote, although no receiver is there any more.
    last = drc.reading()
    assert last["receiver"] is None
    assert last["received_at"] > 0
