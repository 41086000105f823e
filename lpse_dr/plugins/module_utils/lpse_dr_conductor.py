"""Drive verbs on several hosts in order, over connections that are open before the first one counts.

Standard library only. Started on the jump host by the action ``conductor``; tested without Ansible.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from . import lpse_dr_host
from .lpse_dr_host import everything as everything  # so that all verbs are loaded and streamed

# The far side of a connection: build the streamed package in memory, then serve. Lines before the
# magic word are skipped: where sudo wanted no password, the line meant for it arrives here.
BOOTSTRAP = r"""
import sys, types
b = sys.stdin.buffer
line = b.readline()
while line and not line.startswith(b"LPSE-DR "):
    line = b.readline()
if line:
    import json
    from importlib.machinery import ModuleSpec
    sources = json.loads(b.read(int(line.split()[1])).decode())
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name in sources:
                return ModuleSpec(name, self, is_package=name == "lpse_dr_host")
        def create_module(self, spec): return None
        def exec_module(self, module):
            exec(compile(sources[module.__name__], module.__name__, "exec"), module.__dict__)
    sys.meta_path.insert(0, Finder())
    from lpse_dr_host.agent import serve
    serve()
""".strip()


CONNECT_SECONDS = 15
LONGEST_TEXT = 4000
CANCELLED: Dict[str, Any] = {
    "id": "run.cancelled", "expected": "the run to go on", "found": "somebody ended it", "todo": "lpse-dr status", "data": {},
}  # fmt: skip


def host_sources() -> bytes:
    """Return the source of every host-side verb as one JSON object {module: source}.

    Taken from the loader, not from a folder: what is imported is what is streamed.
    """
    package = lpse_dr_host.__name__
    sources = {}
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + "."):
            loader: Any = module.__loader__
            sources["lpse_dr_host" + name[len(package) :]] = loader.get_source(name) or ""
    return json.dumps(sources).encode()


def slim(value: Any, most: int = 8) -> Any:
    """Return a result without its long lists and texts: a record of a run tells how many documents moved, not each name."""
    if isinstance(value, dict):
        return (
            "%d entries" % len(value)
            if len(value) > 2 * most
            else {key: slim(item, most) for key, item in value.items()}
        )
    if isinstance(value, list):
        return "%d entries" % len(value) if len(value) > most else [slim(item, most) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return "%d characters" % len(value)
    return value


def _above(answers: Dict[str, Any], limits: Dict[str, float]) -> bool:
    """Tell whether any host answered with more than a limit allows; a missing figure is not above."""
    return any((answer.get(key) or 0) > limit for answer in answers.values() for key, limit in limits.items())


def _only(steps: List[Dict[str, Any]], host: str) -> List[Dict[str, Any]]:
    """Return the steps of one host, as if it were alone."""
    return [{**step, "at": [host]} for step in steps if host in step["at"]]


class StepError(Exception):
    """A step that did not reach its end on a host."""

    def __init__(self, host: str, error: Dict[str, Any], lost: bool = False) -> None:
        super().__init__("%s: %s" % (host, error))
        self.host = host
        self.error = error
        self.lost = lost


class Connection:
    """One open connection to the agent of one host. Replies are lines; a line comes whole or never."""

    def __init__(self, name: str, argv: List[str], first_bytes: bytes) -> None:
        self.name = name
        self._buffer = b""
        self._count = 0
        self.alive = True
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.send_bytes(first_bytes)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send_bytes(self, data: bytes) -> None:
        """Write all of ``data``; a connection that is gone is noticed at the next reply."""
        assert self._process.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self._process.stdin.write(view) or 0 :]
        except OSError:
            self.alive = False

    def ask(self, verb: str, args: Dict[str, Any], timeout_seconds: float) -> int:
        """Send a request; return its number."""
        self._count += 1
        request = {"id": self._count, "verb": verb, "args": args, "timeout_seconds": timeout_seconds}
        self.send_bytes(json.dumps(request).encode() + b"\n")
        return self._count

    def read_lines(self) -> List[Dict[str, Any]]:
        """Return the replies that have arrived; an end of the stream marks the connection dead."""
        data = os.read(self.fileno(), 1 << 20)
        if not data:
            self.alive = False
            return []
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def last_words(self) -> str:
        """Return what ssh or sudo said before the connection ended."""
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        words = (self._process.stderr.read() or b"").decode("utf-8", "replace").strip().splitlines()
        return words[-1] if words else "the connection ended"

    def close(self) -> None:
        """End the connection, and with it the agent."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    self.alive = False
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def ssh_argv(host: Dict[str, Any]) -> List[str]:
    """Return the ssh command that starts the agent on ``host`` (its connection variables, as Ansible names them)."""
    sudo = ["sudo", "-S", "-p", ""] if host.get("become_password") else ["sudo", "-n"]
    remote = ([] if host.get("user") == "root" else sudo) + [
        host.get("python") or "/usr/bin/python3",
        "-u",
        "-c",
        BOOTSTRAP,
    ]
    argv = [
        "ssh",
        "-T",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=5",
        *shlex.split(host.get("ssh_args") or ""),
    ]
    if host.get("private_key_file"):
        argv += ["-i", os.path.expanduser(host["private_key_file"])]
    if host.get("port"):
        argv += ["-p", str(host["port"])]
    return [*argv, "%s@%s" % (host["user"], host["address"]), " ".join(shlex.quote(word) for word in remote)]


