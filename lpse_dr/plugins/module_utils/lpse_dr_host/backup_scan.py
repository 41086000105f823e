"""The virus scanner: a clamd of our own, as somebody who may do nothing, without a network, for the time of one inspection.

What could not be scanned is never clean: a scanner that died, signatures that are missing or old, a file beyond its limits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Optional

from .base import VerbError

# ClamAV itself takes no file of 2 GB.
MOST_FILE_BYTES = (1 << 31) - (1 << 20)
START_SECONDS = 300
ANSWER_SECONDS = 3600
SIGNATURES = (".cvd", ".cld", ".ndb", ".hdb", ".hsb", ".ldb", ".mdb", ".msb", ".cdb", ".idb", ".yar", ".yara", ".db")
HEADER = re.compile(rb"ClamAV-VDB:([^:]+):")


class Finding(NamedTuple):
    """What the scanner said of one file: ``kind`` is infected, limits, encrypted or failed."""

    path: str
    kind: str
    words: str


class EngineError(Exception):
    """The scanner cannot be used, or has stopped answering."""


def signatures(folder: str) -> Dict[str, Any]:
    """Return {count, newest, fingerprint} of a folder of signatures; ``newest`` (unix time) is None where there are none.

    Of the official ones the date that their publisher put into them counts, of others the file's time.
    """
    newest, names, digest = None, [], hashlib.sha256()
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SIGNATURES))
    for name in names:
        path = os.path.join(folder, name)
        found = os.stat(path)
        at = found.st_mtime
        if name.endswith((".cvd", ".cld")):
            with open(path, "rb") as stream:
                header = HEADER.match(stream.read(512))
            at = _published(header[1].decode("ascii", "replace")) if header else 0.0
        newest = at if newest is None else max(newest, at)
        digest.update(("%s %d %f\n" % (name, found.st_size, at)).encode())
    return {"count": len(names), "newest": newest, "fingerprint": digest.hexdigest()[:16]}


def _published(text: str) -> float:
    for form in ("%d %b %Y %H-%M %z", "%d %b %Y %H:%M %z"):
        with contextlib.suppress(ValueError):
            # The date is in UTC but for hours that do not matter against days.
            return time.mktime(time.strptime(text.strip(), form)) - time.timezone
    return 0.0


def confined(user: str, argv: List[str]) -> List[str]:
    """Return a command that runs ``argv`` as an unprivileged user in a network name space with nothing in it."""
    account = account_of(user)
    return ["unshare", "--net", "--ipc", "--", "setpriv", "--reuid=%d" % account.pw_uid, "--regid=%d" % account.pw_gid,
            "--clear-groups", "--no-new-privs", "--inh-caps=-all", "--", *argv]  # fmt: skip


def account_of(user: str) -> Any:
    """Return the account of the quarantine. VerbError ``backup.account_missing``; root is none."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        account = None
    if account is None or account.pw_uid == 0:
        raise VerbError("backup.account_missing", "an account %s without rights" % user, "none" if account is None else "root",
                        "useradd --system --no-create-home --shell /usr/sbin/nologin %s" % user, {"user": user})  # fmt: skip
    return account


