"""The action plugins, driven by a real ansible-playbook with the package's own ansible.cfg, and no host at all."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.content import content_root
from tests.unit.guards import pair

INVENTORY: dict[str, Any] = {
    "all": {
        "children": {
            "site_pdc": {"vars": {"site": "pdc"}, "hosts": {"pdc-db": {}, "pdc-app": {}, "pdc-gateway": {}, "pdc-office": {}}},
            "site_drc": {"vars": {"site": "drc"}, "hosts": {"drc-db": {}, "drc-app": {}, "drc-gateway": {}}},
            "database": {"hosts": {"pdc-db": {}, "drc-db": {}}},
            "application": {"hosts": {"pdc-app": {}, "drc-app": {}}},
            "gateway": {"hosts": {"pdc-gateway": {}, "drc-gateway": {}}},
            "nameserver": {"hosts": {"ns": {}}},
        },
        "vars": {
            "ansible_user": "lpse-dr", "ansible_port": 2222, "office": "/tmp/office", "ansible_ssh_private_key_file": "{{ office }}/id_ed25519",
            "ansible_ssh_common_args": "-o UserKnownHostsFile={{ office }}/known_hosts", "ansible_host": "192.0.2.1", "ansible_python_interpreter": "/usr/bin/python3.9",
        },
    }
}  # fmt: skip


def readings(facts: pair.Facts) -> dict[str, Any]:
    """The readings as of now, as the read play registers them."""
    now = time.time()
    found = copy.deepcopy(facts["readings"])
    for reading in found.values():
        reading["clock"] = now
        if "files" in reading:
            reading["files"]["last_sync"]["at"] = now - 1
    return {host: {"changed": False, "reading": reading} for host, reading in found.items()}


def play(
    folder: Path, registered: dict[str, Any], tasks: list[dict[str, Any]], *more: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Run the tasks on localhost; return the exit code, the results by task and the whole output."""
    inventory = copy.deepcopy(INVENTORY)
    for group in ("database", "application", "gateway"):
        for host in inventory["all"]["children"][group]["hosts"]:
            if host in registered:
                inventory["all"]["children"][group]["hosts"][host] = {"lpse_read": registered[host]}
    (folder / "hosts.yml").write_text(json.dumps(inventory))
    (folder / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": tasks}])
    )
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal", "ANSIBLE_NOCOLOR": "1",
    }  # fmt: skip
    program = Path(sys.executable).parent / "ansible-playbook"
    argv = [str(program), "-i", str(folder / "hosts.yml"), str(folder / "play.yml"), *more]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    results, text = [], done.stdout
    while "=> {" in text:
        value, end = json.JSONDecoder().raw_decode(text[text.index("=> {") + 3 :])
        results.append(value)
        text = text[text.index("=> {") + 3 + end :]
    return done.returncode, results, done.stdout + done.stderr


GUARD: dict[str, Any] = {
    "guard": {"purpose": "switchover", "from_site": "pdc", "to_site": "drc", "limits": {}},
    "register": "guards",
}


def test_a_healthy_pair_gives_the_playbook_all_it_needs(tmp_path: Path) -> None:
    code, results, output = play(tmp_path, readings(pair.healthy()), [GUARD])
    assert code == 0, output
    found = results[0]
    assert (found["stage"], found["refused"], found["open"]) == ("ready", [], [])
    assert (found["epoch"], found["epoch_site"], found["epoch_target"], found["operation_number"]) == (3, "pdc", 4, 8)
    assert found["sites"]["pdc"] == {"database": "pdc-db", "application": ["pdc-app"], "gateway": ["pdc-gateway"]}
    assert set(found["conduct"]) == set(pair.HOSTS)
    one = found["conduct"]["drc-db"]
    assert (one["address"], one["port"], one["user"], one["python"], one["site"]) == (
        "192.0.2.1",
        2222,
        "lpse-dr",
        "/usr/bin/python3.9",
        "drc",
    )
    assert one["private_key_file"] == "/tmp/office/id_ed25519"
    assert "-o UserKnownHostsFile=/tmp/office/known_hosts" in one["ssh_args"]
    assert (
        "ControlMaster=auto" in one["ssh_args"]
        and f'ControlPath="{tmp_path}/.cache/lpse-dr-ssh/%C"' in one["ssh_args"]
    )
    assert one["config"]["database_majors_tested"] == [15, 17]
    assert found["lpse_dr"]["kind"] == "guards" and all(guard["ok"] for guard in found["lpse_dr"]["guards"])
    assert (
        found["claim"]["number"] == 8
        and found["claim"]["run"] == found["run"]
        and found["claim"]["lease_seconds"] == 300
    )


def test_a_refusal_ends_the_run_and_says_why(tmp_path: Path) -> None:
    facts = pair.put(pair.healthy(), "drc-db", "database.lag_bytes", 99 * 2**20)
    code, results, output = play(tmp_path, readings(facts), [GUARD])
    assert code != 0
    assert [guard["guard_id"] for guard in results[0]["refused"]] == ["database.lag_bytes"]
    assert "expected at most 16777216 bytes behind; found 103809024 bytes" in results[0]["msg"]
    assert "Traceback" not in output


