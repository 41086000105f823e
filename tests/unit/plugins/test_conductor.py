"""The conductor against real agents on this machine, with verbs that only write into a list file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils import lpse_dr_conductor as conductor

REGISTRY = """
import os, time
from .base import VerbError
def perform(name, ctx, args):
    with open(args["file"], "a") as stream:
        stream.write("%s@%s\\n" % (name, ctx.host))
    if name == "fail":
        raise VerbError("test.no", "yes", "no", "try again", {})
    if name == "bug":
        raise RuntimeError("oops")
    if name == "die":
        os._exit(1)
    if name == "sleep":
        time.sleep(args["seconds"])
    return {"changed": True, "value": args.get("value"), "who": ctx.host}
"""


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, conductor.Connection]]:
    real = json.loads(conductor.host_sources())
    kept = {name: real[name] for name in ("lpse_dr_host", "lpse_dr_host.base", "lpse_dr_host.agent")}
    monkeypatch.setattr(
        conductor, "host_sources", lambda: json.dumps({**kept, "lpse_dr_host.registry": REGISTRY}).encode()
    )
    argv = [sys.executable, "-u", "-c", conductor.BOOTSTRAP]
    hosts = {name: {"config": {}, "site": "pdc", "argv": argv} for name in ("a", "b")}
    opened = conductor.connect(hosts, {"number": 7, "run": "r"}, 60)
    yield opened
    for connection in opened.values():
        connection.close()


def step(path: Path, verb: str, at: list[str], **more: Any) -> dict[str, Any]:
    name = more.pop("name", verb)
    args = {"file": str(path), **more.pop("args", {})}
    undo = [{"verb": word, "args": {"file": str(path)}} for word in more.pop("undo", [])]
    return {"name": name, "verb": verb, "at": at, "args": args, "undo": undo, "timeout_seconds": 5, **more}


def play(
    agents: dict[str, conductor.Connection], steps: list[dict[str, Any]]
) -> tuple[conductor.Conductor, Any, list[Any]]:
    events: list[Any] = []
    baton = conductor.Conductor(agents, events.append)
    return baton, baton.play(steps), events


def test_steps_run_in_order_and_answers_reach_later_steps(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    first = step(log, "one", ["a"], args={"value": {"lsn": "0/3"}})
    second = step(log, "two", ["a", "b"], args={"value": "@one.value.lsn"})
    baton, failure, events = play(agents, [first, second])
    assert failure is None
    assert log.read_text().splitlines()[0] == "one@a"
    assert sorted(log.read_text().splitlines()[1:]) == ["two@a", "two@b"]
    assert baton.results["two"]["b"] == {"changed": True, "value": "0/3", "who": "b"}
    assert [event["step"] for event in events] == ["one", "two"]


@pytest.mark.parametrize("ending", ["fail", "bug", "die"])
def test_a_failure_before_the_point_of_no_return_is_undone_in_reverse(
    agents: dict[str, conductor.Connection], tmp_path: Path, ending: str
) -> None:
    log = tmp_path / "log"
    steps = [
        step(log, "hold", ["a"], undo=["release"]),
        step(log, "stop", ["a"], undo=["unfence", "start"]),
        step(log, ending, ["b"]),
        step(log, "fire", ["a"], fires=True),
    ]
    baton, failure, _ = play(agents, steps)
    assert failure.host == "b"
    assert failure.lost is (ending == "die")
    assert failure.error["undo"] == []
    assert not baton.fired
    assert log.read_text().splitlines() == ["hold@a", "stop@a", f"{ending}@b", "unfence@a", "start@a", "release@a"]


def test_what_cannot_be_undone_is_named(agents: dict[str, conductor.Connection], tmp_path: Path) -> None:
    log = tmp_path / "log"
    _, failure, _ = play(agents, [step(log, "die", ["a"], undo=["start"]), step(log, "never", ["a"])])
    assert [(end["step"], end["host"]) for end in failure.error["undo"]] == [("die", "a")]


def test_after_the_point_of_no_return_nothing_is_undone(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    steps = [step(log, "stop", ["a"], undo=["start"]), step(log, "fire", ["b"], fires=True), step(log, "fail", ["b"])]
    baton, failure, events = play(agents, steps)
    assert baton.fired
    assert failure.error["id"] == "test.no"
    assert "start@a" not in log.read_text()
    assert [event["kind"] for event in events] == ["progress", "fired", "progress", "progress"]


def test_a_point_of_no_return_that_cannot_be_recorded_does_not_happen(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def announce(event: dict[str, Any]) -> None:
        if event["kind"] == "fired":
            raise conductor.StepError("localhost", {"id": "journal.unwritable"})

    baton = conductor.Conductor(agents, announce)
    failure = baton.play([step(log, "stop", ["a"], undo=["start"]), step(log, "fire", ["b"], fires=True)])
    assert failure is not None
    assert failure.error["id"] == "journal.unwritable"
    assert not baton.fired
    assert log.read_text().splitlines() == ["stop@a", "start@a"]


def test_an_answer_that_does_not_come_is_a_lost_host(agents: dict[str, conductor.Connection], tmp_path: Path) -> None:
    slow = step(tmp_path / "log", "sleep", ["a"], args={"seconds": 4})
    slow["timeout_seconds"] = 0.2
    _, failure, _ = play(agents, [slow])
    assert failure.lost
    assert failure.error["id"] == "host.lost"


def test_steps_are_repeated_until_little_is_left_but_not_for_ever(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    again = {"from": "changed", "above": {"value": 4}, "at_most": 3}
    steps = [
        step(log, "changed", ["a"]),
        step(log, "pull", ["b"], args={"value": 5}, again=again),
        step(log, "hold", ["a"]),
    ]
    _, failure, _ = play(agents, steps)
    assert failure is None
    assert log.read_text().splitlines() == ["changed@a", "pull@b"] * 4 + ["hold@a"]


def test_a_record_counts_what_is_long() -> None:
    assert conductor.slim({"paths": ["x"] * 9, "few": [1, 2], "sha256": {str(n): "h" for n in range(17)}}) == {
        "paths": "9 entries", "few": [1, 2], "sha256": "17 entries",
    }  # fmt: skip


def test_best_effort_goes_on_and_names_what_is_open(agents: dict[str, conductor.Connection], tmp_path: Path) -> None:
    log = tmp_path / "log"
    baton = conductor.Conductor(agents, lambda event: None)
    open_ends = baton.play_best_effort([step(log, "fail", ["a"]), step(log, "one", ["b", "c"])])
    assert [(end["step"], end["host"]) for end in open_ends] == [("fail", "a"), ("one", "c")]
    assert "one@b" in log.read_text()


def test_each_host_goes_as_far_as_it_comes_and_undoes_its_own(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    steps = [step(log, "one", ["a", "b"], undo=["back"]), step(log, "fail", ["a"], undo=["mend"]), step(other, "two", ["a", "b"])]  # fmt: skip
    baton = conductor.Conductor(agents, lambda event: None)
    left = baton.play_each(steps)
    assert {host: (why["step"], why["id"], why["lost"], why["undo"]) for host, why in left.items()} == {"a": ("fail", "test.no", False, [])}  # fmt: skip
    assert sorted(log.read_text().splitlines()) == sorted(["one@a", "one@b", "fail@a", "mend@a", "back@a"])
    assert other.read_text().splitlines() == ["two@b"]
    assert baton.results["two"] == {"b": {"changed": True, "value": None, "who": "b"}}


def test_a_host_that_dies_is_left_behind(agents: dict[str, conductor.Connection], tmp_path: Path) -> None:
    log = tmp_path / "log"
    left = conductor.Conductor(agents, lambda event: None).play_each(
        [step(log, "die", ["a"]), step(log, "one", ["a", "b"])]
    )
    assert (left["a"]["id"], left["a"]["lost"]) == ("host.lost", True)
    assert "one@b" in log.read_text() and "one@a" not in log.read_text()


def test_who_cancels_gets_back_what_was(agents: dict[str, conductor.Connection], tmp_path: Path) -> None:
    log = tmp_path / "log"
    baton = conductor.Conductor(agents, lambda event: setattr(baton, "cancelled", event.get("step") == "one"))
    left = baton.play_each([step(log, "one", ["a", "b"], undo=["back"]), step(log, "two", ["a", "b"])])
    assert {why["id"] for why in left.values()} == {"run.cancelled"}
    assert sorted(log.read_text().splitlines()) == sorted(["one@a", "one@b", "back@a", "back@b"])


def test_only_those_who_answer_are_connected() -> None:
    hosts = {
        "good": {"config": {}, "site": "pdc", "argv": [sys.executable, "-u", "-c", conductor.BOOTSTRAP]},
        "bad": {"config": {}, "site": "drc", "argv": ["sh", "-c", "echo no route >&2; exit 255"]},
    }
    opened, missing = conductor.connect_each(hosts, None, 60)
    assert list(opened) == ["good"] and opened["good"].alive
    assert {name: error["found"] for name, error in missing.items()} == {"bad": "no route"}
    opened["good"].close()


def test_a_host_that_cannot_be_reached_stops_before_the_first_step(tmp_path: Path) -> None:
    hosts = {
        "good": {"config": {}, "site": "pdc", "argv": [sys.executable, "-u", "-c", conductor.BOOTSTRAP]},
        "bad": {"config": {}, "site": "drc", "argv": ["sh", "-c", "echo sudo: a password is required >&2; exit 1"]},
    }
    with pytest.raises(conductor.StepError) as caught:
        conductor.connect(hosts, None, 60)
    assert caught.value.host == "bad"
    assert caught.value.error["found"] == "sudo: a password is required"


def test_the_line_meant_for_sudo_is_skipped_when_sudo_did_not_want_it() -> None:
    # The real registry: every verb's source must also come up when it was streamed.
    agent = {
        "config": {},
        "site": "pdc",
        "argv": [sys.executable, "-u", "-c", conductor.BOOTSTRAP],
        "become_password": "x",
    }
    opened = conductor.connect({"a": agent}, None, 60)
    assert opened["a"].alive
    opened["a"].close()


def test_ssh_command_keeps_secrets_out_and_names_the_host() -> None:
    argv = conductor.ssh_argv(
        {
            "address": "192.0.2.7",
            "user": "lpse-dr",
            "port": 2222,
            "private_key_file": "/k",
            "ssh_args": "-o A=b",
            "become_password": "geheim",
        }
    )
    assert argv[-2] == "lpse-dr@192.0.2.7"
    assert "geheim" not in " ".join(argv)
    assert argv[argv.index("-p") + 1] == "2222"
    assert "sudo -S" in argv[-1]


def test_a_site_that_is_given_up_fails_nothing_and_is_told(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    path = tmp_path / "done"
    steps = [
        step(path, "fail", ["a", "b"], best_effort=True, undo=["back"]),
        step(path, "die", ["a"], best_effort=True),
        step(path, "value", ["b"], args={"value": 3}),
        step(path, "late", ["a"], best_effort=True),
    ]
    baton, failure, _events = play(agents, steps)
    assert failure is None
    assert [(item["step"], item["host"]) for item in baton.excused] == [
        ("fail", "a"),
        ("fail", "b"),
        ("die", "a"),
        ("late", "a"),
    ]
    assert path.read_text().splitlines() == ["fail@a", "fail@b", "die@a", "value@b"]
    # What was begun there is undone like everything else, where something of the target fails.
    _baton, failure, _events = play(
        agents, [step(path, "value", ["b"], best_effort=True, undo=["back"]), step(path, "fail", ["b"])]
    )
    assert failure is not None
    assert path.read_text().splitlines()[-1] == "back@b"


def test_what_is_told_is_told_in_full_and_kept_short_in_the_record(
    agents: dict[str, conductor.Connection], tmp_path: Path
) -> None:
    text = "x" * 1_000_000
    baton, failure, events = play(agents, [step(tmp_path / "d", "value", ["a"], args={"value": text}, tell=True)])
    assert failure is None
    (told,) = [event for event in events if event["kind"] == "told"]
    assert told["answers"]["a"]["value"] == text
    assert baton.log[0]["result"]["value"] == "1000000 characters"
