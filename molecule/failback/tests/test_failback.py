"""After every verify: pdc serves, drc follows; nothing half-made lies beside."""

from __future__ import annotations

import json
from typing import Any

import pytest

PSQL = "cd / && runuser -u postgres -- psql -XAtqc %s"


def test_one_writes_and_the_other_follows(on: Any) -> None:
    assert on("pdc-db").check_output(PSQL, "SELECT pg_is_in_recovery()") == "f"
    assert on("drc-db").check_output(PSQL, "SELECT status FROM pg_stat_wal_receiver") == "streaming"


@pytest.mark.parametrize("name", ["pdc-db", "drc-db"])
def test_nothing_is_left_half_made(on: Any, name: str) -> None:
    assert on(name).check_output("ls -d /var/lib/postgresql/15/main.next 2>/dev/null; true") == ""
    state = json.loads(on(name).check_output("cat /var/lib/lpse-dr/state.json"))
    assert not state.get("standby")
    assert not (state.get("operation") or {}).get("open")
