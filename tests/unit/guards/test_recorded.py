"""Readings that real hosts gave: what their authors write must be what the guards read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_guards import evaluate

from . import pair

RECORDED = sorted(Path(__file__).with_name("recorded").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_pair_is_ready(path: Path) -> None:
    facts = pair.healthy()
    recorded = json.loads(path.read_text())
    newest = max(reading["clock"] for reading in recorded.values())
    shift = newest - pair.NOW
    facts["now"] = newest
    for host, reading in facts["readings"].items():
        reading["state"]["epoch"] = {"number": 1, "site": "pdc", "at": "x"}
        reading["clock"] += shift
        if "files" in reading:
            reading["files"]["last_sync"]["at"] += shift
        if host in recorded:
            facts["readings"][host] = recorded[host]
    found = evaluate(facts)
    assert (found.stage, [(guard.guard_id, guard.host, guard.found) for guard in found.refused]) == ("ready", [])
