"""After every verify: pdc serves, drc follows; the old data directories lie beside, and nothing half-made."""

from __future__ import annotations

import json
from typing import Any

testinfra_hosts = ["ansible://database"]
DATA = "/var/lib/postgresql/15/main"


def test_one_writes_and_the_other_follows(host: Any) -> None:
    with host.sudo("postgres"):
        standby = host.check_output("psql -XAtqc 'SELECT pg_is_in_recovery()'")
        assert standby == ("t" if host.check_output("hostname").startswith("drc") else "f")
        if standby == "t":
            assert host.check_output("psql -XAtqc 'SELECT status FROM pg_stat_wal_receiver'") == "streaming"


def test_nothing_is_left_half_made(host: Any) -> None:
    with host.sudo():
        assert not host.file(f"{DATA}.next").exists
        state = json.loads(host.file("/var/lib/lpse-dr/state.json").content_string)
        assert not state.get("standby")
        assert not (state.get("operation") or {}).get("open")
