"""The SOP walked on a real lab, from the report to the closing, without a terminal: what is installed runs for real.

What an instruction names and this version lacks is refused by its name and marked as done by hand, never pretended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lpse_dr.lab.audit import site_states
from lpse_dr.lab.model import Lab
from lpse_dr.sop import load_sop

from .conftest import Answer, lpse_dr, other

pytestmark = pytest.mark.lab
# What people answer to "apakah akses ke Data Center terhalang?", so that both answers are walked.
ANSWERS = {"kebakaran-terisolasi": "yes", "demo": "no", "teror": "no"}
ROWS = [item.id for item in load_sop().conditions if item.row]


@pytest.mark.parametrize("condition", ROWS)
def test_from_the_report_to_the_closing(
    lab: Lab, active: str, condition: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def say(user: str, *words: str, code: int = 0) -> Answer:
        monkeypatch.setenv("SUDO_USER", user)
        answer = lpse_dr("--lab", lab.name, *words, "--output", "json")
        assert answer.code == code, (words, answer.stdout[-1000:], answer.stderr[-1000:])
        return answer

    # The SOP's primary site is where the service is at the beginning of every walk.
    if active != "pdc":
        say("tim1", "switchover", "--from", active, "--to", other(active), "--yes", "--reason", "uji")
    if condition == "virus":
        say("tim1", "backup", "take", "--yes", "--reason", "uji")
    name = say(
        "tim1", "incident", "report", condition, "uji", "--from", "Pak Satpam", "--via", "telepon", "--drill"
    ).json["incidents"][0]["id"]
    say("tim1", "incident", "declare", code=3)
    say("tim1", "incident", "declare", "--ordered-by", "Koordinator Contoh", "--via", "telepon")
    say("koordinator", "incident", "declare")
    say("koordinator", "incident", "order")
    technical = [step for step in say("tim1", "step", "list").json["steps"] if not step["manual"]]
    moved = False
    for step in say("tim1", "step", "list").json["steps"]:
        identity = step["id"]
        if step["waits_for"]:
            say("tim1", "step", "run", identity, "--yes", code=3)
    for step in sorted(say("tim1", "step", "list").json["steps"], key=lambda item: item["id"] != "people.evacuate"):
        identity = step["id"]
        if step["question"]:
            said = ANSWERS[condition]
            say("tim2", "step", "answer", identity, said, "--by", "Anggota Tim Contoh Dua")
            if said == "no":
                continue
        if step["manual"]:
            say("tim1", "step", "done", identity, "--by", "Anggota Tim Contoh Satu", "--note", "uji")
        elif set(step["operations"]) <= set(step["not_available"]):
            refused = say("tim1", "step", "run", identity, "--yes", code=3)
            assert refused.json["error"]["id"] == "step.not_available"
            say("tim1", "step", "done", identity, "--note", "dengan tangan, belum tersedia")
        else:
            # Another of the team takes it up.
            words = []
            if identity == "backup.find_clean":
                # The lab's only set is a minute old.
                words = [f"--with=--infected-since {datetime.now(UTC).isoformat(timespec='seconds')} --margin 0s"]
            ran = say("tim2", "step", "run", identity, "--yes", *words)
            assert ran.json["verdict"] == "COMPLETED"
            moved = moved or identity == "service.relocate"
    states = {step["id"]: step["state"] for step in say("tim1", "step", "list").json["steps"]}
    assert set(states.values()) <= {"done", "done_by_hand", "not_needed"}
    assert all(states[step["id"]] == "done" for step in technical if step["id"] == "replication.verify")
    assert site_states(lab)["drc" if moved else "pdc"] == "writable"
    if condition == "virus":
        refused = say("tim1", "replication", "verify", "--wait", code=3)
        assert refused.json["error"]["id"] == "interlock.no_sync"
    outage = () if moved else ("--no-outage", "--lost-seconds", "0")
    say("tim1", "incident", "recovered", "--text", "layanan berjalan", *outage)
    say("koordinator", "incident", "return")
    if moved:
        say("tim1", "switchover", "--from", "drc", "--to", "pdc", "--yes")
    if condition == "virus":
        order = ("--ordered-by", "Koordinator Contoh", "--reason", "uji", "--yes")
        say("tim1", "vlan", "release", "--reason", "uji", "--yes")
        say("tim1", "replication", "resume", "--at", "drc", *order)
    say("tim2", "incident", "analyse", "--text", "berjalan sesuai SOP")
    closed = say("koordinator", "incident", "close").json["incidents"][0]
    assert (closed["phase"], closed["kind"]) == ("closed", "latihan")
    assert [target["met"] for target in closed["targets"]] == [True, True, True]
    assert site_states(lab)["pdc"] == "writable"
    # The evidence stands by itself.
    say("tim1", "journal", "verify", name)
    say("tim1", "journal", "export", name, "--to", str(tmp_path / "bukti.tar.gz"))
    subprocess.run(["tar", "xzf", "bukti.tar.gz"], cwd=tmp_path, check=True)
    checker = next(tmp_path.glob("bukti-*/check_pack.py"))
    assert "LATIHAN".lower() in str(checker)
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-I", str(checker)], env=environment, check=True)
