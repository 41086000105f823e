"""A run outlives its terminal, is followed, cancelled, killed and recorded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lpse_dr.errors import JournalError, RefusedError, RunnerError, UsageError
from lpse_dr.journal import incidents, open_incident
from lpse_dr.operations.start import follow, outcome
from lpse_dr.runner.folder import Run, find_run, prune, runs

from .conftest import Start, play, tell


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def _processes(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def _kinds(state: Path) -> list[str]:
    return [event["kind"] for event in incidents(state)[0].events()]


def test_a_run_from_request_to_record(start: Start, state: Path) -> None:
    run = start(
        play(
            tell("{kind: phase, phase: guard, title: Check}"),
            "{ansible.builtin.debug: {var: reading}, vars: {reading: {host: pdc-db, site: pdc}}}",
            tell("{kind: phase, phase: switch, title: Move}"),
            "{ansible.builtin.debug: {msg: '{{ ansible_become_password | length }} {{ lpse_dr_run }} {{ lpse_dr_holder }}'}}",
            tell("{kind: verdict, verdict: COMPLETED, changed: true, error: null, figures: {seconds: 1.5}}"),
        ),
        reason="uji",
        secret_vars={"ansible_become_password": "rahasia-sekali"},
    )
    events = list(follow(run))
    assert [event["phase"] for event in events if event["kind"] == "phase"] == ["guard", "switch"]
    assert [event["reading"]["host"] for event in events if event["kind"] == "reading"] == ["pdc-db"]
    result = run.result()
    assert result is not None
    assert (result["verdict"], result["exit_code"], result["changed"]) == ("COMPLETED", 0, True)
    assert result["figures"] == {"seconds": 1.5}
    assert [phase["phase"] for phase in result["phases"]] == ["guard", "switch"]
    assert all(phase["seconds"] >= 0 for phase in result["phases"])
    assert not run.alive() or outcome(run)
    kinds = ["incident.opened", "run.requested", "run.started", "run.finished", "incident.closed"]
    assert _kinds(state) == kinds
    assert incidents(state)[0].verify().ok
    started = incidents(state)[0].events()[2]["data"]
    assert {"version", "playbook_sha256", "inventory_sha256", "roles_sha256", "argv"} <= started.keys()
    # Nothing secret stays in the run's folder.
    for path in run.folder.rglob("*"):
        assert not path.is_file() or b"rahasia" not in path.read_bytes(), path


def test_a_reading_run_has_no_journal(start: Start, state: Path) -> None:
    run = start(play("{ansible.builtin.debug: {msg: hello}}"), changes=False)
    assert outcome(run)["verdict"] == "COMPLETED"
    assert run.folder.parent == state / "runs"
    assert incidents(state) == []


def test_the_point_of_no_return_is_recorded_before_the_answer(start: Start, state: Path) -> None:
    program = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        'l=[b\'{"kind":"progress","text":"soon"}\', b\'{"kind":"fired","step":"fire"}\', b\'{"kind":"x"}\', b\'junk\'];\n'
        "for line in l: s.sendall(line+bytes([10])); a=s.recv(64).decode(); print(a, end='')\n"
        "import pathlib; print(sum('run.fired' in p.read_text() for p in pathlib.Path(sys.argv[2]).glob('*/journal.jsonl')))"
    )
    argv = json.dumps([sys.executable, "-c", program, "{{ lpse_dr_record_socket }}", str(state / "incidents")])
    run = start(
        play(
            f"{{ansible.builtin.command: {{argv: {argv}}}, register: said}}",
            "{ansible.builtin.debug: {var: said.stdout_lines}}",
        )
    )
    result = outcome(run)
    assert "fired" in [event["kind"] for event in run.events()[0]]
    assert "soon" in [event.get("text") for event in run.events()[0]]
    output = (run.folder / "output.txt").read_text()
    assert output.count('"ok"') == 2 and output.count("error") >= 2 and '"1"' in output
    # It fired and gave no verdict: nobody can tell from here.
    assert (result["verdict"], result["fired"]) == ("UNKNOWN", True)
    assert open_incident(state) is not None


def test_it_outlives_the_terminal_that_started_it(start: Start, state: Path, tmp_path: Path) -> None:
    start(play("{ansible.builtin.debug: {msg: first}}"))
    _until(lambda: all(run.result() for run in runs(state)))
    before = {run.id for run in runs(state)}
    (tmp_path / "playbook.yml").write_text(play("{ansible.builtin.command: sleep 3}"))
    program = (
        "import sys, time; from pathlib import Path; from lpse_dr.runner.launch import Order, launch\n"
        "p, i, s = map(Path, sys.argv[1:]); launch(Order('site.status', p, i, s, False, 'lpse-dr status')); time.sleep(60)"
    )
    paths = [str(tmp_path / "playbook.yml"), str(tmp_path / "inventory" / "hosts.yml"), str(state)]
    # Who started these tests may ignore SIGHUP, and would hand that down.
    command = ["env", "--default-signal=HUP", sys.executable, "-c", program, *paths]
    terminal = subprocess.Popen(command, start_new_session=True)

    # Two runs of one second are sorted by their operations' names.
    def second() -> list[Run]:
        return [run for run in runs(state) if run.id not in before and run.events_path.exists()]

    _until(lambda: bool(second()))
    os.killpg(terminal.pid, signal.SIGHUP)
    terminal.wait(10)
    run = second()[0]
    assert run.result() is None
    assert outcome(run)["verdict"] == "COMPLETED"


def test_cancel_ends_the_whole_tree(start: Start) -> None:
    nap = "731.25"
    run = start(play(tell("{kind: phase, phase: switch, title: Move}"), f"{{ansible.builtin.command: sleep {nap}}}"))
    _until(lambda: bool(_processes(nap)))
    run.cancel("tester")
    began = time.monotonic()
    result = outcome(run)
    assert time.monotonic() - began < 9
    assert not _processes(nap)
    assert (result["verdict"], result["error"]["id"]) == ("UNKNOWN", "run.cancelled")
    assert result["error"]["next_command"] == "lpse-dr status"


def test_cancel_lets_a_conductor_undo_first_with_all_that_it_needs(start: Start, tmp_path: Path) -> None:
    """The connection of the conductor must live on until it has undone; Ansible, too, which then says how it ended."""
    undone, ready = tmp_path / "undone", tmp_path / "ready"
    program = "; ".join(
        [
            "import signal, subprocess, sys, time, pathlib",
            "connection = subprocess.Popen(['sleep', '733.25'])",
            "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), pathlib.Path(sys.argv[1]).write_text(str(connection.poll())), connection.kill(), sys.exit(0)))",
            "pathlib.Path(sys.argv[2]).touch()",
            "time.sleep(60)",
        ]
    )
    command = json.dumps([sys.executable, "-c", program, str(undone), str(ready), "lpse_dr_baton"])
    run = start(
        play(
            tell("{kind: phase, phase: switch, title: Move}"),
            f"{{ansible.builtin.command: {{argv: {command}}}}}",
            tell("{kind: verdict, verdict: ROLLED_BACK, changed: false, error: null, figures: {}}"),
        )
    )
    _until(ready.exists)
    run.cancel("tester")
    assert outcome(run)["verdict"] == "ROLLED_BACK"
    assert undone.read_text() == "None"
    assert not _processes("733.25")


def test_killed_is_unknown_and_the_next_one_may_start(start: Start, state: Path) -> None:
    nap = "732.25"
    run = start(play(f"{{ansible.builtin.command: sleep {nap}}}"))
    _until(lambda: bool(_processes(nap)))
    assert run.alive() and run.result() is None
    with pytest.raises(RefusedError) as caught:
        start(play("{ansible.builtin.debug: {msg: second}}"))
    assert run.id in caught.value.hint
    tree = {pid for word in (run.id, nap) for pid in _processes(word)}
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _until(lambda: not run.alive())
    result = run.result()
    assert result is not None
    assert (result["verdict"], result["error"]["id"]) == ("UNKNOWN", "run.killed")
    assert result["error"]["next_command"] == "lpse-dr switchover --from pdc --to drc"
    scratch = Path((run.folder / "scratch").read_text())
    assert scratch.is_dir()
    second = start(play("{ansible.builtin.debug: {msg: second}}"))
    assert not scratch.exists(), "what a killed run left behind is removed by the next one"
    assert second.folder.parent == run.folder.parent, "the same record goes on"
    outcome(second)


@pytest.mark.parametrize(
    ("playbook", "hosts", "identity"),
    [
        (play("{ansible.builtin.fail: {msg: no room}}"), None, "task.failed"),
        (play("{no.such.module: {}}"), None, None),
        ("- hosts: [\n", None, None),
    ],
)
def test_what_did_not_pass_its_guards_is_refused(
    start: Start, state: Path, playbook: str, hosts: str | None, identity: str | None
) -> None:
    result = outcome(start(playbook))
    assert (result["verdict"], result["exit_code"], result["changed"]) == ("REFUSED", 3, False)
    assert result["error"]["found"]
    assert identity is None or result["error"]["id"] == identity
    assert open_incident(state) is None, "a record that this run opened is closed again"


def test_unreachable_host_is_named(start: Start) -> None:
    hosts = (
        "all: {children: {database: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 9, ansible_user: x}}}}}"
    )
    result = outcome(start(play("{ansible.builtin.raw: 'true'}", hosts="database"), hosts=hosts))
    assert (result["verdict"], result["error"]["id"]) == ("REFUSED", "host.unreachable")
    assert result["unreachable"] == ["gone"]
    assert "gone" in result["error"]["found"]


def test_a_missing_playbook_starts_nothing(state: Path, start: Start, tmp_path: Path) -> None:
    from lpse_dr.runner.launch import Order, launch

    with pytest.raises(RunnerError):
        launch(
            Order("vlan.isolate", tmp_path / "none.yml", tmp_path / "hosts.yml", state, True, "lpse-dr vlan isolate")
        )
    assert not state.exists()


def _fake(state: Path, name: str) -> Run:
    folder = state / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    return Run(folder)


def test_runs_are_found_by_part_of_their_name(state: Path) -> None:
    for name in ("20260101T000000-site-status-aaaa", "20260102T000000-site-status-bbbb"):
        _fake(state, name)
    assert find_run(state, "last").id.endswith("bbbb")
    assert find_run(state, "aaaa").id.endswith("aaaa")
    assert find_run(state, "20260102").id.endswith("bbbb")
    for bad in ("2026", "zzzz"):
        with pytest.raises(UsageError):
            find_run(state, bad)


def test_only_fifty_reading_runs_are_kept(state: Path) -> None:
    for number in range(55):
        _fake(state, f"run-{number:03}")
    prune(state)
    assert [run.id for run in runs(state)] == [f"run-{number:03}" for number in range(5, 55)]


def test_journal_that_cannot_be_written_stops_the_start(start: Start, state: Path) -> None:
    state.mkdir()
    (state / "incidents").write_text("in the way")
    with pytest.raises((JournalError, RunnerError)):
        start(play("{ansible.builtin.debug: {msg: x}}"))
    assert runs(state) == []


def test_host_keys_are_checked_whatever_ansible_runner_would_rather(start: Start) -> None:
    """Asked inside the run: the option as the ssh connection of a task takes it."""
    option = "lookup('ansible.builtin.config', 'host_key_checking', plugin_type='connection', plugin_name='ssh')"
    event = f'{{kind: verdict, verdict: COMPLETED, changed: false, error: null, figures: {{checked: "{{{{ {option} }}}}"}}}}'
    assert outcome(start(play(tell(event)), changes=False))["figures"] == {"checked": True}
