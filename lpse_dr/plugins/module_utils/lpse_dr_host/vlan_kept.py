"""What a restart of the gateway brings back: one file with the confirmed rules, one unit that loads it."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from . import vlan_nftables
from .base import VerbError, run, sync_folder, write_atomic
from .nftables_unit import UNITS, unit_text

FILE = "/etc/lpse-dr/vlan.nft"
UNIT = "lpse-dr-vlan.service"
_WANTED = UNITS + "/sysinit.target.wants/" + UNIT


def read() -> Dict[str, Any]:
    """Return {kept}: level and id of the rules in the file, None where there is no file."""
    text = _text_of(FILE)
    if text is None:
        return {"kept": None}
    mark = vlan_nftables.MARK.search(text)
    starts = os.path.exists(_WANTED) and os.path.exists(os.path.join(UNITS, UNIT))
    return {"kept": {"level": mark["level"] if mark else None, "id": mark["id"] if mark else None, "at_boot": starts}}


def keep(rules: str, seconds: float) -> bool:
    """Write the file and let its unit load it once now: what has loaded will load again. Return whether anything was new."""
    if _text_of(FILE) == rules and read()["kept"]["at_boot"]:
        return False
    os.makedirs(os.path.dirname(FILE), mode=0o755, exist_ok=True)
    os.makedirs(os.path.dirname(_WANTED), mode=0o755, exist_ok=True)
    unit = os.path.join(UNITS, UNIT)
    write_atomic(unit, unit_text("the isolation of segments", "lpse-dr vlan release", FILE, vlan_nftables.program()))
    if not os.path.lexists(_WANTED):
        os.symlink(unit, _WANTED)
        sync_folder(os.path.dirname(_WANTED))
    write_atomic(FILE, rules, 0o600)
    run(["systemctl", "daemon-reload"], seconds)
    run(["systemctl", "restart", UNIT], seconds)
    if run(["systemctl", "is-active", UNIT], seconds, check=False).stdout.strip() != "active":
        raise VerbError("vlan.unit_failed", "%s to load the rules" % UNIT, "it does not", "systemctl status " + UNIT)
    return True


def drop(seconds: float) -> bool:
    """Remove file and unit. Return whether there was anything."""
    unit = os.path.join(UNITS, UNIT)
    there = [path for path in (FILE, _WANTED, unit) if os.path.lexists(path)]
    for path in there:
        os.unlink(path)
        sync_folder(os.path.dirname(path))
    if there:
        run(["systemctl", "stop", UNIT], seconds, check=False)
        run(["systemctl", "daemon-reload"], seconds)
    return bool(there)


def _text_of(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