class Engine:
    """A running clamd; ``close`` ends it and takes its files away."""

    def __init__(self, program: str, signature_folder: str, scratch: str, user: str) -> None:
        if shutil.which(program) is None:
            raise EngineError("%s is not installed" % program)
        self._folder = tempfile.mkdtemp(prefix="clamd-", dir=scratch)
        account = account_of(user)
        self._socket = os.path.join(self._folder, "socket")
        settings = {
            "LocalSocket": self._socket, "DatabaseDirectory": signature_folder, "TemporaryDirectory": self._folder,
            "Foreground": "yes", "MaxThreads": str(max(2, os.cpu_count() or 1)), "ExitOnOOM": "yes", "SelfCheck": "0",
            "MaxFileSize": str(MOST_FILE_BYTES), "MaxScanSize": str(MOST_FILE_BYTES), "StreamMaxLength": "1M",
            "MaxScanTime": "600000", "AlertExceedsMax": "yes", "AlertEncrypted": "yes", "FollowDirectorySymlinks": "no",
            "FollowFileSymlinks": "no", "CrossFilesystems": "no", "OfficialDatabaseOnly": "no",
        }  # fmt: skip
        config = os.path.join(self._folder, "clamd.conf")
        with open(config, "w", encoding="utf-8") as stream:
            stream.writelines("%s %s\n" % pair for pair in settings.items())
        for path in (self._folder, config):
            os.chown(path, account.pw_uid, account.pw_gid)
        self._words = open(os.path.join(self._folder, "words"), "w+b")  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            confined(user, [str(shutil.which(program)), "--foreground", "--config-file=" + config]),
            stdin=subprocess.DEVNULL, stdout=self._words, stderr=self._words, start_new_session=True,
        )  # fmt: skip
        try:
            self.version = self._await_start()
        except BaseException:
            self.close()
            raise

    def _await_start(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EngineError("clamd ended: %s" % self._last_words())
            with contextlib.suppress(OSError):
                return self._ask("VERSION", 10.0)[0]
            time.sleep(0.05)
        raise EngineError("clamd was not ready within %d s" % START_SECONDS)

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "exit %s" % self._process.returncode

    def _ask(self, command: str, seconds: float) -> List[str]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(seconds)
            channel.connect(self._socket)
            channel.sendall(b"z%s\0" % os.fsencode(command))
            data = b""
            while True:
                piece = channel.recv(1 << 16)
                if not piece:
                    return [os.fsdecode(line) for line in data.split(b"\0") if line]
                data += piece

    def scan(self, folder: str) -> List[Finding]:
        """Scan every file below ``folder`` on all processors; return what is not simply clean. EngineError where it cannot."""
        try:
            lines = self._ask("MULTISCAN " + folder, ANSWER_SECONDS)
        except OSError as error:
            raise EngineError("clamd does not answer: %s" % error) from error
        if self._process.poll() is not None or not lines:
            raise EngineError("clamd ended: %s" % self._last_words())
        return [finding for finding in (judge_line(line) for line in lines) if finding is not None]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._words.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def judge_line(line: str) -> Optional[Finding]:
    """Return what one line of clamd's answer means; None for a file that is clean. What it cannot mean is a failure."""
    text, _space, word = line.rpartition(" ")
    path, _colon, name = text.rpartition(": ")
    if word == "OK":
        return None
    if word == "FOUND" and path:
        if name.startswith("Heuristics.Limits.Exceeded"):
            return Finding(path, "limits", name)
        if name.startswith("Heuristics.Encrypted"):
            return Finding(path, "encrypted", name)
        return Finding(path, "infected", name)
    return Finding(path or text, "failed", line)


class Batch:
    """Files that wait to be scanned together; a full one is scanned and thrown away, so that disk and memory stay bounded.

    While one is scanned the next is filled: reading and hashing cost the scanner nothing but what they take of the processors.
    """

    MOST_FILES = 2000
    MOST_BYTES = 64 << 20

    def __init__(self, engine: Engine, scratch: str, user: str) -> None:
        self._engine = engine
        self._scratch = scratch
        self._account = account_of(user)
        self._aside = ThreadPoolExecutor(1)
        self._scanning: Optional["Future[List[Finding]]"] = None
        self._scanning_bytes = 0
        self._count = 0
        self.findings: List[Finding] = []
        self.scanned_bytes = 0
        self._empty()

    def _empty(self) -> None:
        """Begin another one."""
        self._folder = tempfile.mkdtemp(prefix="batch-", dir=self._scratch)
        os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        self._titles: Dict[str, str] = {}
        self._bytes = 0

    def new(self, title: str, seen: Any = None) -> str:
        """Return the path of a file to be written; ``title`` is what people know it by."""
        if len(self._titles) >= self.MOST_FILES or self._bytes >= self.MOST_BYTES:
            self._hand_over(seen)
        self._count += 1
        path = os.path.join(self._folder, "%d" % self._count)
        self._titles[path] = title
        return path

    def written(self, path: str, size: int) -> None:
        """Say that a file is complete."""
        self._bytes += size
        os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def flush(self, seen: Any = None) -> None:
        """Scan what waits, and return when all is scanned; ``seen`` is told how many bytes that was."""
        self._hand_over(seen)
        self._take_back(seen)

    def _hand_over(self, seen: Any) -> None:
        self._take_back(seen)
        if self._titles:
            self._scanning_bytes = self._bytes
            self._scanning = self._aside.submit(self._scan, self._folder, self._titles)
            self._empty()

    def _take_back(self, seen: Any) -> None:
        """Wait for the scan that goes on. EngineError as it came to it."""
        scanning, self._scanning = self._scanning, None
        if scanning is not None:
            self.findings += scanning.result()
            self.scanned_bytes += self._scanning_bytes
            if seen is not None:
                seen(self._scanning_bytes)

    def _scan(self, folder: str, titles: Dict[str, str]) -> List[Finding]:
        try:
            return [found._replace(path=titles.get(found.path, found.path)) for found in self._engine.scan(folder)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Throw away what is left."""
        self._aside.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
