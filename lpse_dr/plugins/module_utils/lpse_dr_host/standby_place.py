"""Where a new standby is made: in a folder beside the data directory, by children that end with whoever asked for them.

The data directory itself is neither written nor removed. When the new one is complete the two change names, and the old one
stays as ``DATA.before-RUN`` until a person removes it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import unquote

from . import base
from .base import Context, now_iso, read_state, state_for_update
from .database_cluster import Cluster

JOB = "standby.job"
POLL_SECONDS = 5.0


def next_folder(cluster: Cluster) -> str:
    """Return the folder in which the new data directory is made."""
    return os.path.realpath(cluster.data) + ".next"


def kept_folder(cluster: Cluster, run: str) -> str:
    """Return where the old data directory stays."""
    return "%s.before-%s" % (os.path.realpath(cluster.data), re.sub(r"[^0-9A-Za-z.-]", "-", run))


def record() -> Dict[str, Any]:
    """Return how far the making of a standby came on this host; empty where none is under way."""
    found = read_state().get("standby")
    return found if isinstance(found, dict) else {}


def note(values: Optional[Dict[str, Any]]) -> None:
    """Write down how far it came, over what stood there; None forgets it."""
    with state_for_update() as state:
        known = state.get("standby") or {}
        state["standby"] = None if values is None else {**known, **values, "at": now_iso()}


def clear_next(cluster: Cluster) -> None:
    """Throw a half-made copy away, and whoever may still write into it: never the data directory itself."""
    folder = next_folder(cluster)
    end_strays(folder)
    if os.path.isdir(folder):
        note({"phase": None})
        shutil.rmtree(folder)


def end_strays(folder: str) -> None:
    """End what an earlier run has left at work in the folder: an agent that was killed may leave a child for a moment."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            with open("/proc/%s/cmdline" % name, encoding="utf-8", errors="replace") as stream:
                words = stream.read().split("\0")
            program = os.path.basename(words[0])
            if folder in words and program in ("pg_basebackup", "pg_rewind", "pg_verifybackup", "postgres", "cp"):
                os.kill(int(name), signal.SIGQUIT if program == "postgres" else signal.SIGKILL)
                time.sleep(0.2)


def home(cluster: Cluster) -> Dict[str, str]:
    """Return the environment in which libpq looks for its files at the right user's place."""
    return {"HOME": pwd.getpwnam(cluster.user).pw_dir, "LC_ALL": "C.UTF-8", "PGAPPNAME": "lpse-dr"}


def sizes(folder: str) -> Tuple[int, int]:
    """Return the bytes of a data directory without its log, and those of its log; links are followed for the log only."""
    log = os.path.join(folder, "pg_wal")
    return sum(_sizes(folder, log)), sum(_sizes(os.path.realpath(log), ""))


def _sizes(folder: str, but: str) -> Iterator[int]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        # A living server removes files while they are counted.
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if entry.path != but:
                    yield from _sizes(entry.path, but)
            elif entry.is_file(follow_symlinks=False):
                yield entry.stat(follow_symlinks=False).st_size


def without_password(cluster: Cluster, conninfo: str) -> Tuple[str, Optional[str]]:
    """Return a conninfo that may stand in a command line, and the file that now holds its password; None where it had none.

    Whoever gets the file removes it.
    """
    address = re.match(r"(postgres(?:ql)?://[^:@/]*):([^@/]*)@(.*)$", conninfo, re.S)
    words = re.search(r"(?:^|\s)password\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\']|\\.)+)", conninfo)
    if address:
        password, rest = unquote(address[2]), "%s@%s" % (address[1], address[3])
    elif words:
        password = re.sub(r"\\(.)", r"\1", words[1][1:-1] if words[1].startswith("'") else words[1])
        rest = conninfo[: words.start()] + conninfo[words.end() :]
    else:
        return conninfo, None
    os.makedirs(base.STATE_FOLDER, mode=0o755, exist_ok=True)
    descriptor, path = tempfile.mkstemp(dir=base.STATE_FOLDER, prefix="pgpass-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write("*:*:*:*:%s\n" % re.sub(r"([\\:])", r"\\\1", password))
    owner = pwd.getpwnam(cluster.user)
    os.chown(path, owner.pw_uid, owner.pw_gid)
    return rest, path


def secret(path: Optional[str]) -> Dict[str, str]:
    """Return the environment that names a file with a password."""
    return {} if path is None else {"PGPASSFILE": path}


class Job:
    """A child that works while it is asked about again and again. It ends with the agent, whatever ends that.

    ``passes`` is a file with a password, removed when the child has ended.
    """

    def __init__(self, kind: str, argv: List[str], environment: Dict[str, str], passes: Optional[str] = None) -> None:
        self.kind = kind
        self._passes = passes
        self.began = time.monotonic()
        self.log = os.path.join(base.STATE_FOLDER, "standby-%s.log" % kind)
        with open(self.log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment, **secret(passes)},
                start_new_session=True,
            )  # fmt: skip

    def ended(self, seconds: float) -> bool:
        """Wait so long at most; tell whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        if self._process.poll() is None:
            return False
        if self._passes is not None and os.path.exists(self._passes):
            os.unlink(self._passes)
        return True

    @property
    def failed(self) -> bool:
        """Tell whether it ended badly."""
        return self._process.poll() != 0

    def words(self) -> str:
        """Return what it said, the end of it."""
        with open(self.log, "rb") as stream:
            stream.seek(max(0, os.path.getsize(self.log) - 4096))
            return stream.read().decode("utf-8", "replace").replace("\r", "\n")

    def last_words(self) -> str:
        """Return its last line that is no count."""
        lines = [line.strip() for line in self.words().splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        return (told or lines or ["no message"])[-1]

    def counted(self) -> Optional[Tuple[int, int]]:
        """Return (done, total) in bytes, as PostgreSQL's programs count: "1234/5678 kB (21%)"."""
        found = re.findall(r"(\d+)/(\d+) kB", self.words())
        return (int(found[-1][0]) << 10, int(found[-1][1]) << 10) if found else None

    def close(self) -> None:
        """End it: half a copy is begun again."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGTERM)
        if not self.ended(3.0):
            os.killpg(self._process.pid, signal.SIGKILL)
            self.ended(10.0)


def mortal(argv: List[str], signal_name: str = "TERM") -> List[str]:
    """Return the command such that the kernel ends it when its parent dies, also by kill -9."""
    return ["setpriv", "--pdeathsig", signal_name, *argv]


def job_of(ctx: Context, kind: str) -> Optional[Job]:
    """Return the job of that kind that this agent has begun, None where there is none."""
    found = ctx.memory.get(JOB)
    return found if isinstance(found, Job) and found.kind == kind else None


def begin(ctx: Context, job: Job) -> Job:
    """Keep a job for the next question."""
    ctx.memory[JOB] = job
    return job


def progress(job: Job, done: int, total: int) -> Dict[str, Any]:
    """Return how far it is, and the seconds that are left at this pace; None while nobody can say."""
    spent = time.monotonic() - job.began
    left = spent * (total - done) / done if done > 0 and total >= done and spent > 1 else None
    return {
        "changed": True, "left": 1, "done_bytes": done, "total_bytes": total,
        "seconds_left": None if left is None else round(left, 1),
    }  # fmt: skip


def failure(ctx: Context, job: Job) -> Optional[str]:
    """Forget a job that has ended; return its own words where it ended badly."""
    ctx.memory.pop(JOB, None)
    return job.last_words() if job.failed else None
