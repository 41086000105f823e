"""Testinfra looks at the lab's hosts over SSH of its own: a reader that shares nothing with the verbs."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra

from lpse_dr.lab.model import load_lab

On = Callable[[str], Any]


@pytest.fixture(scope="session")
def on() -> Iterator[On]:
    """Give a function from the name of a host of lab `molecule` to testinfra's view of it, as root.

    One connection per host for all tests of one run, none older than it: a host may have been without power since.
    """
    lab = load_lab("molecule")
    sockets = tempfile.mkdtemp(prefix="lpse-dr-")

    @functools.cache
    def host(name: str) -> Any:
        known = lab.office / "known_hosts"
        return testinfra.get_host(
            f"ssh://lpse-dr@{lab.hosts[name].management}?sudo=true&ssh_identity_file={lab.key}",
            controlpath=f"{sockets}/%%C",
            ssh_extra_args=f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        )

    yield host
    for socket in Path(sockets).iterdir():
        subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host"], capture_output=True, check=False)
    shutil.rmtree(sockets, ignore_errors=True)
