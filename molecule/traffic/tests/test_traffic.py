"""Both gateways and the name lead to pdc, as a vendor sees it."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.lab.model import load_lab

NAME = "spse.lomboktengah.test"


@pytest.mark.parametrize("name", ["pdc-gateway", "drc-gateway"])
def test_the_gateway_leads_to_pdc(on: Any, name: str) -> None:
    host = on(name)
    kept = dict(line.split(" ", 1) for line in host.file("/etc/haproxy/lpse-dr.map").content_string.splitlines())
    assert (kept["state"], kept["target"]) == ("open", "pdc")
    assert host.service("haproxy").is_running
    key = host.file("/etc/lpse-dr/tsig.key")
    assert (key.user, key.mode) == ("root", 0o600)


@pytest.mark.parametrize("site", ["pdc", "drc"])
def test_a_vendor_reaches_the_active_site_through_each_door(on: Any, site: str) -> None:
    address = load_lab("molecule").hosts[f"{site}-gateway"].addresses["public"]
    answer = on("vendor").run("curl -sk --max-time 20 --resolve %s:443:%s https://%s/health", NAME, address, NAME)
    assert '"serving"' in answer.stdout


def test_the_name_leads_to_pdc(on: Any) -> None:
    lab = load_lab("molecule")
    found = on("ns").check_output("dig +short @%s %s A", lab.hosts["ns"].addresses["public"], NAME)
    assert found == lab.hosts["pdc-gateway"].addresses["public"]
