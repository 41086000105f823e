"""Staff reach nothing beyond their own segment, vendors reach the service, and the gateways' own rules are what they were."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lpse_dr.lab.model import load_lab

NAME = "spse.lomboktengah.test"
GATEWAYS = ["pdc-gateway", "drc-gateway"]


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_table_is_loaded_and_kept_and_nothing_is_armed(on: Any, name: str) -> None:
    host = on(name)
    loaded = host.check_output("nft list table inet lpse_dr_isolation")
    mark = re.search(r'comment "(lpse-dr office [0-9a-f]{16})"', loaded)
    assert mark
    assert mark[1] in host.file("/etc/lpse-dr/vlan.nft").content_string
    assert all(f"hook {hook} priority -450" in loaded for hook in ("forward", "input", "output"))
    assert host.service("lpse-dr-vlan").is_enabled
    assert "lpse-dr-vlan-undo" not in host.check_output("systemctl list-timers --all --no-legend")


@pytest.mark.parametrize("name", GATEWAYS)
def test_all_other_rules_are_byte_for_byte_the_same(on: Any, name: str) -> None:
    host = on(name)
    tables = re.split(r"(?m)^(?=table )", host.check_output("nft -s list ruleset") + "\n")
    others = "".join(table for table in tables if not table.startswith("table inet lpse_dr_isolation "))
    assert others == host.file("/root/rules-before").content_string


def test_staff_reach_nothing_not_even_the_gateway(on: Any) -> None:
    hosts = load_lab("molecule").hosts
    gateway = hosts["pdc-gateway"].addresses
    places = [("pdc-gateway", "public", 443), ("drc-gateway", "public", 443), ("pdc-gateway", "pdc-office", 443), ("ns", "public", 53), ("pdc-gateway", "mgmt", 22)]  # fmt: skip
    tried = [
        f"nc -zw 1 {hosts[host].addresses[segment]} {port} && echo {host} {segment} & "
        for host, segment, port in places
    ]
    # On its own leg into the management network it is a neighbour; by way of the gateway it must not get there either.
    route = f"ip route replace {gateway['mgmt']} via {gateway['pdc-office']}"
    assert on("pdc-office").run(f"{route}; {''.join(tried)} wait; ip route del {gateway['mgmt']}").stdout == ""


@pytest.mark.parametrize("name", ["pdc-db", "drc-app"])
def test_nobody_reaches_staff(on: Any, name: str) -> None:
    assert on(name).run("ping -c 1 -W 1 %s", load_lab("molecule").hosts["pdc-office"].addresses["pdc-office"]).rc != 0


@pytest.mark.parametrize("site", ["pdc", "drc"])
def test_vendors_reach_the_service_through_each_door(on: Any, site: str) -> None:
    address = load_lab("molecule").hosts[f"{site}-gateway"].addresses["public"]
    answer = on("vendor").run("curl -sk --max-time 20 --resolve %s:443:%s https://%s/health", NAME, address, NAME)
    assert '"serving"' in answer.stdout


def test_the_sites_still_replicate(on: Any) -> None:
    databases = [load_lab("molecule").hosts[f"{site}-db"].addresses["pdc-data" if site == "pdc" else "drc-data"] for site in ("pdc", "drc")]  # fmt: skip
    assert on("pdc-db").run("nc -zw 2 %s 5432", databases[1]).rc == 0
    assert on("drc-db").run("nc -zw 2 %s 5432", databases[0]).rc == 0
