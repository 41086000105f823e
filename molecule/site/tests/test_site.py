"""Asking has changed nothing: no host was claimed, the service serves where it did."""

from __future__ import annotations

import json
from typing import Any

import pytest

HOSTS = ["pdc-db", "drc-db", "pdc-app", "drc-app", "pdc-gateway", "drc-gateway"]


@pytest.mark.parametrize("name", HOSTS)
def test_no_host_is_claimed(on: Any, name: str) -> None:
    state = json.loads(on(name).file("/var/lib/lpse-dr/state.json").content_string)
    assert (state["epoch"]["site"], state["prepared"], state["fired"]) == ("pdc", None, None)
    assert not (state["operation"] or {}).get("open")
