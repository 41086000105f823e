"""A failover waits until what was permitted to the lost site has run out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, fence
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError, state_for_update


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path))


def ctx(seconds: float) -> Context:
    return Context("drc-db", "drc", {}, None, seconds)


def given(**ends: float) -> None:
    now = time.time()
    with state_for_update() as state:
        state["grants"] = {
            host.replace("_", "-"): {"epoch": 3, "site": "pdc", "until": now + end} for host, end in ends.items()
        }


def test_nothing_granted_costs_nothing() -> None:
    assert fence.await_grants(ctx(5), {}) == {"changed": False, "waited_seconds": 0.0}


def test_what_has_run_out_counts_for_nothing() -> None:
    given(pdc_db=-1)
    assert fence.await_grants(ctx(5), {})["waited_seconds"] == 0.0


def test_it_waits_for_the_last_one() -> None:
    given(pdc_db=0.3, pdc_app=0.9)
    answer: dict[str, Any] = fence.await_grants(ctx(5), {})
    assert 0.7 <= answer["waited_seconds"] < 2


def test_it_does_not_go_on_while_one_is_in_force() -> None:
    given(pdc_db=600)
    with pytest.raises(VerbError) as refused:
        fence.await_grants(ctx(0.5), {})
    assert refused.value.id == "fence.granted"
    assert "pdc-db" in refused.value.found
