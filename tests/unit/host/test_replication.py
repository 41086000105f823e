"""The fact of a halt, the paths it closes, and the copies it ends; with real processes and sockets of this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import (
    application,
    base,
    files,
    files_halt,
    files_place,
    host,
    replication,
)
from lpse_dr.plugins.module_utils.lpse_dr_host import replication_path as path
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError

OPERATION = {"number": 3, "run": "r3"}
PATHS = [{"local": "10.0.0.2", "remote": "10.0.1.2", "port": 5432}]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path / "state"))
    for module in (files, files_halt, files_place):
        for name in ("HALT_FLAG", "LOCK"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, str(tmp_path / name))


def ctx(config: dict[str, Any] | None = None, seconds: float = 5) -> Context:
    return Context("drc-app", "drc", config or {}, OPERATION, seconds, {})


def mark(config: dict[str, Any] | None = None) -> dict[str, Any]:
    return replication.mark(ctx(config), {"site": "drc", "by": "tim", "reason": "virus"})


def test_a_fact_is_written_once_and_forgotten_once() -> None:
    assert [mark()["changed"], mark()["changed"]] == [True, False]
    halted = base.read_state()["halted"]
    assert (halted["site"], halted["by"], halted["reason"], halted["run"]) == ("drc", "tim", "virus", "r3")
    replication.mark(ctx(), {"site": "drc", "by": "other", "reason": "other"})
    assert base.read_state()["halted"] == halted
    assert [replication.unmark(ctx(), {})["changed"], replication.unmark(ctx(), {})["changed"]] == [True, False]


def test_a_fact_in_an_unknown_shape_forbids_too() -> None:
    with base.state_for_update() as state:
        state["halted"] = "yes"
    with pytest.raises(VerbError, match=r"replication\.halted"):
        base.assert_not_halted(ctx())


def test_no_new_epoch_is_prepared_on_a_halted_side() -> None:
    mark()
    with pytest.raises(VerbError) as refused:
        host.prepare_epoch(ctx(), {"number": 9, "site": "drc"})
    assert refused.value.id == "replication.halted"
    assert base.read_state()["prepared"] is None


@pytest.mark.parametrize("verb", ["sync", "open", "pull", "resume_timer"])
def test_no_document_is_fetched_on_a_halted_side(tmp_path: Path, verb: str) -> None:
    mark()
    config = {"files_root": str(tmp_path), "files_peer_address": "127.0.0.1", "files_timer": "none.timer"}
    with base.state_for_update() as state:
        state["epoch"] = {"number": 1, "site": "pdc"}
    with pytest.raises(VerbError) as refused:
        files.VERBS[verb](ctx(config), {"paths": ["a.bid"]})
    assert refused.value.id == "replication.halted"


@pytest.mark.parametrize(
    ("state", "args", "refused"),
    [
        ({}, {}, True),
        ({}, {"outranks": True}, False),
        ({"prepared": {"number": 2, "site": "drc"}}, {"outranks": True}, True),
        ({"fired": {"number": 2, "site": "drc"}}, {"outranks": True}, True),
        ({"prepared": {"number": 2, "site": "drc"}}, {"outranks": True, "taking_over": "r2"}, False),
    ],
)
def test_a_halt_waits_for_a_change_of_the_active_site_alone(
    state: dict[str, Any], args: dict[str, Any], refused: bool
) -> None:
    with base.state_for_update() as found:
        found.update(
            operation={"number": 2, "run": "r2", "holder": "x", "open": True, "expires": time.time() + 60}, **state
        )
    claim = {**OPERATION, "holder": "y", "lease_seconds": 9, **args}
    if refused:
        with pytest.raises(VerbError, match=r"operation\.lock_free"):
            host.claim(ctx(), claim)
    else:
        assert host.claim(ctx(), claim)["changed"]


def test_paths_have_the_address_that_a_gateway_sees() -> None:
    assert path.paths_to(["127.0.0.1"], 22) == [{"local": "127.0.0.1", "remote": "127.0.0.1", "port": 22}]
    assert path.paths_to(["localhost"], 22)[0]["remote"] in ("127.0.0.1", "::1")
    assert path.paths_to(["/run/postgresql", "no.such.host.invalid"], 5432) == []


def test_an_open_path_is_told_from_a_closed_one() -> None:
    with socket.socket() as door, socket.socket() as shut:
        door.bind(("127.0.0.1", 0))
        door.listen()
        shut.bind(("127.0.0.1", 0))
        ports = [listening.getsockname()[1] for listening in (door, shut)]
        tries = path.try_paths([{"local": "127.0.0.1", "remote": "127.0.0.1", "port": port} for port in ports])
        time.sleep(0.1)
        assert path.open_paths(tries) == [f"127.0.0.1 port {ports[0]}"]


def test_rules_drop_both_directions_of_every_path() -> None:
    text = path.rules([*PATHS, {"local": "fd00::2", "remote": "fd01::2", "port": 22}])
    drops = [line.strip() for line in text.splitlines() if line.endswith("drop")]
    assert drops == [
        "ip saddr 10.0.0.2 ip daddr 10.0.1.2 counter drop",
        "ip saddr 10.0.1.2 ip daddr 10.0.0.2 counter drop",
        "ip6 saddr fd00::2 ip6 daddr fd01::2 counter drop",
        "ip6 saddr fd01::2 ip6 daddr fd00::2 counter drop",
    ]
    assert path.blocks(text, PATHS) is False
    assert path.blocks(path.rules(PATHS), PATHS) is True
    assert path.blocks(None, PATHS) is False
    assert path.blocks(path.rules([]), []) is False


def test_an_address_that_is_none_never_reaches_nft() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        path.rules([{"local": "10.0.0.2; flush ruleset", "remote": "10.0.1.2", "port": 1}])


@pytest.mark.parametrize(("args", "halted"), [({"peer_seconds": 0}, False), ({}, True)])
@pytest.mark.parametrize("noun", [files, application])
def test_a_side_that_keeps_away_does_not_even_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noun: Any, args: dict[str, Any], halted: bool
) -> None:
    monkeypatch.setattr(files, "Stream", lambda *args: pytest.fail("the other side was asked"))
    given = {"files_root": str(tmp_path), "files_timer": "none.timer", "files_peer_address": "127.0.0.1", "application_flag": "/none",
             "application_health_url": "http://127.0.0.1:9/health", "application_unit": "none.service"}  # fmt: skip
    if halted:
        mark()
    reading = noun.status(ctx(given), args)["reading"]["files"]
    assert (reading["peer_ok"], reading["peer_error"]) == (None, "not asked")


CONFIG = {"files_peer_user": "u", "files_peer_address": "peer.invalid", "files_timer": "none.timer"}


@pytest.fixture
def copying(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a copy under way, and does not end when it is asked to."""
    program = tmp_path / "rsync"
    program.symlink_to(sys.executable)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([str(program), "-c", code, "u@peer.invalid:/"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_copy_under_way_is_ended(copying: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_halt, "PATIENCE_SECONDS", 0.2)
    assert files_halt.copying(ctx(CONFIG)) == [copying.pid]
    # The child of this test stays a zombie until it is waited for; a zombie has no words and is no copy.
    assert files_halt.end_copying(ctx(CONFIG)) is True
    assert copying.wait(2) == -9
    assert files_halt.end_copying(ctx(CONFIG)) is False


def test_a_pull_that_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    with files_place.only_one(ctx()), pytest.raises(VerbError, match=r"files\.still_copying"):
        files_halt.end_copying(ctx(CONFIG, 0.2))
    assert files_halt.end_copying(ctx(CONFIG)) is False


def test_the_manifest_is_kept_and_compared(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "2026").mkdir(parents=True)
    (root / ".lpse-dr").mkdir()
    (root / "2026" / "a.bid").write_text("bid")
    (root / "b.bid").write_text("bids")
    (root / "c.part").write_text("unfinished")
    (root / "link").symlink_to("b.bid")
    config = {"files_root": str(root), "files_exclude": ["*.part"]}
    mark()
    first = files_halt.manifest(ctx(config), {})
    assert (first["files"], first["bytes"], first["as_halted"]) == (2, 7, True)
    (root / ".lpse-dr" / "site.json").write_text("{}")
    assert files_halt.manifest(ctx(config), {})["as_halted"] is True
    (root / "b.bid").write_text("locked by a virus")
    again = files_halt.manifest(ctx(config), {})
    assert (again["as_halted"], again["sha256"]) == (False, first["sha256"])
