"""What this machine must allow before a dozen systemds can run on it."""

from __future__ import annotations

from pathlib import Path

from ..errors import LabError
from ..i18n import _
from . import docker
from .model import LABEL, Progress

_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# systemd, dbus and what they start hold about four instances a host, all in the name of root; the rest is for this machine.
_PER_CONTAINER = 6
_RESERVE = 128
_ENOUGH = 1024
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def prepare(containers: int, progress: Progress) -> None:
    """Raise the kernel's limit of inotify instances where this lab would exceed it; LabError where that is not permitted.

    A systemd that finds none left ends at once, without a word (exit code 255). The limit stays raised: it costs nothing.
    """
    running = len(docker.run("ps", "-q", "--filter", f"label={LABEL}").split())
    needed = _PER_CONTAINER * (running + containers) + _RESERVE
    try:
        limit = int(_INSTANCES.read_text())
    except (OSError, ValueError):
        return
    if limit >= needed:
        return
    wanted = max(needed, _ENOUGH)
    try:
        _INSTANCES.write_text(f"{wanted}\n")
    except OSError as problem:
        raise LabError(
            _("This machine allows {limit} inotify instances; the lab needs {needed}.").format(
                limit=limit, needed=needed
            ),
            hint=f"sudo sysctl fs.inotify.max_user_instances={wanted}",
        ) from problem
    progress(
        _("{setting} raised from {old} to {new}").format(
            setting="fs.inotify.max_user_instances", old=limit, new=wanted
        )
    )


def check_bridges() -> None:
    """LabError where traffic on a bridge passes no firewall: hosts on `mgmt` would reach each other."""
    try:
        filtered = _BRIDGE_FILTER.read_text().strip() == "1"
    except OSError:
        filtered = False
    if not filtered:
        raise LabError(
            _("Traffic inside Docker's bridges passes no firewall here, so the lab could not isolate its hosts."),
            hint="sudo modprobe br_netfilter && sudo sysctl net.bridge.bridge-nf-call-iptables=1",
        )
