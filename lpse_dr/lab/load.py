"""`lab load`: vendors submit bids, and a write probe runs at both databases, while something else happens.

    with LoadSession(lab, seconds=60, clients=8) as load:
        ...                        # a switch-over, for example
        result = load.collect()    # waits for the vendors' end

The programs are copied into the hosts at each start, so that the image need not be rebuilt for them.
Nothing of the load depends on this process while it runs: the records are written in the hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import LabError
from ..i18n import _
from . import docker, pglog
from .bids import RecordError
from .model import Lab, LabHost
from .overlap import SECOND, Span

PROGRAMS = Path(__file__).parent / "image"
URL = "https://spse.lomboktengah.test"
CA_FILE = "/etc/lpse-dr/ca.pem"
_IN_HOST = "/var/tmp/lpse-lab"  # not /tmp, which a restart of the host empties
_PROBE_GRACE_SECONDS = 120.0  # a probe that nobody stopped ends by itself this long after the load


@dataclass(frozen=True)
class LoadResult:
    """What a load recorded. `folder` holds the evidence; `window` is in nanoseconds of CLOCK_MONOTONIC."""

    folder: Path
    requests: int
    failed: int
    acknowledged: int
    seconds: float
    longest_wait_seconds: float
    median_wait_seconds: float | None
    longest_gap_seconds: float
    errors: dict[str, int]
    window: Span

    def to_json(self) -> dict[str, Any]:
        """Return the figures for the JSON envelope."""
        figures = asdict(self)
        del figures["window"]
        return {**figures, "folder": str(self.folder)}


def loads_folder(lab: Lab) -> Path:
    """Return STATE/lab/NAME/load, which has one folder a load."""
    return lab.folder / "load"


def newest(lab: Lab) -> Path:
    """Return the folder of the lab's last load that was collected. LabError where there is none."""
    folders = sorted(path.parent for path in loads_folder(lab).glob("*/summary.json"))
    if not folders:
        text = _("There is no load of the lab '{name}' to audit.").format(name=lab.name)
        raise LabError(text, hint=f"lpse-dr lab load --name {lab.name} --seconds 10")
    return folders[-1]


