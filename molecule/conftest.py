"""Testinfra looks at the lab's hosts over SSH of its own: a reader that shares nothing with the verbs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import testinfra

from lpse_dr.lab.model import load_lab

On = Callable[[str], Any]


@pytest.fixture(scope="session")
def on() -> On:
    """Return a function from the name of a host of lab `molecule` to testinfra's view of it, as root."""
    lab = load_lab("molecule")

    @functools.cache
    def host(name: str) -> Any:
        known = lab.office / "known_hosts"
        return testinfra.get_host(
            f"ssh://lpse-dr@{lab.hosts[name].management}?sudo=true&ssh_identity_file={lab.key}",
            ssh_extra_args=f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
        )

    return host
