"""The dead man's switch: a timer on the gateway that brings back what was confirmed last, whoever is cut off by then.

It lives in /run, as the unconfirmed rules live in the kernel alone: a restart of the gateway ends both.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List

from . import vlan_kept, vlan_nftables
from .base import VerbError, run

_NAME = "lpse-dr-vlan-undo"


def script() -> str:
    """Return what the timer does, for a shell. The file says what is confirmed."""
    nft, table = vlan_nftables.program() or "nft", "table inet " + vlan_nftables.NAME
    return (
        "if [ -s {file} ]; then exec {nft} -f {file}; fi; {nft} list {table} >/dev/null 2>&1 || exit 0; exec {nft} delete {table}"
    ).format(file=vlan_kept.FILE, nft=nft, table=table)


def arm(number: int, seconds: int, patience: float) -> None:
    """Start the timer of this operation, see that it runs, then stop those of earlier ones: there is always one."""
    earlier = _active(patience)
    unit = "%s-%d-%d" % (_NAME, number, os.getpid())
    run(
        ["systemd-run", "--quiet", "--collect", "--unit=" + unit, "--on-active=%ds" % seconds, "--timer-property=AccuracySec=50ms",
         "--property=Type=oneshot", "/bin/sh", "-c", script()],
        patience,
    )  # fmt: skip
    if unit + ".timer" not in _active(patience):
        raise VerbError("vlan.undo_not_armed", "an undo that is armed", "none", "journalctl -u %s.timer" % unit)
    _stop(earlier, patience)


def disarm(patience: float) -> bool:
    """Stop every timer and prove that none is left, nor just at work. Return whether there was one."""
    there = _active(patience)
    _stop(there, patience)
    until = time.monotonic() + max(0.1, patience)
    while _active(patience):
        if time.monotonic() > until:
            left = ", ".join(_active(patience))
            raise VerbError("vlan.undo_alive", "no undo that is armed", left, "systemctl list-timers")
        time.sleep(0.02)
    return bool(there)


def now(patience: float) -> None:
    """Do what the timer would do."""
    run(["/bin/sh", "-c", script()], patience)


def read(patience: float) -> Dict[str, Any]:
    """Return {undo_armed}."""
    return {"undo_armed": any(name.endswith(".timer") for name in _active(patience))}


def _stop(units: List[str], patience: float) -> None:
    timers = [unit for unit in units if unit.endswith(".timer")]
    if timers:
        run(["systemctl", "stop", *timers], patience)


def _active(patience: float) -> List[str]:
    """Return our timers that wait, and our services that are at work."""
    words = ["systemctl", "list-units", "--plain", "--no-legend", "--full", "--state=active,activating", _NAME + "*"]
    printed = run(words, patience).stdout
    return [line.split()[0] for line in printed.splitlines() if line.strip()]
