"""pdc serves, drc stands by, and both may start."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.mark.parametrize(("name", "health"), [("pdc-app", "serving"), ("drc-app", "standby")])
def test_health(on: Any, name: str, health: str) -> None:
    host = on(name)
    assert host.service("spse").is_running
    assert not host.file("/etc/lpse-dr/application-stopped").exists
    listen = host.check_output("sed -n s/^SPSE_LISTEN=//p /etc/spse/spse.env")
    assert json.loads(host.check_output("curl -s http://%s/health", listen))["state"] == health


@pytest.mark.parametrize("name", ["pdc-app", "drc-app"])
def test_the_unit_knows_the_condition(on: Any, name: str) -> None:
    assert "application-stopped" in on(name).check_output("systemctl cat spse")
