"""Networks and containers of one lab: made, started, waited for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from ..errors import LabError
from ..i18n import _
from . import docker, firewall
from .model import LABEL, Lab, LabHost, LabNetwork

# More than this many requests at once only queue inside the engine.
_PARALLEL = 6
_BOOT_SECONDS = 90.0
# Periodic work whose first turn may come before the other site answers; it says so, and tries again.
_TRIES_AGAIN = {"lpse-dr-files.service"}
# The only engine series that must be told to let routed packets in (it drops them before the FORWARD chain).
_ENGINE_WITH_RAW_DROPS = 28


def in_parallel(function: Callable[[LabHost], object], hosts: Iterable[LabHost]) -> None:
    """Call `function` for each host; after the first failure or an interruption nothing new is begun."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        futures = [pool.submit(function, host) for host in hosts]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def make_networks(lab: Lab) -> None:
    """Create the segments. LabError where the addresses are taken; what was made until then remains."""
    major = int(docker.run("version", "--format", "{{.Server.Version}}").split(".")[0])
    for network in lab.networks.values():
        _make_network(lab.name, network, major)


def _make_network(name: str, network: LabNetwork, engine_major: int) -> None:
    options = ["com.docker.network.bridge.enable_ip_masquerade=false"]
    if network.segment == "mgmt":
        # Containers must not reach each other here, else every test of isolation would prove nothing.
        options.append("com.docker.network.bridge.enable_icc=false")
        options.append(f"com.docker.network.bridge.name={firewall.management_bridge(name)}")
    if engine_major >= _ENGINE_WITH_RAW_DROPS:
        options.append("com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected")
    flags = [word for option in options for word in ("--opt", option)]
    place = ["--subnet", network.subnet, "--gateway", network.bridge_address]
    docker.run("network", "create", "--label", f"{LABEL}={name}", *place, *flags, network.name)


def run_flags() -> list[str]:
    """Return how systemd runs in a container here. Tried on cgroup v1; the flags for v2 are the usual ones."""
    version = docker.run("info", "--format", "{{.CgroupVersion}}").strip()
    flags = ["--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined"]
    flags += ["--tmpfs=/run", "--tmpfs=/tmp", "--stop-signal=SIGRTMIN+3"]
    if version == "1":
        return [*flags, "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return [*flags, "--cgroupns=private", "--security-opt=apparmor=unconfined"]


def make(lab: Lab, host: LabHost, image: str, flags: list[str], archive: bytes) -> None:
    """Create the container, lay its files over the image, plug it into its segments, start it."""
    own = ["--name", host.container, "--hostname", host.name, "--label", f"{LABEL}={lab.name}"]
    own += ["--network", lab.networks["mgmt"].name, "--ip", host.management]
    if "gateway" in host.groups:
        own += ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "net.ipv4.conf.all.rp_filter=1"]
    if "client" in host.groups:
        # Vendors have computers of their own; here they share two cores with both sites and must not take these from them.
        own += ["--cpu-shares", "128"]
    if "database" in host.groups:
        # For what looks in through Docker: psql of the audit, the write probe. Neither systemd nor SSH hands it on.
        own += ["--env", f"PGPORT={lab.variant.port}"]
    docker.run("create", *own, *flags, image)
    docker.run("cp", "-", f"{host.container}:/", stdin=archive)
    for segment, address in host.addresses.items():
        if segment != "mgmt":
            docker.run("network", "connect", "--ip", address, lab.networks[segment].name, host.container)
    docker.run("start", host.container)


def wait_booted(host: LabHost) -> None:
    """Return when systemd on the host has started everything; LabError names units that failed."""
    until = time.monotonic() + _BOOT_SECONDS
    state = ""
    while time.monotonic() < until:
        state = _state(host, until - time.monotonic())
        if state == "running" or (state == "degraded" and not set(_failed(host)) - _TRIES_AGAIN):
            return
        if state in ("degraded", "maintenance"):
            break
        if not state and not is_running(host):
            raise LabError(
                _("systemd on host {host} ended at once.").format(host=host.name),
                detail=docker.run("inspect", "--format", "{{json .State}}", host.container).strip(),
                hint=_("sysctl fs.inotify.max_user_instances: 1024 are enough for several labs."),
            )
        time.sleep(0.2)
    raise LabError(
        _("Host {host} did not start within {seconds:.0f} s.").format(host=host.name, seconds=_BOOT_SECONDS)
        if not state
        else _("Host {host} is {state}.").format(host=host.name, state=state),
        detail=_evidence(host),
        hint=_("lpse-dr lab down, then lpse-dr lab up; if it happens again, look at the machine's load and memory."),
    )


def _failed(host: LabHost) -> list[str]:
    """Return the units that failed."""
    lines = docker.run("exec", host.container, "systemctl", "--failed", "--no-legend", "--plain").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def is_running(host: LabHost) -> bool:
    """Tell whether the container runs; one that is gone does not."""
    with contextlib.suppress(LabError):
        return docker.run("inspect", "--format", "{{.State.Running}}", host.container).strip() == "true"
    return False


def _state(host: LabHost, seconds: float) -> str:
    command = "systemctl is-system-running --wait 2>/dev/null || true"
    with contextlib.suppress(LabError):  # not yet started, or its bus is not yet there
        return docker.run("exec", host.container, "sh", "-c", command, timeout_seconds=seconds + 1).strip()
    return ""


def _evidence(host: LabHost) -> str:
    command = "systemctl --failed --no-legend --plain; journalctl -b --no-pager -p warning -n 20 -o cat"
    with contextlib.suppress(LabError):
        return docker.run("exec", host.container, "sh", "-c", command, timeout_seconds=10).strip()
    return ""


def remove(name: str, progress: Callable[[str], None]) -> bool:
    """Remove every container, network and volume of the lab, and its firewall rules; tell whether there were any.

    A request that an interrupted `up` had given to the engine may still be carried out while this runs;
    therefore it looks again until nothing is left twice in a row.
    """
    found = False
    quiet = 0
    until = time.monotonic() + 60
    while quiet < 2:
        containers = docker.listed("ps", LABEL, name)
        networks = docker.listed("network", LABEL, name)
        volumes = docker.listed("volume", LABEL, name)
        if not containers and not networks and not volumes:
            quiet += 1
            if quiet < 2 and found:
                time.sleep(0.3)
            continue
        if not found:
            progress(_("removing containers and networks"))
        quiet, found = 0, True
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(lambda container: _gone("rm", "-f", "-v", container), containers))
        for network in networks:
            _gone("network", "rm", network)
        for volume in volumes:
            _gone("volume", "rm", "-f", volume)
        if time.monotonic() > until:
            raise LabError(
                _("Docker does not let go of the lab '{name}'.").format(name=name),
                detail=" ".join(containers + networks + volumes),
                hint=_("systemctl restart docker, then lpse-dr lab down again"),
            )
    firewall.clear(name)
    return found


def _gone(*arguments: str) -> None:
    """Run a removal; what is already gone, or still in use for a moment, is looked at again by the caller."""
    with contextlib.suppress(LabError):
        docker.run(*arguments)
