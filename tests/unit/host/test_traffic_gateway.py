"""What a vendor sees while the gateway holds, switches, restarts, or is forgotten. A real HAProxy."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host.base import VerbError
from tests.unit.host import gateway_sites
from tests.unit.host.gateway_sites import Door

door = gateway_sites.door


def know(folder: Path, **state: Any) -> None:
    """Set the gateway's state file."""
    (folder / "state.json").write_text(json.dumps(state))


def test_eight_vendors_live_through_a_hold_and_a_switch(door: Door) -> None:
    door.start(state="open")
    answers: list[tuple[int, str]] = []
    failures: list[str] = []
    sockets: set[int] = set()
    stop = threading.Event()

    def vendor(number: int) -> None:
        client = door.client()
        body = b"x" * (300_000 if number % 2 else 1_000)
        try:
            while not stop.is_set():
                client.request("POST", "/bid", body=body)
                answer = client.getresponse()
                answers.append((answer.status, json.loads(answer.read())["site"]))
                sockets.add(client.sock.fileno())
                time.sleep(0.01)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            failures.append(repr(error))
        finally:
            client.close()

    idle = door.client()
    idle.request("GET", "/")
    assert idle.getresponse().read()
    vendors = [threading.Thread(target=vendor, args=(number,)) for number in range(8)]
    for thread in vendors:
        thread.start()
    time.sleep(0.3)
    know(door.folder, epoch={"number": 3, "site": "pdc"}, prepared={"number": 4, "site": "drc"})
    door.call("hold", seconds=10)
    door.call("await_drained", site="pdc", limit_seconds=5)
    taken = door.sites["pdc"].taken
    door.sites["pdc"].state = "standby"
    time.sleep(1)
    assert door.sites["pdc"].taken == taken
    door.sites["drc"].state, door.sites["drc"].epoch = "serving", 4
    know(door.folder, epoch={"number": 4, "site": "drc"})
    assert door.call("release", site="drc", epoch=4)["changed"] is True
    time.sleep(0.3)
    stop.set()
    for thread in vendors:
        thread.join(15)
    idle.request("GET", "/")
    assert json.loads(idle.getresponse().read())["site"] == "drc"
    idle.close()
    assert failures == []
    assert {status for status, _ in answers} == {201}
    assert {site for _, site in answers} == {"pdc", "drc"}
    # Every receipt is one document taken, and no document was taken twice.
    assert len(answers) == door.sites["pdc"].taken + door.sites["drc"].taken
    assert door.call("release", site="drc", epoch=4)["changed"] is False


def test_a_restart_in_a_hold_comes_up_holding(door: Door) -> None:
    know(door.folder, epoch={"number": 3, "site": "pdc"})
    door.start(state="open")
    door.call("hold", seconds=10)
    door.kill()
    door.start()
    answers: list[tuple[int, str]] = []
    waiting = threading.Thread(target=lambda: answers.append(door.get()))
    waiting.start()
    time.sleep(0.5)
    assert (answers, door.reading()["state"]) == ([], "hold")
    door.call("release", site="pdc", epoch=3)
    waiting.join(5)
    assert answers == [(200, "pdc")]


@pytest.mark.parametrize(
    ("choice", "pdc", "drc", "wanted"),
    [
        ({}, ("standby", 3), ("serving", 4), (200, "drc")),
        ({}, ("serving", 3), ("serving", 4), (200, "drc")),
        ({}, ("standby", 3), ("serving", 3), (503, "15")),
        ({}, ("serving", 2), ("standby", 3), (503, "15")),
        ({"state": "maintenance"}, ("serving", 3), ("standby", 3), (503, "15")),
        ({"state": "hold", "hold_until": 1}, ("serving", 3), ("standby", 3), (200, "pdc")),
        ({"state": "hold", "hold_until": 1, "prepared": "drc"}, ("standby", 3), ("serving", 3), (200, "drc")),
        ({"state": "hold", "hold_until": 1, "prepared": "-"}, ("standby", 3), ("serving", 4), (503, "15")),
        ({"state": "hold", "hold_until": 1, "prepared": "drc"}, ("serving", 3), ("serving", 4), (503, "15")),
        ({"state": "hold", "hold_until": 1}, ("serving", 2), ("standby", 3), (503, "15")),
        ({"state": "hold", "hold_until": 1}, ("standby", 3), ("standby", 3), (503, "15")),
    ],
)
def test_alone_the_gateway_follows_only_what_is_certain(
    door: Door, choice: Any, pdc: tuple[str, int], drc: tuple[str, int], wanted: tuple[int, str]
) -> None:
    door.sites["pdc"].state, door.sites["pdc"].epoch = pdc
    door.sites["drc"].state, door.sites["drc"].epoch = drc
    door.start(**{"state": "open", **choice})
    assert door.get() == wanted


def test_an_upload_is_named_and_can_be_cut_and_a_held_request_is_not_counted(door: Door) -> None:
    know(door.folder, epoch={"number": 3, "site": "pdc"})
    door.start(state="open")
    assert door.get() == (200, "pdc")
    upload = door.tls.wrap_socket(socket.create_connection(("127.0.0.1", door.port)), server_hostname="localhost")
    upload.sendall(b"POST /bid HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"z" * 50000)
    time.sleep(0.2)
    door.call("hold", seconds=10)
    answers: list[tuple[int, str]] = []
    held = threading.Thread(target=lambda: answers.append(door.get()))
    held.start()
    time.sleep(0.2)
    with pytest.raises(VerbError) as error:
        door.call("await_drained", site="pdc", limit_seconds=0.3)
    assert error.value.id == "traffic.upload_too_long"
    assert [session["client"] for session in error.value.data["in_flight"]] == ["127.0.0.1"]
    assert len(door.call("await_drained", site="pdc", limit_seconds=0.1, cut=True)["cut"]) == 1
    assert door.call("cut", site="pdc")["changed"] is False
    upload.close()
    door.call("release", site="pdc", epoch=3)
    held.join(5)
    assert answers == [(200, "pdc")]


def test_no_release_towards_an_older_epoch(door: Door) -> None:
    know(door.folder, epoch={"number": 4, "site": "drc"})
    door.start(state="open")
    for site, epoch in (("pdc", 3), ("pdc", 4)):
        with pytest.raises(VerbError) as error:
            door.call("release", site=site, epoch=epoch)
        assert error.value.id == "epoch.older"


def test_the_choice_is_kept_where_the_process_does_not_run(door: Door) -> None:
    door.start(state="open")
    door.kill()
    with pytest.raises(VerbError) as error:
        door.call("hold", seconds=5)
    assert error.value.id == "traffic.not_running"
    assert "state hold" in door.map.read_text()
    reading = door.reading()
    assert (reading["running"], reading["state"], reading["target"]) == (False, "hold", "pdc")