def test_without_fail_it_only_reports(tmp_path: Path) -> None:
    registered = readings(pair.healthy())
    registered["drc-app"] = {
        "unreachable": True,
        "msg": "ssh: connect to host 192.0.2.1 port 22: No route to host",
        "changed": False,
    }
    registered["drc-gateway"] = {
        "failed": False,
        "msg": "x",
        "error": {"id": "state.unreadable", "found": "not an object"},
        "changed": False,
    }
    del registered["pdc-gateway"]
    code, results, _ = play(tmp_path, registered, [{"guard": {**GUARD["guard"], "fail": False}}])
    assert code == 0
    said_no = {(guard["guard_id"], guard["host"]): guard["found"] for guard in results[0]["refused"]}
    assert "No route to host" in said_no["host.reachable", "drc-app"]
    assert said_no["host.read", "drc-gateway"] == "not an object"
    assert said_no["host.read", "pdc-gateway"] == "it was not read"
    assert set(results[0]["conduct"]) == {"pdc-db", "drc-db", "pdc-app"}


def test_an_injected_clock_is_refused(tmp_path: Path) -> None:
    over = {"guard": {**GUARD["guard"], "readings": {"drc-app": {"clock": time.time() + 30}}}}
    code, results, _ = play(tmp_path, readings(pair.healthy()), [over])
    assert code != 0
    assert {(guard["guard_id"], guard["host"]) for guard in results[0]["refused"]} == {("host.clock", "drc-app")}


def test_the_start_of_reading_sharpens_the_clock(tmp_path: Path) -> None:
    registered = readings(pair.healthy())
    tasks: list[dict[str, Any]] = [
        {"phase": {"name": "read", "title": "Look at both sites"}, "register": "reading"},
        {
            "guard": {
                **GUARD["guard"],
                "read_started": "{{ reading.unix }}",
                "readings": {"drc-app": {"clock": "{{ reading.unix - 1.5 }}"}},
            }
        },
    ]
    _, results, output = play(tmp_path, registered, tasks)
    assert results[0]["lpse_dr"]["phase"] == "read", output
    assert ("host.clock", "drc-app") in {(guard["guard_id"], guard["host"]) for guard in results[1]["refused"]}


def test_a_holder_on_this_machine_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    import socket

    facts = pair.killed_after(pair.promote)
    for host in pair.HOSTS:
        pair.put(facts, host, "state.operation.holder", f"tim@{socket.gethostname()} pid 4194304 since 1")
        pair.put(facts, host, "state.operation.expires", time.time() + 200)
    _, results, output = play(tmp_path, readings(facts), [GUARD])
    assert results[0]["stage"] == "finish", output
    assert results[0]["refused"] == []
    assert results[0]["claim"]["taking_over"] == "r8"
    assert "pdc-db: database.streaming (no reading)" in results[0]["open"]
    me = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    for host in pair.HOSTS:
        pair.put(facts, host, "state.operation.holder", f"tim@{socket.gethostname()} pid {os.getpid()} since {me}")
    _, results, _ = play(tmp_path, readings(facts), [GUARD])
    assert {guard["guard_id"] for guard in results[0]["refused"]} == {"operation.free"}


def test_passwords_appear_only_where_they_are_asked_for_and_hidden(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = [
        GUARD,
        {"guard": {"secrets": True}, "register": "hidden"},
        {"ansible.builtin.debug": {"msg": "{{ hidden.conduct['drc-db'].become_password | length }}"}},
    ]
    (tmp_path / "secret.yml").write_text(json.dumps({"ansible_become_password": "s3cret-word"}))
    code, results, output = play(tmp_path, readings(pair.healthy()), tasks, "-e", f"@{tmp_path}/secret.yml")
    assert code == 0, output
    assert "s3cret-word" not in output
    assert "become_password" not in results[0]["conduct"]["drc-db"]
    assert results[-1]["msg"] == "11" or results[-1]["msg"] == 11


@pytest.mark.parametrize(
    ("arguments", "code", "event"),
    [
        ({"verdict": "COMPLETED", "changed": True, "figures": {"seconds": 3}}, 0, {"verdict": "COMPLETED", "changed": True, "figures": {"seconds": 3}}),
        ({"verdict": "INCOMPLETE", "changed": True, "error": {"id": "x", "expected": "a", "found": "b"}}, 2, {"verdict": "INCOMPLETE"}),
        ({"verdict": "INCOMPLETE", "fail": False}, 0, {"verdict": "INCOMPLETE"}),
        ({"verdict": "FINE"}, 2, None),
        ({"outcome": {"reread": True, "fired": False}, "after": {"stage": "done"}}, 0, {"verdict": "COMPLETED", "changed": True}),
        ({"outcome": {"reread": True, "fired": True}, "after": {"stage": "finish", "open": ["x"]}}, 2, {"verdict": "INCOMPLETE"}),
    ],
)  # fmt: skip
def test_verdict(tmp_path: Path, arguments: dict[str, Any], code: int, event: dict[str, Any] | None) -> None:
    found, results, output = play(tmp_path, {}, [{"verdict": arguments}])
    assert found == code, output
    if event is not None:
        assert results[0]["lpse_dr"]["kind"] == "verdict"
        assert {key: results[0]["lpse_dr"][key] for key in event} == event
