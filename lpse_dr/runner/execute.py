"""Inside the run's own process: prepare, let Ansible work, judge, record. The only user of ansible_runner."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import __version__, i18n
from ..content import content_root
from ..errors import JournalError
from ..journal import Journal, now
from .folder import SCRATCH_PREFIX, Run, sweep, write_json
from .record import Recorder, RecordServer
from .tree import adopt_orphans, cancel_below
from .verdict import Facts, Verdict, error_of, judge

_CLOSING = (Verdict.COMPLETED, Verdict.REFUSED, Verdict.ROLLED_BACK)


def tree_hash(path: Path) -> str:
    """Return one SHA-256 over names and contents of a file or a folder."""
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
    total = hashlib.sha256()
    for item in files:
        if "__pycache__" in item.parts:
            continue
        total.update(f"{item.relative_to(path.parent)}\0".encode())
        total.update(hashlib.sha256(item.read_bytes()).digest())
    return total.hexdigest()


def _seconds_between(start: str | None, end: str | None) -> float | None:
    try:
        return round((datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds(), 3)
    except ValueError:
        return None


def timed_phases(facts: Facts, ended_at: str) -> list[dict[str, Any]]:
    """Return the phases with their durations: each lasts until the next begins."""
    ends = [item["at"] for item in facts.phases[1:]] + [ended_at]
    return [
        {"phase": item["phase"], "title": item["title"], "started_at": item["at"], "seconds": _seconds_between(item["at"], end)}
        for item, end in zip(facts.phases, ends, strict=False)
    ]  # fmt: skip


class Execution:
    """One run from its first record to its last."""

    def __init__(self, folder: Path, secrets: dict[str, Any], locks: list[int]) -> None:
        self._run = Run(folder)
        self._request = self._run.request()
        self._secrets = secrets
        self._locks = locks
        self._cancelled = threading.Event()
        self._ending: threading.Thread | None = None
        incident = self._request.get("incident")
        self._journal = Journal(folder.parent.parent) if incident else None
        self._recorder = Recorder(self._run.events_path)
        # Short, because a socket's path may have 107 bytes; private, because ansible-runner writes the
        # whole environment into its own folder. Gone when the run ends.
        base = "/run" if os.access("/run", os.W_OK) else None
        self._scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=base))
        (folder / "scratch").write_text(str(self._scratch), encoding="utf-8")

    def run(self) -> int:
        """Run; the process's exit code matters to nobody, result.json does."""
        i18n.use(str(self._request.get("language")))
        adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: self._cancelled.set())
        started_at = now()
        code: int | None = None
        broken: str | None = None
        try:
            self._record("run.started", self._identity())
            self._recorder.emit({"kind": "started", "run": self._run.id, "operation": self._request.get("operation")})
            code = self._play()
        except JournalError as error:
            broken = f"{error.message} {error.detail}"
        except Exception:  # noqa: BLE001 # whatever it was, the follower must learn that the run has ended
            broken = traceback.format_exc()
        facts = self._recorder.finish()
        sweep(self._run)
        self._finish(facts, code, broken, started_at)
        return 0

    def _record(self, kind: str, data: dict[str, Any]) -> None:
        if self._journal is not None:
            self._journal.append(kind, {"run": self._run.id, **data})

    def _identity(self) -> dict[str, Any]:
        root = content_root()
        hashes = {name: tree_hash(root / name) for name in ("playbooks", "roles") if (root / name).is_dir()}
        return {
            "version": __version__,
            "operation": self._request["operation"],
            "argv": self._request["argv"],
            "playbook_sha256": tree_hash(Path(self._request["playbook"])),
            "playbooks_sha256": hashes.get("playbooks"),
            "roles_sha256": hashes.get("roles"),
            "inventory_sha256": tree_hash(Path(self._request["inventory"]).parent),
        }

    def _private(self, name: str, value: Any) -> Path:
        path = self._scratch / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream)
        return path

    def _cmdline(self, record_socket: Path) -> str:
        import shlex

        shown = {**self._request["extra_vars"], "lpse_dr_record_socket": str(record_socket)}
        words = ["-e", f"@{self._private('vars.json', shown)}"]
        if self._secrets:
            words += ["-e", f"@{self._private('secrets.json', self._secrets)}"]
        if self._request.get("vault_password_file"):
            words += ["--vault-password-file", self._request["vault_password_file"]]
        return shlex.join(words)

    def _play(self) -> int | None:
        os.environ["ANSIBLE_CONFIG"] = str(content_root() / "ansible.cfg")
        # ansible-runner switches the check off unless this is set, and what it sets outranks ansible.cfg and the inventory:
        # a stranger's key would then be taken for a host's.
        os.environ["ANSIBLE_HOST_KEY_CHECKING"] = "True"
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        # SSH carries a person's locale to machines that do not have it, and Ansible then refuses to start.
        os.environ["LC_ALL"] = "C.UTF-8"
        import ansible_runner

        record_socket = self._scratch / "record.sock"
        server = RecordServer(record_socket, self._recorder, self._journal, self._run.id)
        # As a file: the parameter of the same name is dropped together with the env files.
        self._private("env/settings", {"pexpect_timeout": 0.5, "suppress_ansible_output": True})
        try:
            outcome = ansible_runner.run(
                private_data_dir=str(self._scratch),
                project_dir=str(content_root()),
                ident=self._run.id,
                playbook=self._request["playbook"],
                inventory=self._request["inventory"],
                cmdline=self._cmdline(record_socket),
                verbosity=self._request.get("verbosity") or None,
                quiet=True,
                suppress_env_files=True,
                event_handler=self._on_event,
                cancel_callback=self._cancel_wanted,
            )
        finally:
            server.close()
            if self._ending is not None:
                self._ending.join()
        output = self._scratch / "artifacts" / self._run.id / "stdout"
        with contextlib.suppress(OSError):
            shutil.copyfile(output, self._run.folder / "output.txt")
        code = outcome.rc
        return int(code) if code is not None else None

    def _on_event(self, event: dict[str, Any]) -> bool:
        # Read once at the start; from here on they lie in the memory of Ansible alone.
        if event.get("event") == "playbook_on_start":
            (self._scratch / "secrets.json").unlink(missing_ok=True)
        return self._recorder.enqueue(event)

    def _cancel_wanted(self) -> bool:
        """Asked about twice a second. End the tree ourselves: ansible-runner reaches its process group only."""
        wanted = self._cancelled.is_set() or (self._run.folder / "cancel").exists()
        if wanted and self._ending is None:
            self._cancelled.set()
            self._ending = threading.Thread(target=cancel_below, args=(os.getpid(),))
            self._ending.start()
        return False

    def _finish(self, facts: Facts, code: int | None, broken: str | None, started_at: str) -> None:
        request = self._request
        judged = judge(
            facts,
            return_code=code,
            cancelled=self._cancelled.is_set(),
            changes=bool(request.get("changes")),
            command=str(request.get("command")),
        )
        if broken is not None:
            print(broken, file=sys.stderr)  # noqa: T201 # into RUNDIR/process.log
            if judged["error"] is not None and facts.verdict is None:
                last = broken.strip().splitlines()[-1]
                judged["error"] = error_of(
                    "run.broken", judged["error"]["expected"], last, judged["error"]["next_command"]
                )
        ended_at = now()
        verdict = Verdict(judged["verdict"])
        result = {
            "schema": 1,
            "run": self._run.id,
            "operation": request.get("operation"),
            "exit_code": verdict.exit_code,
            **judged,
            "fired": facts.fired,
            "started_at": started_at,
            "ended_at": ended_at,
            "seconds": _seconds_between(started_at, ended_at),
            "phases": timed_phases(facts, ended_at),
            "unreachable": sorted(facts.unreachable),
        }
        try:
            self._record(
                "run.finished",
                {
                    "verdict": verdict.value,
                    "changed": judged["changed"],
                    "error": judged["error"],
                    "figures": judged["figures"],
                },
            )
            if self._closes_the_record(verdict):
                self._record("incident.closed", {"verdict": verdict.value})
        except JournalError as error:
            result["warning"] = f"{error.message} {error.detail}"
        # Whoever sees the result may start the next operation at once.
        for handle in self._locks:
            os.close(handle)
        write_json(self._run.folder / "result.json", result)

    def _closes_the_record(self, verdict: Verdict) -> bool:
        """A maintenance record ends with the work: when it is done, or when this run left nothing open."""
        if self._journal is None:
            return False
        first = (self._journal.events() or [{}])[0]
        if (first.get("data") or {}).get("type") != "maintenance":
            return False
        return verdict is Verdict.COMPLETED or bool(self._request.get("incident_opened") and verdict in _CLOSING)
