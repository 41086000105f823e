"""The way to the peer's documents: one SSH connection that stays open, and rsync through it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .base import Context, VerbError
from .files_place import OWN_FOLDER

# rsync prints what cannot be printed as \#ooo, and a backslash that would look like one likewise.
ESCAPED = re.compile(rb"\\#([0-7]{3})")
CONNECT_SECONDS = 3


class Item(NamedTuple):
    """One line of what rsync would do: ``code`` as by --itemize-changes, ``path`` relative to the root."""

    code: str
    size: int
    changed_at: str
    path: str


class Stream:
    """An SSH connection to the peer that later commands share; ``close`` ends it.

    The far side runs ``rrsync -ro`` for this key, whatever is asked, and root on this side writes.
    """

    def __init__(self, ctx: Context, connect_seconds: int = CONNECT_SECONDS) -> None:
        config = ctx.config
        self.peer = "%s@%s" % (config["files_peer_user"], config["files_peer_address"])
        self._stall_seconds = max(1, int(config.get("files_rsync_timeout_seconds") or 60))
        self._exclude: List[str] = list(config.get("files_exclude") or [])
        self._folder = tempfile.mkdtemp(prefix="lpse-dr-", dir="/run" if os.access("/run", os.W_OK) else None)
        self._socket = os.path.join(self._folder, "s")
        self._ssh = [
            "ssh", "-T", "-oBatchMode=yes", "-oConnectTimeout=%d" % connect_seconds, "-oStrictHostKeyChecking=yes",
            "-oIdentitiesOnly=yes", "-oServerAliveInterval=2", "-oServerAliveCountMax=2", "-oLogLevel=ERROR",
            # Where the processor has AES built in, this costs half of OpenSSH's first choice.
            "-c", "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com",
            "-oUserKnownHostsFile=%s" % config["files_known_hosts"], "-oGlobalKnownHostsFile=/dev/null",
            "-i", config["files_key"], "-S", self._socket,
        ]  # fmt: skip
        self._master: Optional["subprocess.Popen[bytes]"] = None
        self._prepared: Optional[Tuple[str, "subprocess.Popen[bytes]"]] = None
        try:
            self._connect(min(ctx.remaining(), connect_seconds + 1.0))
        except BaseException:
            self.close()
            raise

    def _connect(self, seconds: float) -> None:
        """Start the shared connection and wait until it takes others."""
        with open(os.path.join(self._folder, "words"), "wb") as words:
            try:
                self._master = subprocess.Popen(
                    [*self._ssh, "-M", "-N", "-oControlPersist=no", self.peer],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    start_new_session=True,
                )
            except OSError as error:
                raise VerbError(
                    "command.missing", "ssh to be startable", str(error), "install openssh-client"
                ) from error
        deadline = time.monotonic() + seconds
        while not os.path.exists(self._socket):
            if self._master.poll() is not None or time.monotonic() > deadline:
                raise VerbError(
                    "files.peer_unreachable",
                    "%s to let this host in" % self.peer,
                    self._words() or "no answer within %.1f s" % seconds,
                    "ssh -i KEY -o UserKnownHostsFile=KNOWN_HOSTS %s" % self.peer,
                )
            time.sleep(0.005)

    def _words(self) -> str:
        with contextlib.suppress(OSError), open(os.path.join(self._folder, "words"), "rb") as stream:
            lines = stream.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1].strip() if lines else ""
        return ""

    def alive(self) -> bool:
        """Tell whether the shared connection still stands."""
        return self._master is not None and self._master.poll() is None and os.path.exists(self._socket)

    def close(self) -> None:
        """End the connection and remove what it needed."""
        self._discard()
        if self._master is not None:
            with contextlib.suppress(OSError):
                self._master.terminate()
            try:
                self._master.wait(1)
            except subprocess.TimeoutExpired:
                self._master.kill()
                self._master.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def rsync(self, options: List[str], target: str, seconds: float, paths: Optional[List[str]] = None) -> bytes:
        """Run rsync from the peer's root into ``target``; return what it printed.

        ``paths`` limits it to these, given on standard input so that any name is safe. A path that the
        peer does not have is passed over; the caller looks at what has arrived. VerbError
        ``files.rsync_failed`` otherwise, never a part taken for the whole.
        """
        return self._finish(self._start(options, target, paths is not None), seconds, paths)

    def _start(self, options: List[str], target: str, by_list: bool) -> "subprocess.Popen[bytes]":
        argv = ["rsync", "-lptgo", "-O", "--no-motd", "--timeout=%d" % self._stall_seconds, *options]
        if by_list:
            argv += ["--files-from=-", "--from0", "--ignore-missing-args"]
        argv += [
            "-e",
            " ".join(shlex.quote(word) for word in self._ssh),
            "%s:/" % self.peer,
            target.rstrip("/") + "/",
        ]
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise VerbError("command.missing", "rsync to be startable", str(error), "install rsync") from error

    def _finish(self, started: "subprocess.Popen[bytes]", seconds: float, paths: Optional[List[str]]) -> bytes:
        listed = b"" if paths is None else b"\0".join(os.fsencode(path) for path in paths) + b"\0"
        try:
            printed, said = started.communicate(listed, max(0.05, seconds))
        except subprocess.TimeoutExpired as error:
            _end(started)
            raise VerbError(
                "files.rsync_failed", "rsync to end within %.1f s" % seconds, "still running; ended"
            ) from error
        # 24: a file vanished while it was looked at; a name that is gone is nothing to copy.
        if started.returncode not in (0, 24):
            words = said.decode("utf-8", "replace").strip().splitlines()
            raise VerbError(
                "files.rsync_failed",
                "rsync from %s to succeed" % self.peer,
                "exit %d: %s" % (started.returncode, words[0] if words else "no message"),
                "lpse-dr files status",
            )
        return printed

    def prepare(self, root: str) -> None:
        """Start the next ``fetch`` into ``root`` now: both ends then wait for nothing but the names."""
        if self._prepared is None or self._prepared[0] != root or self._prepared[1].poll() is not None:
            self._discard()
            self._prepared = (root, self._start(["--ignore-existing"], root, True))

    def _discard(self) -> None:
        if self._prepared is not None:
            _end(self._prepared[1])
            self._prepared = None

    def filters(self) -> List[str]:
        """Return what keeps unfinished documents and the tool's own files out of a whole-tree pass."""
        rules = [
            "--include=/%s/" % OWN_FOLDER,
            "--include=/%s/markers/***" % OWN_FOLDER,
            "--exclude=/%s/*" % OWN_FOLDER,
        ]
        return rules + ["--exclude=%s" % pattern for pattern in self._exclude]

    def compare(self, root: str, seconds: float) -> List[Item]:
        """Return what differs between the peer's tree and ``root``, changing nothing. One walk on each side."""
        printed = self.rsync(
            ["-rni", "--out-format=%i %l %M %n", *self.filters()],
            root,
            seconds,
        )
        return [item for item in map(parse_item, printed.split(b"\n")) if item is not None]

    def fetch(self, root: str, paths: List[str], seconds: float) -> None:
        """Bring documents that are not here yet. One that is here is never touched, whatever it holds."""
        deadline = time.monotonic() + seconds
        if self._prepared is not None and self._prepared[0] == root:
            started, self._prepared = self._prepared[1], None
            # One that has waited for longer than the other end does is gone; what it did not bring, the next does.
            with contextlib.suppress(VerbError, OSError):
                self._finish(started, seconds, paths)
                return
            _end(started)
        self.rsync(["--ignore-existing"], root, deadline - time.monotonic(), paths)

    def read_site(self, seconds: float) -> Optional[Dict[str, Any]]:
        """Return what the peer publishes about itself, None when it publishes nothing that can be read."""
        landing = tempfile.mkdtemp(dir=self._folder)
        name = "%s/site.json" % OWN_FOLDER
        self.rsync(["--no-owner", "--no-group"], landing, seconds, [name])
        try:
            with open(os.path.join(landing, name), encoding="utf-8") as stream:
                found = json.load(stream)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command, and leave neither a zombie nor an open pipe."""
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def parse_item(line: bytes) -> Optional[Item]:
    """Read one line of ``compare``; None for an empty one. VerbError: rsync speaks in a way that is not known."""
    if not line.strip():
        return None
    parts = line.split(b" ", 3)
    try:
        code, size, changed_at, name = parts[0].decode("ascii"), int(parts[1]), parts[2].decode("ascii"), parts[3]
        if len(code) != 11 and not code.startswith("*"):
            raise ValueError(code)
    except (ValueError, IndexError) as error:
        raise VerbError("files.rsync_failed", "a line of rsync's list of changes", repr(line)) from error
    # Escapes are octal bytes of the name itself; what comes out is the name as the file system has it.
    raw = ESCAPED.sub(lambda match: bytes([int(match.group(1), 8)]), name)
    return Item(code, size, changed_at, os.fsdecode(raw).rstrip("/"))
