"""End a process and everything that it started, also what left its process group."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_CONDUCTOR = b"lpse_dr_baton"


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none gets out of sight."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Return the pids below `root`, parents first. Shared SSH masters belong to other runs too and stay."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            fields = stat[stat.rindex(")") + 2 :].split()
            if fields[0] == "Z" or b"[mux]" in (entry / "cmdline").read_bytes():
                continue
        except (OSError, ValueError):
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def cancel_below(root: int, grace_seconds: float = 60.0) -> None:
    """Ask the conductors below `root` to undo what they have begun, and let the playbook end; then end everything.

    The rest of the tree is what they need for that: their connections, and Ansible, which reads both sites again.
    """
    conductors = [pid for pid in descendants(root) if _runs(pid, _CONDUCTOR)]
    _send(conductors, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while conductors and time.monotonic() < deadline:
        if not descendants(root):
            return
        time.sleep(0.1)
    terminate_below(root)


def _runs(pid: int, program: bytes) -> bool:
    with contextlib.suppress(OSError):
        return program in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def terminate_below(root: int, grace_seconds: float = 5.0) -> None:
    """Ask everything below `root` to end, wait, then kill what is left."""
    _send(descendants(root), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while descendants(root):
        if time.monotonic() > deadline:
            _send(descendants(root), signal.SIGKILL)
            return
        time.sleep(0.1)