def read_result(folder: Path) -> LoadResult:
    """Return the result of a load from its folder. RecordError: it was not collected, or is damaged."""
    try:
        data = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return LoadResult(
            folder=folder,
            requests=data["requests"],
            failed=data["failed"],
            acknowledged=data["acknowledged"],
            seconds=data["seconds"],
            longest_wait_seconds=round(data["longest_wait_seconds"], 4),
            median_wait_seconds=data["median_wait_seconds"],
            longest_gap_seconds=round(data["longest_gap_seconds"], 4),
            errors=data["errors"],
            window=Span(int(data["started"] * SECOND), int(data["ended"] * SECOND)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"The summary of the load cannot be read: {folder}", detail=repr(error)) from error


class LoadSession:
    """One load. Use it as a context: leaving it stops what still runs in the hosts."""

    def __init__(
        self,
        lab: Lab,
        *,
        seconds: float,
        clients: int,
        slow_upload_seconds: float = 0.0,
        slow_after_seconds: float = 0.0,
        url: str = URL,
        ca_file: str = CA_FILE,
        dns_ttl_seconds: float = 5.0,
        patience_seconds: float = 30.0,
    ) -> None:
        if not lab.in_group("client"):
            raise LabError(_("The lab '{name}' has no host in group client.").format(name=lab.name))
        self.lab = lab
        self.seconds = seconds
        self.vendor = lab.in_group("client")[0]
        self.databases = lab.in_group("database")
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.folder = loads_folder(lab) / stamp
        self._inside = f"{_IN_HOST}/{stamp}"
        self._process: subprocess.Popen[bytes] | None = None
        self._probing = False
        self._options = ["--seconds", str(seconds), "--clients", str(clients), "--url", url, "--cafile", ca_file]
        self._options += ["--dns-ttl", str(dns_ttl_seconds), "--timeout", str(patience_seconds)]
        if slow_upload_seconds:
            self._options += ["--slow-upload", str(slow_upload_seconds), "--slow-after", str(slow_after_seconds)]
            seconds = max(seconds, slow_after_seconds + slow_upload_seconds)
        self._probe_seconds = seconds + _PROBE_GRACE_SECONDS

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever happened, and even if a host is gone by now: nothing is left running.
        if self.is_running():
            with contextlib.suppress(LabError):
                self.stop()
        self._stop_probes()

    def start(self) -> None:
        """Start the probes, wait for their first samples, then start the vendors. LabError."""
        self.folder.mkdir(parents=True)
        self._probing = True
        for host in self.databases:
            self._start_probe(host)
        for host in self.databases:
            self._await_samples(host)
        self._copy_program(self.vendor, "load.py", user="root")
        inside = self._inside
        # Vendors have computers of their own; here they share two cores with both sites and the jump host, and
        # must not take these from them.
        command = [
            "docker",
            "exec",
            self.vendor.container,
            "nice",
            "-n",
            "10",
            "python3",
            "-u",
            f"{inside}/load.py",
            *self._options,
        ]
        command += ["--out", f"{inside}/load.jsonl", "--summary", f"{inside}/summary.json"]
        command += ["--pidfile", f"{inside}/load.pid"]
        with (self.folder / "progress.jsonl").open("wb") as out, (self.folder / "load.err").open("wb") as err:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the load in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def is_running(self) -> bool:
        """True while vendors submit."""
        return self._process is not None and self._process.poll() is None

    def progress(self) -> dict[str, Any]:
        """Return the last figures of the running load; empty before the first second is over."""
        try:
            lines = (self.folder / "progress.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
            figures: dict[str, Any] = json.loads(lines[-1])
        except (OSError, ValueError, IndexError):
            return {}
        return figures

    def follow(self, say: Callable[[dict[str, Any]], None], interval_seconds: float = 1.0) -> None:
        """Hand the figures to `say` until the load has ended."""
        while self.is_running():
            time.sleep(interval_seconds)
            say(self.progress())

    def stop(self) -> None:
        """End the load early; requests under way are finished. LabError if it does not end."""
        if self.is_running():
            _kill(self.vendor, f"{self._inside}/load.pid")
            self._wait(40.0)

    def collect(self) -> LoadResult:
        """Wait for the end, stop the probes, fetch all records. LabError: a record is missing."""
        self._wait(self.seconds + self._probe_seconds)
        time.sleep(0.1)  # the probes see a little more than the vendors
        self._stop_probes()
        for name in ("load.jsonl", "summary.json"):
            self._fetch(self.vendor, name, self.folder / name)
        for host in self.databases:
            with contextlib.suppress(LabError):  # a host that is gone: the audit says what is missing
                self._fetch(host, "probe.jsonl", self.folder / f"probe-{host.site}.jsonl")
            with contextlib.suppress(LabError):
                (self.folder / f"postgresql-{host.site}.log").write_text(_database_log(host), encoding="utf-8")
        for host in (self.vendor, *self.databases):
            with contextlib.suppress(LabError):
                _execute(host, "rm", "-rf", self._inside)
        return read_result(self.folder)

    def _wait(self, seconds: float) -> None:
        if self._process is None:
            raise LabError(_("The load was not started."))
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise LabError(_("The load did not end within {seconds:.0f} s.").format(seconds=seconds)) from error
        if code:
            said = (self.folder / "load.err").read_text(encoding="utf-8", errors="replace")
            raise LabError(_("The load generator failed."), detail=said.strip()[-800:])

    def _copy_program(self, host: LabHost, name: str, *, user: str) -> None:
        script = f'umask 022; mkdir -p "{self._inside}" && cat > "{self._inside}/{name}"'
        text = (PROGRAMS / name).read_bytes()
        docker.run("exec", "-i", "-u", user, host.container, "sh", "-c", script, stdin=text, timeout_seconds=20)

    def _start_probe(self, host: LabHost) -> None:
        self._copy_program(host, "probe.py", user="postgres")
        inside = self._inside
        command = ["python3", f"{inside}/probe.py", "--site", str(host.site), "--out", f"{inside}/probe.jsonl"]
        command += ["--pidfile", f"{inside}/probe.pid", "--seconds", f"{self._probe_seconds:.0f}"]
        script = 'exec "$@" 2>"$0"'
        docker.run(
            "exec", "-d", "-u", "postgres", host.container, "sh", "-c", script, f"{inside}/probe.err", *command
        )

    def _await_samples(self, host: LabHost) -> None:
        # One command in the host that waits there: asking again and again from here costs more.
        script = 'i=0; while [ $i -lt 100 ]; do [ "$(wc -l <"$0" 2>/dev/null || echo 0)" -ge 5 ] && exit 0; '
        script += "i=$((i+1)); sleep 0.05; done; exit 1"
        try:
            _execute(host, "sh", "-c", script, f"{self._inside}/probe.jsonl")
        except LabError as error:
            said = ""
            with contextlib.suppress(LabError):
                said = _execute(host, "cat", f"{self._inside}/probe.err")
            text = _("The write probe at {host} gives no samples.").format(host=host.name)
            raise LabError(text, detail=said[-800:]) from error
        self._prefer(host)

    def _prefer(self, host: LabHost) -> None:
        """Let the witness look on time: what it measures must not starve it. Without root it does without."""
        for line in docker.run("top", host.container, "-eo", "pid,args").splitlines()[1:]:
            pid, _, words = line.strip().partition(" ")
            if f"{self._inside}/probe.py" in words:
                with contextlib.suppress(PermissionError, ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, int(pid), -10)

    def _stop_probes(self) -> None:
        if self._probing:
            self._probing = False
            for host in self.databases:
                with contextlib.suppress(LabError):
                    _kill(host, f"{self._inside}/probe.pid")

    def _fetch(self, host: LabHost, name: str, to: Path) -> None:
        # `cp` and not `exec cat`: it also works when the host has been stopped.
        docker.run("cp", "-q", f"{host.container}:{self._inside}/{name}", str(to))


def _execute(host: LabHost, *command: str) -> str:
    return docker.run("exec", host.container, *command, timeout_seconds=20)


def _kill(host: LabHost, pidfile: str) -> None:
    """Ask a program to end and wait up to 2 s until its pid file is gone; one that has just begun has none for a moment."""
    script = 'i=0; while [ ! -e "$0" ] && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.02; done; kill "$(cat "$0")" 2>/dev/null; '
    script += 'i=0; while [ -e "$0" ] && [ $i -lt 100 ]; do i=$((i+1)); sleep 0.02; done'
    _execute(host, "sh", "-c", script + "; true", pidfile)


def _database_log(host: LabHost) -> str:
    """Return the lines of PostgreSQL's log that say when it could write, oldest first."""
    script = 'grep -hE "$0" $(ls -tr /var/log/postgresql/*.log) || true'
    return _execute(host, "sh", "-c", script, pglog.PATTERN)
