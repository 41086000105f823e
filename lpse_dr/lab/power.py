"""Break a lab the way the world does: power lost, links cut. For tests and demonstrations."""

from __future__ import annotations

from . import containers, docker, firewall
from .model import Lab, LabHost


def power_off(lab: Lab, *hosts: str) -> None:
    """Cut the power: everything on the host ends at once, nothing is flushed. Already off: nothing happens."""
    for host in hosts:
        if is_on(lab, host):
            docker.run("kill", lab.hosts[host].container)


def power_on(lab: Lab, *hosts: str) -> None:
    """Switch on, and return when systemd has started everything. LabError names units that failed."""
    for host in hosts:
        docker.run("start", lab.hosts[host].container)
    containers.in_parallel(containers.wait_booted, [lab.hosts[host] for host in hosts])


def freeze(lab: Lab, host: str) -> None:
    """Stop every process of the host where it stands: the host is there, and says nothing."""
    docker.run("pause", lab.hosts[host].container)


def thaw(lab: Lab, host: str) -> None:
    """Undo `freeze`."""
    docker.run("unpause", lab.hosts[host].container)


def is_on(lab: Lab, host: str) -> bool:
    """Tell whether the host has power."""
    return containers.is_running(lab.hosts[host])


def cut_between(lab: Lab, one: str, other: str) -> None:
    """Drop all packets between two hosts, on every pair of addresses, open connections too. Neither host can tell why."""
    for a, b in _pairs(lab.hosts[one], lab.hosts[other]):
        firewall.cut(lab, a, b)


def mend_between(lab: Lab, one: str, other: str) -> None:
    """Undo `cut_between`."""
    for a, b in _pairs(lab.hosts[one], lab.hosts[other]):
        firewall.mend(lab, a, b)


def cut_segment(lab: Lab, segment: str) -> None:
    """Unplug the switch of a segment; with `wan` the sites lose each other. This machine still reaches the hosts."""
    firewall.cut_bridge(lab, segment)


def mend_segment(lab: Lab, segment: str) -> None:
    """Undo `cut_segment`."""
    firewall.mend_bridge(lab, segment)


def mend_all(lab: Lab) -> None:
    """Undo everything that was cut in this lab."""
    firewall.mend_all(lab)


def _pairs(one: LabHost, other: LabHost) -> list[tuple[str, str]]:
    return [(a, b) for a in one.addresses.values() for b in other.addresses.values()]
