"""One measured switch-over: vendors submit all the while, and afterwards every receipt is looked up.

The demo, the bench and the end-to-end tests all measure in this one way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LabError
from .audit import AuditResult, audit
from .load import LoadResult, LoadSession
from .model import Lab


@dataclass(frozen=True)
class Trial:
    """What a switch-over under load cost. ``envelope`` is the command's own answer."""

    envelope: dict[str, Any]
    exit_code: int
    switchover_seconds: float
    load: LoadResult
    audit: AuditResult

    @property
    def ok(self) -> bool:
        """True only if the command completed, every witness agrees, and no vendor saw an error."""
        return self.exit_code == 0 and self.audit.ok and self.load.failed == 0

    def figures(self) -> dict[str, Any]:
        """Return the figures by the names that scripts read."""
        return {
            "requests": self.load.requests,
            "failed": self.load.failed,
            "acknowledged": self.audit.acknowledged,
            "lost": len(self.audit.lost),
            "both_writable_milliseconds": self.audit.both_writable_milliseconds,
            "blind_milliseconds": self.audit.blind_milliseconds,
            "longest_wait_seconds": self.load.longest_wait_seconds,
            "longest_gap_seconds": self.load.longest_gap_seconds,
            "database_outage_seconds": self.audit.database_outage_seconds,
            "switchover_seconds": round(self.switchover_seconds, 2),
            "verdict": self.envelope.get("verdict"),
        }


def command(lab: Lab, *words: str) -> list[str]:
    """Return the argv of ``lpse-dr`` as this interpreter would run it, for the given lab."""
    return [sys.executable, "-m", "lpse_dr", "--lab", lab.name, *words]


def measure(
    lab: Lab,
    source: str,
    target: str,
    *,
    clients: int = 8,
    around_seconds: float = 10.0,
    options: Sequence[str] = (),
    slow_upload_seconds: float = 0.0,
    show_progress: bool = False,
) -> Trial:
    """Load, switch over from ``source`` to ``target`` in the middle, audit. LabError: a record is missing.

    ``around_seconds`` of load run before the command begins and after it has ended.
    """
    argv = command(
        lab,
        "--output",
        "json",
        "switchover",
        "--from",
        source,
        "--to",
        target,
        "--yes",
        "--reason",
        "trial",
        *options,
    )
    ceiling = around_seconds * 2 + 300
    session = LoadSession(
        lab,
        seconds=ceiling,
        clients=clients,
        slow_upload_seconds=slow_upload_seconds,
        slow_after_seconds=max(0.0, around_seconds - 1),
    )
    with session:
        time.sleep(around_seconds)
        started = time.monotonic()
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show_progress else subprocess.PIPE,
            text=True,
        )
        seconds = time.monotonic() - started
        time.sleep(around_seconds)
        session.stop()
        result = session.collect()
    lines = done.stdout.strip().splitlines()
    try:
        envelope = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise LabError(
            "The switch-over did not answer with JSON.", detail=(done.stderr or done.stdout)[-2000:]
        ) from error
    return Trial(envelope, done.returncode, seconds, result, audit(lab, result.folder))
