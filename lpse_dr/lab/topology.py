"""From the definition and a free block of addresses to the plan of one lab."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Iterator

import yaml

from ..content import content_root
from . import docker
from .model import BOOKWORM, Lab, LabHost, LabNetwork, Variant, check_name, folder_of

# 512 blocks of /24, far from Docker's own default pools and from the usual office networks.
POOL = ipaddress.IPv4Network("172.30.0.0/15")
_BRIDGE_NUMBER = 30


def definition_folder() -> str:
    """Return the folder of the lab's definition: inventories/lab."""
    return str(content_root() / "inventories" / "lab")


def plan(name: str, block: ipaddress.IPv4Network, variant: Variant = BOOKWORM) -> Lab:
    """Return the lab `name` laid out in `block` (a /24). Nothing is created."""
    check_name(name)
    definition = yaml.safe_load((content_root() / "inventories" / "lab" / "topology.yml").read_text())
    subnets = dict(zip(definition["segments"], block.subnets(new_prefix=27), strict=True))
    networks = {
        segment: LabNetwork(
            segment=segment,
            name=f"lpse-dr-{name}-{segment}",
            subnet=str(subnet),
            bridge_address=str(subnet[_BRIDGE_NUMBER]),
        )
        for segment, subnet in subnets.items()
    }
    hosts = {
        host: LabHost(
            name=host,
            container=f"lpse-dr-{name}-{host}",
            site=facts.get("site"),
            groups=tuple(facts["groups"]),
            addresses={segment: str(subnets[segment][number]) for segment, number in facts["at"].items()},
            via=facts.get("via"),
        )
        for host, facts in definition["hosts"].items()
    }
    return Lab(name=name, office=folder_of(name) / "office", hosts=hosts, networks=networks, variant=variant)


def host_names() -> list[str]:
    """Return the names of all hosts, without a plan."""
    definition = yaml.safe_load((content_root() / "inventories" / "lab" / "topology.yml").read_text())
    return list(definition["hosts"])


def free_blocks() -> Iterator[ipaddress.IPv4Network]:
    """Yield each /24 of the pool that overlaps neither a Docker network nor a route of this machine."""
    taken = list(_taken())
    for block in POOL.subnets(new_prefix=24):
        if not any(block.overlaps(other) for other in taken):
            yield block


def _taken() -> Iterator[ipaddress.IPv4Network]:
    names = docker.run("network", "ls", "-q").split()
    if names:
        described = json.loads(docker.run("network", "inspect", *names))
        configs = [config for network in described for config in network["IPAM"].get("Config") or ()]
        yield from _networks(config.get("Subnet", "") for config in configs)
    try:
        routes = subprocess.run(
            ["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError:  # Docker's own list has to do
        return
    words = (line.split() for line in routes.splitlines())
    yield from _networks(line[1] if line[0] in _ROUTE_KINDS else line[0] for line in words if len(line) > 1)


_ROUTE_KINDS = {"local", "broadcast", "unreachable", "blackhole", "prohibit", "throw"}


def _networks(texts: Iterable[str]) -> Iterator[ipaddress.IPv4Network]:
    for text in texts:
        try:
            network = ipaddress.IPv4Network(text, strict=False)
        except ValueError:  # "default", IPv6
            continue
        if network.prefixlen > 0:
            yield network
