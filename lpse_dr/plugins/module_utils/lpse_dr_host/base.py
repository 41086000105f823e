"""What every verb stands on: its context, its errors, commands with time limits, the host's state file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

STATE_FOLDER = "/var/lib/lpse-dr"
EMPTY_STATE: Dict[str, Any] = {
    "operation": None,
    "epoch": None,
    "prepared": None,
    "fired": None,
    "halted": None,
    "saved": {},
}

Verb = Callable[["Context", Dict[str, Any]], Dict[str, Any]]


class VerbError(Exception):
    """A verb that did not reach what was asked: what was expected, what was found, what to do.

    ``id`` is stable and is what the Python side translates by; ``data`` fills placeholders.
    """

    def __init__(
        self, id: str, expected: str, found: str, todo: str = "", data: Optional[Dict[str, Any]] = None
    ) -> None:
        super().__init__("%s: expected %s; found %s" % (id, expected, found))
        self.id = id
        self.expected = expected
        self.found = found
        self.todo = todo
        self.data = data or {}

    def as_dict(self) -> Dict[str, Any]:
        """Return the error as it travels in results and over the agent's pipe."""
        return {
            "id": self.id,
            "expected": self.expected,
            "found": self.found,
            "todo": self.todo,
            "data": self.data,
        }


class Context:
    """Where a verb runs, for which operation, and until when.

    ``config`` holds the host's role variables by their public names. ``deadline`` is a value of
    ``time.monotonic()``: after it a verb must not start a change. ``memory`` keeps what one verb
    of an agent leaves for the next (an open psql, a running watch).
    """

    def __init__(
        self,
        host: str,
        site: str,
        config: Dict[str, Any],
        operation: Optional[Dict[str, Any]] = None,
        timeout_seconds: float = 30.0,
        memory: Optional[Dict[str, Any]] = None,
    ) -> None:
        self.host = host
        self.site = site
        self.config = config
        self.operation = operation
        self.deadline = time.monotonic() + timeout_seconds
        self.memory = {} if memory is None else memory

    def remaining(self) -> float:
        """Return the seconds left until the deadline, never less than zero."""
        return max(0.0, self.deadline - time.monotonic())

    def wait_for(self, probe: Callable[[], Any], interval_seconds: float = 0.01) -> Any:
        """Call ``probe`` until it returns something true or the time is up; return its last answer."""
        while True:
            answer = probe()
            if answer or self.remaining() <= 0:
                return answer
            time.sleep(interval_seconds)


def run(
    argv: List[str],
    timeout_seconds: float,
    stdin: Optional[str] = None,
    check: bool = True,
    env: Optional[Dict[str, str]] = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command without a shell; raise VerbError ``command.failed`` on a bad end or when the time is up."""
    try:
        done = subprocess.run(
            argv,
            input="" if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=max(0.05, timeout_seconds),
            env=None if env is None else {**os.environ, **env},
        )
    except subprocess.TimeoutExpired:
        raise VerbError(
            "command.timeout", "%s to end within %.1f s" % (argv[0], timeout_seconds), "still running; ended"
        ) from None
    except OSError as error:
        raise VerbError(
            "command.missing", "%s to be startable" % argv[0], str(error), "install it on this host"
        ) from error
    if check and done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise VerbError(
            "command.failed",
            "%s to succeed" % " ".join(argv[:3]),
            "exit %d: %s" % (done.returncode, words[-1]),
        )
    return done


def write_atomic(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file so that a reader, and a power cut, see the old content or the new, never a part."""
    folder = os.path.dirname(path)
    temporary = "%s.%d.tmp" % (path, os.getpid())
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.fchmod(descriptor, mode)
        os.write(descriptor, text.encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(folder)


def sync_folder(path: str) -> None:
    """Make a directory entry survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_state() -> Dict[str, Any]:
    """Return this host's state; a missing file means "nothing was ever recorded here".

    A file that is there and cannot be parsed is not the same as a missing one: VerbError ``state.unreadable``.
    """
    path = os.path.join(STATE_FOLDER, "state.json")
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        return dict(EMPTY_STATE, saved={})
    except OSError as error:
        raise VerbError("state.unreadable", "%s to be readable" % path, str(error)) from error
    try:
        state = json.loads(text)
        if not isinstance(state, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise VerbError(
            "state.unreadable",
            "%s to hold JSON" % path,
            str(error),
            "compare it with the other hosts' file before mending it",
        ) from error
    return {**EMPTY_STATE, "saved": {}, **state}


@contextlib.contextmanager
def state_for_update() -> Iterator[Dict[str, Any]]:
    """Yield the state under the host's lock and write it back, fsynced, when the block ends well."""
    os.makedirs(STATE_FOLDER, mode=0o755, exist_ok=True)
    with open(os.path.join(STATE_FOLDER, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state()
        before = json.dumps(state, sort_keys=True)
        yield state
        after = json.dumps(state, sort_keys=True)
        if after != before:
            write_atomic(os.path.join(STATE_FOLDER, "state.json"), after + "\n")


def assert_current(ctx: Context) -> None:
    """Refuse to change this host for an operation that is not the one it has accepted.

    A run that was frozen and thawed, or whose jump host was thought dead, finds a newer number here.
    """
    if ctx.operation is None:
        return
    held = read_state()["operation"] or {}
    if held.get("number") != ctx.operation["number"] or held.get("run") != ctx.operation["run"]:
        raise VerbError(
            "operation.superseded",
            "operation %s of run %s" % (ctx.operation["number"], ctx.operation["run"]),
            "operation %s of run %s" % (held.get("number"), held.get("run")),
            "lpse-dr status",
        )
    if ctx.remaining() <= 0:
        raise VerbError(
            "operation.deadline",
            "to be asked in time",
            "the deadline of this act has passed; nothing was done",
            "lpse-dr status",
        )


def assert_not_halted(ctx: Context) -> None:
    """Refuse what would bring anything new from the other side, or make this side active, while a person has halted that.

    The fact stands on each host of a halted side, so that whoever asks, by whatever command, is refused here.
    """
    halted = read_state()["halted"]
    if halted is not None:
        known = halted if isinstance(halted, dict) else {}
        data = {key: str(known.get(key) or "?") for key in ("site", "at", "by", "reason")}
        raise VerbError(
            "replication.halted",
            "no halt of replication on %s" % ctx.host,
            "halted at %(at)s by %(by)s: %(reason)s" % data,
            "lpse-dr replication resume --at %s" % data["site"],
            {**data, "host": ctx.host},
        )


def now_iso() -> str:
    """Return the time in UTC as ISO 8601 with milliseconds."""
    return iso(time.time())


def iso(at: float) -> str:
    """Return a unix time as ISO 8601 in UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".%03dZ" % int(at % 1 * 1000)
