"""Start a run in a session of its own, so that it outlives the terminal that asked for it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import BusyError, RunnerError
from ..i18n import _, language
from ..journal import Journal, now, open_maintenance, who
from .folder import Run, prune, runs, sweep, write_json


@dataclass(frozen=True)
class Order:
    """What to run. `secret_vars` travel over a pipe and never touch the run's folder.

    A run that changes something, or executes a `step`, is written into the journal of the incident whose folder
    is `record`; without one into a maintenance record.
    """

    operation: str
    playbook: Path
    inventory: Path
    state: Path
    changes: bool
    command: str
    argv: tuple[str, ...] = ()
    reason: str = ""
    office: dict[str, Any] = field(default_factory=dict)
    extra_vars: dict[str, Any] = field(default_factory=dict)
    secret_vars: dict[str, Any] = field(default_factory=dict)
    vault_password_file: Path | None = None
    verbosity: int = 0
    record: Path | None = None
    step: str = ""


@contextmanager
def _only_one(order: Order, run: str) -> Iterator[int]:
    """Hold the lock of changing runs; the run's process inherits it and keeps it for its lifetime.

    Hosts refuse a second operation too. This only says so at once, and by name.
    """
    path = order.state / "changing"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = path.read_text(encoding="utf-8").strip()
            raise BusyError(
                _("Another operation is going on."),
                detail=_("Run {run} has not ended.").format(run=other or "?"),
                hint=f"lpse-dr runs show {other or 'last'} --follow",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, run.encode(), 0)
        yield handle
    finally:
        os.close(handle)


def new_run_id(operation: str) -> str:
    """Return an id that sorts by time and can be typed."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{operation.replace('.', '-').replace('_', '-')}-{secrets.token_hex(2)}"


def launch(order: Order, *, started: Callable[[Run], None] | None = None) -> Run:
    """Record the request, start the run's process and return; the run goes on by itself.

    Raises BusyError while another changing run lives, JournalError when it cannot be recorded,
    RunnerError when the process cannot be started. In each case nothing has been done.
    """
    if not order.playbook.is_file():
        raise RunnerError(
            _("This operation is not part of this installation."),
            detail=_("missing: {path}").format(path=order.playbook),
        )
    run_id = new_run_id(order.operation)
    try:
        with ExitStack() as stack:
            locks: list[int] = []
            incident: str | None = None
            opened = False
            if order.changes:
                locks.append(stack.enter_context(_only_one(order, run_id)))
            if order.changes or (order.record and order.step):
                journal, opened = _journal(order)
                incident = journal.folder.name
                asked = {
                    "run": run_id,
                    "operation": order.operation,
                    "argv": list(order.argv),
                    "reason": order.reason,
                }
                journal.append("run.requested", {**asked, "step": order.step} if order.step else asked)
                folder = journal.folder / "runs" / run_id
            else:
                prune(order.state)
                folder = order.state / "runs" / run_id
            for other in runs(order.state):
                if (other.folder / "scratch").exists() and not other.alive():
                    sweep(other)
            folder.mkdir(parents=True, mode=0o750)
            run = Run(folder)
            write_json(folder / "run.json", _request(order, run_id, incident, opened))
            _spawn(stack, run, order, locks)
    except OSError as error:
        raise RunnerError(
            _("The run cannot be started, so nothing is done."),
            detail=f"{error.filename or order.state}: {error.strerror or error}",
            hint=_("Make room or repair the file system, then type the command again."),
        ) from error
    if started:
        started(run)
    return run


def _journal(order: Order) -> tuple[Journal, bool]:
    """Return the journal of a run, and whether it was opened for it."""
    if order.record is not None:
        return Journal(order.record), False
    return open_maintenance(order.state, order.reason)


def _request(order: Order, run_id: str, incident: str | None, opened: bool) -> dict[str, Any]:
    by = who()
    return {
        "schema": 1,
        "run": run_id,
        "operation": order.operation,
        "changes": order.changes,
        "command": order.command,
        "argv": list(order.argv),
        "reason": order.reason,
        "by": by,
        "requested_at": now(),
        "office": order.office,
        "state": str(order.state),
        "incident": incident,
        "incident_opened": opened,
        "playbook": str(order.playbook),
        "inventory": str(order.inventory),
        "vault_password_file": str(order.vault_password_file) if order.vault_password_file else None,
        "verbosity": order.verbosity,
        "language": language(),
        "extra_vars": {**order.extra_vars, "lpse_dr_run": run_id, "lpse_dr_holder": f"{by['user']}@{by['host']}"},
    }


def _spawn(stack: ExitStack, run: Run, order: Order, locks: list[int]) -> None:
    alive = os.open(run.folder / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    stack.callback(os.close, alive)
    fcntl.flock(alive, fcntl.LOCK_EX)
    locks.append(alive)
    log = stack.enter_context((run.folder / "process.log").open("wb"))
    process = subprocess.Popen(
        [sys.executable, "-m", "lpse_dr.runner", str(run.folder), ",".join(map(str, locks))],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=locks,
        cwd="/",
    )
    if process.stdin is None:
        raise RunnerError(_("The run cannot be started, so nothing is done."))
    with process.stdin as pipe:
        pipe.write(json.dumps(order.secret_vars).encode())
    # Nobody waits for it here: it is meant to outlive this process.
    process.returncode = 0
