"""Two folders of documents and a pretended ssh between them: real rsync, real rrsync, no network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, files, files_place, files_sync
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context

# The control socket is a plain file; what would run on the far side runs here, behind the same rrsync.
SSH = """#!/bin/sh
while [ $# -gt 0 ]; do case "$1" in
  -S) socket=$2; shift 2;; -i|-c|-l) shift 2;; -M) master=1; shift;; -*) shift;; *) break;;
esac; done
shift
[ -e "$PEER_ROOT" ] || { echo "ssh: connect to host peer port 22: No route to host" >&2; exit 255; }
if [ -n "$master" ]; then : >"$socket"; exec sleep 60; fi
SSH_ORIGINAL_COMMAND="$*" exec rrsync -ro "$PEER_ROOT"
"""


class Pair:
    """The standby's side as ``call`` sees it, with both roots and the state file at hand."""

    def __init__(self, folder: Path) -> None:
        self.here, self.peer = folder / "here", folder / "peer"
        self.record = folder / "state" / "files.json"
        self.halt = folder / "halted"
        self._state = folder / "state" / "state.json"
        self.memory: dict[str, Any] = {}
        self.config = {
            "files_root": str(self.here), "files_peer_address": "peer", "files_peer_user": "lpse-dr-files",
            "files_key": "/dev/null", "files_known_hosts": "/dev/null", "files_timer": "lpse-dr-files.timer",
            "files_exclude": ["*.part"], "files_keep_versions_days": 30, "files_rsync_timeout_seconds": 10,
            "application_health_url": "http://127.0.0.1:9/health",
        }  # fmt: skip
        self.know({"number": 3, "site": "pdc"})
        self.say({"site": "pdc", "epoch": {"number": 3, "site": "pdc"}})

    def know(self, epoch: dict[str, Any] | None) -> None:
        """Set the epoch that this host knows."""
        self._state.write_text(json.dumps({"epoch": epoch}))

    def say(self, published: dict[str, Any]) -> None:
        """Let the peer publish this about itself."""
        own = self.peer / ".lpse-dr"
        own.mkdir(exist_ok=True)
        (own / "site.json").write_text(json.dumps(published))

    def context(self, seconds: float = 20.0) -> Context:
        """Return a context of the standby."""
        return Context("drc-app", "drc", self.config, None, seconds, self.memory)

    def call(self, verb: str, seconds: float = 20.0, **args: Any) -> dict[str, Any]:
        """Perform a verb at the standby."""
        return files.VERBS[verb](self.context(seconds), args)

    def close(self) -> None:
        """End what verbs left open."""
        for item in self.memory.values():
            item.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Yield a standby (drc) that may pull from an active peer (pdc)."""
    if not shutil.which("rsync") or not shutil.which("rrsync"):
        pytest.skip("rsync is not installed; script/setup installs it")
    for name in ("here", "peer", "state", "bin"):
        (tmp_path / name).mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PEER_ROOT", str(tmp_path / "peer"))
    monkeypatch.setattr(base, "STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setattr(files_place, "RECORD", str(tmp_path / "state" / "files.json"))
    monkeypatch.setattr(files_place, "LOCK", str(tmp_path / "state" / "files.lock"))
    for module in (files_place, files_sync, files):
        monkeypatch.setattr(module, "HALT_FLAG", str(tmp_path / "halted"))
    monkeypatch.setattr(files_place, "read_health", lambda url, seconds: {"health": "standby"})
    made = Pair(tmp_path)
    yield made
    made.close()
