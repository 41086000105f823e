"""Run a playbook and kill its whole tree at a chosen step, without racing against it.

The conductor announces every step on the record socket and waits for the answer. A test that owns the socket
therefore decides whether a step begins at all (``before``) or is under way when the kill comes (``during``).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from lpse_dr.content import content_root
from lpse_dr.lab.model import Lab


def children_of(pid: int) -> list[int]:
    """Return the whole tree below ``pid``, itself last, as /proc shows it now."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(folder.name))
    tree: list[int] = []

    def walk(parent: int) -> None:
        for child in parents.get(parent, []):
            walk(child)
        tree.append(parent)

    walk(pid)
    return tree


def kill_tree(process: subprocess.Popen[str]) -> None:
    """End a process and all below it with SIGKILL. Frozen first, so that none makes another meanwhile."""
    tree = children_of(process.pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in tree:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
    process.wait()


def playbook_argv(lab: Lab, name: str, extra: dict[str, Any]) -> list[str]:
    """Return the plain ansible-playbook command for an operation on a lab."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    argv = [
        program,
        "-i",
        str(lab.inventory),
        str(content_root() / "playbooks" / f"{name}.yml"),
        "-e",
        json.dumps(extra),
    ]
    password = lab.office / "vault_password"
    return [*argv, "--vault-password-file", str(password)] if password.exists() else argv


def play(lab: Lab, name: str, extra: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run plain ansible-playbook to its end."""
    return subprocess.run(
        playbook_argv(lab, name, extra),
        capture_output=True,
        text=True,
        cwd=content_root(),
        env=_environment(),
        check=False,
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


class Stopped:
    """A switch-over, or another site operation, that waits at a step, because this test has not answered it yet."""

    def __init__(self, lab: Lab, extra: dict[str, Any], step: str, operation: str = "switchover") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lpse-dr-test-")
        self._log = Path(self._folder.name, "log")
        self._server = socket.socket(socket.AF_UNIX)
        path = f"{self._folder.name}/record.sock"
        self._server.bind(path)
        self._server.listen()
        self._server.settimeout(0.2)
        self.seen: list[str] = []
        with self._log.open("w") as stream:
            self.process = subprocess.Popen(
                playbook_argv(lab, operation, {**extra, "lpse_dr_record_socket": path}),
                stdout=stream, stderr=stream, text=True, start_new_session=True, cwd=content_root(), env=_environment(),
            )  # fmt: skip
        try:
            self._channel = self._await(step)
        except BaseException:
            kill_tree(self.process)
            self._server.close()
            self._folder.cleanup()
            raise

    def _await(self, step: str) -> socket.socket:
        while True:
            try:
                channel, _ = self._server.accept()
            except TimeoutError:
                # A run that never comes to the step would leave the test with nothing tested.
                assert self.process.poll() is None, f"ended before step {step}: {self.output()[-3000:]}"
                continue
            buffer = b""
            # The power fence has itself recorded over a connection of its own, before the conductor comes.
            while data := channel.recv(65536):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["kind"] == "progress":
                        self.seen.append(event["step"])
                        if event["step"] == step:
                            return channel
                    channel.sendall(b"ok\n")
            channel.close()

    def go_on(self) -> None:
        """Let the step begin, and all that follow."""
        self._channel.sendall(b"ok\n")
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._channel.recv(65536):
                self._channel.sendall(b"ok\n" * data.count(b"\n"))

    def freeze(self) -> None:
        """Stop the whole tree where it stands."""
        self._tree = children_of(self.process.pid)
        for pid in self._tree:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the frozen tree run, and answer what it asks."""
        for pid in self._tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.go_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        kill_tree(self.process)
        self._channel.close()
        self._server.close()
        self._folder.cleanup()

    def wait(self) -> int:
        """Return the exit code once it has ended."""
        return self.process.wait(180)

    def output(self) -> str:
        """Return what ansible-playbook printed so far."""
        return self._log.read_text()


def run_and_kill(lab: Lab, extra: dict[str, Any], step: str, moment: str, operation: str = "switchover") -> None:
    """Run the operation and kill its whole tree when ``step`` is about to begin, or ``during`` it."""
    with Stopped(lab, extra, step, operation) as run:
        if moment == "during":
            run.go_on()
            time.sleep(0.03)
