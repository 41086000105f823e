"""Both databases carry the signal, both guards answer, and only the active one writes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

SIGNAL = "/var/lib/postgresql/15/main/standby.signal"


@pytest.mark.parametrize(("name", "recovering"), [("pdc-db", "f"), ("drc-db", "t")])
def test_a_database_is_fenced(on: Any, name: str, recovering: str) -> None:
    host = on(name)
    fence = host.file(SIGNAL)
    assert (fence.user, fence.mode) == ("postgres", 0o600)
    found = host.check_output("cd / && runuser -u postgres -- psql -XAtqc 'SELECT pg_is_in_recovery()'")
    assert found == recovering


@pytest.mark.parametrize(("name", "phase"), [("pdc-db", "open"), ("drc-db", "standby")])
def test_its_guard_runs_and_hears_the_others(on: Any, name: str, phase: str) -> None:
    host = on(name)
    guard = host.service("lpse-dr-fence")
    assert (guard.is_running, guard.is_enabled) == (True, True)
    # A guard that was just put back is heard at the next question.
    ends = time.monotonic() + 10
    while True:
        said = json.loads(host.file("/run/lpse-dr-fence/status.json").content_string)
        deaf = [name for name, text in said["answers"].items() if "epoch" not in text]
        if (said["phase"], len(said["answers"]), deaf) == (phase, 6, []):
            break
        assert time.monotonic() < ends, said
        time.sleep(0.5)
    key = host.file("/etc/lpse-dr/fence.key")
    assert (key.user, key.mode) == ("root", 0o600)
    assert key.content_string.strip() not in host.file("/etc/lpse-dr/fence.json").content_string