def lookup(value: Any, results: Dict[str, Dict[str, Any]]) -> Any:
    """Replace ``"@step.key"`` by what that step's (only) host answered, through lists and objects."""
    if isinstance(value, dict):
        return {key: lookup(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [lookup(item, results) for item in value]
    if isinstance(value, str) and value.startswith("@"):
        step, *keys = value[1:].split(".")
        found: Any = next(iter(results[step].values()))
        for key in keys:
            found = found[key]
        return found
    return value


class Conductor:
    """Run steps in order; undo them in reverse when one fails before the point of no return."""

    def __init__(self, connections: Dict[str, Connection], announce: Callable[[Dict[str, Any]], None]) -> None:
        self._connections = connections
        self._announce = announce
        self.results: Dict[str, Dict[str, Any]] = {}
        self.log: List[Dict[str, Any]] = []
        self.fired = False
        self.failed_step = ""
        self.cancelled = False
        self.excused: List[Dict[str, Any]] = []

    def perform(
        self, name: str, hosts: List[str], verb: str, args: Dict[str, Any], timeout_seconds: float
    ) -> Dict[str, Any]:
        """Ask all hosts at once and wait for all of them; StepError for the first that could not."""
        answers, failures = self.gather(name, hosts, verb, args, timeout_seconds)
        if failures:
            raise sorted(failures, key=lambda failure: failure.lost)[0]
        return answers

    def gather(
        self, name: str, hosts: List[str], verb: str, args: Dict[str, Any], timeout_seconds: float
    ) -> Tuple[Dict[str, Any], List[StepError]]:
        """Ask all hosts at once and wait for all of them; return what they answered, and who could not."""
        started = time.time()
        deadline = time.monotonic() + timeout_seconds
        waiting: Dict[str, int] = {}
        failures: List[StepError] = []
        answers: Dict[str, Any] = {}
        for host in hosts:
            waiting[host] = self._connections[host].ask(verb, args, timeout_seconds)
        # The agent judges its own deadline; the grace is for its answer to travel.
        while waiting and time.monotonic() < deadline + 1.0:
            lost = [host for host in waiting if not self._connections[host].alive]
            for host in lost:
                del waiting[host]
                failures.append(self._lost(host, "a connection", self._connections[host].last_words()))
            ready, _, _ = (
                select.select([self._connections[host] for host in waiting], [], [], 0.05)
                if waiting
                else ([], [], [])
            )
            for connection in ready:
                for reply in connection.read_lines():
                    if reply["id"] != waiting.get(connection.name):
                        continue
                    del waiting[connection.name]
                    if reply["ok"]:
                        answers[connection.name] = reply["result"]
                    else:
                        failures.append(StepError(connection.name, reply["error"]))
                    self._note(name, connection.name, verb, reply, started)
        failures += [self._lost(host, "an answer within %.1f s" % timeout_seconds, "none") for host in waiting]
        return answers, failures

    def _lost(self, host: str, expected: str, found: str) -> StepError:
        error = {
            "id": "host.lost",
            "expected": "%s from %s" % (expected, host),
            "found": found,
            "todo": "lpse-dr status",
            "data": {"host": host},
        }
        self.log.append(
            {
                "name": "",
                "host": host,
                "verb": "",
                "ok": False,
                "started": time.time(),
                "seconds": 0,
                "error": error,
            }
        )
        if host in self._connections:
            self._connections[host].alive = False
        return StepError(host, error, lost=True)

    def _note(self, name: str, host: str, verb: str, reply: Dict[str, Any], started: float) -> None:
        entry = {
            "name": name,
            "host": host,
            "verb": verb,
            "ok": reply["ok"],
            "started": started,
            "seconds": reply["seconds"],
        }
        entry["result" if reply["ok"] else "error"] = slim(reply["result" if reply["ok"] else "error"])
        self.log.append(entry)

    def play(self, steps: List[Dict[str, Any]]) -> Optional[StepError]:
        """Run every step. Return None when all reached their end, else the failure, after the undo."""
        begun: List[Dict[str, Any]] = []
        names = [step["name"] for step in steps]
        place = 0
        rounds: Dict[str, int] = {}
        while place < len(steps):
            step = steps[place]
            place += 1
            if not step["at"]:
                continue
            if step not in begun:
                begun.append(step)
            try:
                if self.cancelled and not self.fired:
                    raise StepError("localhost", CANCELLED)
                if step.get("phase"):
                    self._announce(
                        {"kind": "phase", "phase": step["phase"], "title": step.get("title") or step["phase"]}
                    )
                if step.get("fires"):
                    # After this line nothing is undone: the other side may already have begun.
                    self._announce({"kind": "fired", "step": step["name"]})
                    self.fired = True
                self._announce({"kind": "progress", "step": step["name"]})
                args = lookup(step.get("args") or {}, self.results)
                if step.get("best_effort"):
                    # A site that is given up may die at any moment of it; what could not be done there is told, and read
                    # again at the end.
                    self.excused += self.play_best_effort([{**step, "args": args}])
                    continue
                answers = self.perform(step["name"], step["at"], step["verb"], args, step.get("timeout_seconds", 10))
            except StepError as failure:
                self.failed_step = step["name"]
                if not self.fired:
                    failure.error.setdefault("undo", self._undo(begun))
                return failure
            self.results[step["name"]] = answers
            if step.get("shows"):
                # How far something is that takes long, for whoever watches.
                self._announce({"kind": "progress", "step": step["name"], "figures": answers})
            if step.get("tell"):
                # In full, past Ansible: what it carries as a result is cut off somewhere beyond some hundred kilobytes.
                self._announce({"kind": "told", "step": step["name"], "answers": answers})
            again = step.get("again")
            if again and rounds.get(step["name"], 0) < again["at_most"] and _above(answers, again["above"]):
                rounds[step["name"]] = rounds.get(step["name"], 0) + 1
                place = names.index(again["from"])
                if again.get("quiet"):
                    # Asked about for hours: only the last answer is kept.
                    repeated = names[place : names.index(step["name"]) + 1]
                    self.log = [entry for entry in self.log if entry["name"] not in repeated]
        return None

    def play_each(self, steps: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
        """Run every step on each host that has come so far; return by host why it was left behind.

        For acts of which one host's share is worth having without another's. What a host has begun and not ended is
        undone there, where it still answers.
        """
        left: Dict[str, Dict[str, Any]] = {}
        begun: List[Dict[str, Any]] = []
        for step in steps:
            hosts = [host for host in step["at"] if host in self._connections and host not in left]
            if not hosts:
                continue
            if self.cancelled:
                for host in hosts:
                    left[host] = {**CANCELLED, "step": step["name"], "undo": self._undo(_only(begun, host))}
                continue
            if step.get("phase"):
                self._announce({"kind": "phase", "phase": step["phase"], "title": step.get("title") or step["phase"]})
            self._announce({"kind": "progress", "step": step["name"]})
            begun.append(step)
            self.results[step["name"]], failures = self.gather(
                step["name"], hosts, step["verb"], step.get("args") or {}, step.get("timeout_seconds", 10)
            )
            for failure in failures:
                undo = self._undo(_only(begun, failure.host))
                left[failure.host] = {**failure.error, "step": step["name"], "lost": failure.lost, "undo": undo}
        return left

    def play_best_effort(self, steps: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Run every step on every host that answers, whatever fails; return what could not be done."""
        open_ends = []
        for step in steps:
            for host in step["at"]:
                failure = self._try(step["name"], host, step)
                if failure is not None:
                    open_ends.append({"step": step["name"], "host": host, "error": failure.error})
        return open_ends

    def _try(self, name: str, host: str, step: Dict[str, Any]) -> Optional[StepError]:
        connection = self._connections.get(host)
        if connection is None or not connection.alive:
            return self._lost(host, "a connection", "none")
        try:
            self.results.setdefault(step.get("name", name), {}).update(
                self.perform(name, [host], step["verb"], step.get("args") or {}, step.get("timeout_seconds", 20))
            )
        except StepError as failure:
            return failure
        return None

    def _undo(self, begun: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Undo in reverse what was begun, on every host that still answers; return what could not be undone."""
        open_ends: List[Dict[str, Any]] = []
        for step in reversed(begun):
            for undo in step.get("undo") or []:
                for host in step["at"]:
                    failure = self._try("undo " + step["name"], host, undo)
                    if failure is not None:
                        open_ends.append({"step": step["name"], "host": host, "error": failure.error})
        return open_ends


def connect(
    hosts: Dict[str, Dict[str, Any]], operation: Optional[Dict[str, Any]], lifetime_seconds: float
) -> Dict[str, Connection]:
    """Open an agent on every host in parallel and wait until each has said hello.

    StepError ``host.unreachable`` names the first that did not, after all others were closed.
    """
    connections = _open(hosts, operation, lifetime_seconds)
    waiting = _greet(connections, give_up=True)
    lost = sorted(
        (connection.alive, name)
        for name, connection in connections.items()
        if name in waiting or not connection.alive
    )
    if not lost:
        return connections
    error = _unreachable(connections[lost[0][1]])
    for connection in connections.values():
        connection.close()
    raise StepError(lost[0][1], error, lost=True)


def connect_each(
    hosts: Dict[str, Dict[str, Any]], operation: Optional[Dict[str, Any]], lifetime_seconds: float
) -> Tuple[Dict[str, Connection], Dict[str, Dict[str, Any]]]:
    """Open an agent on every host that answers; return them, and by host the error ``host.unreachable`` of the others."""
    connections = _open(hosts, operation, lifetime_seconds)
    waiting = _greet(connections, give_up=False)
    missing = {
        name: _unreachable(connection)
        for name, connection in connections.items()
        if name in waiting or not connection.alive
    }
    for name in missing:
        connections.pop(name).close()
    return connections, missing


def _open(
    hosts: Dict[str, Dict[str, Any]], operation: Optional[Dict[str, Any]], lifetime_seconds: float
) -> Dict[str, Connection]:
    sources = host_sources()
    connections: Dict[str, Connection] = {}
    for name, host in hosts.items():
        hello = {
            "host": name, "site": host.get("site") or "", "config": host["config"],
            "operation": operation, "lifetime_seconds": lifetime_seconds,
        }  # fmt: skip
        password = (host.get("become_password") or "").encode() + b"\n" if host.get("become_password") else b""
        first = password + b"LPSE-DR %d\n" % len(sources) + sources + json.dumps(hello).encode() + b"\n"
        connections[name] = Connection(name, host.get("argv") or ssh_argv(host), first)
    return connections


def _greet(connections: Dict[str, Connection], give_up: bool) -> Set[str]:
    """Wait for each agent's hello, and return who has not said it; with ``give_up`` no longer than until the first is lost."""
    waiting = set(connections)
    deadline = time.monotonic() + CONNECT_SECONDS
    while waiting and time.monotonic() < deadline:
        alive = [name for name in waiting if connections[name].alive]
        if not alive or (give_up and not all(connection.alive for connection in connections.values())):
            break
        ready, _, _ = select.select([connections[name] for name in alive], [], [], 0.2)
        for connection in ready:
            if any(reply["id"] == "hello" for reply in connection.read_lines()):
                waiting.discard(connection.name)
    return waiting


def _unreachable(connection: Connection) -> Dict[str, Any]:
    words = "no answer within %d s" % CONNECT_SECONDS if connection.alive else connection.last_words()
    return {
        "id": "host.unreachable", "expected": "%s to be reachable with sudo" % connection.name, "found": words,
        "todo": "lpse-dr status", "data": {"host": connection.name},
    }  # fmt: skip
