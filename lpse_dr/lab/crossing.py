"""When the last packet came across a border: hosts of several segments ask each other fifty times a second, by their own clock.

All containers of a machine share one clock, so what a host notes and when a command began can be compared.
"""

from __future__ import annotations

import re
import subprocess
import time
from types import TracebackType
from typing import Self

from .model import Lab

# From host to host, by the segment of the second: over one gateway, over both, and to staff.
PATHS = (("pdc-app", "drc-app", "drc-dmz"), ("pdc-db", "pdc-app", "pdc-dmz"), ("drc-db", "pdc-office", "pdc-office"))
_ANSWER = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes", re.MULTILINE)


class Crossing:
    """Asks while the block lasts, then tells by path when the last answer came."""

    def __init__(self, lab: Lab, seconds: int = 40) -> None:
        self._lab = lab
        self._seconds = seconds
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        for one, other, segment in PATHS:
            address = self._lab.hosts[other].addresses[segment]
            ping = ["timeout", "-s", "INT", str(self._seconds), "ping", "-D", "-i", "0.02", address]
            self._running[f"{one} > {other}"] = subprocess.Popen(
                ["docker", "exec", self._lab.hosts[one].container, *ping],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        time.sleep(1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            for process in self._running.values():
                process.kill()

    def last_answers(self) -> dict[str, float]:
        """Wait for the end and return, by path, the unix time of the last answer; 0 where none ever came."""
        found = {}
        for path, process in self._running.items():
            moments = [float(moment) for moment in _ANSWER.findall(process.communicate()[0])]
            found[path] = max(moments, default=0.0)
        return found
