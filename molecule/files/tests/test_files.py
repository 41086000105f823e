"""Both sides hold the same documents, and the pull is at work on both."""

from __future__ import annotations

import time
from typing import Any

import pytest

LIST = (
    "cd /home/file/file_prod && find . -name .lpse-dr -prune -o -type f ! -name '*.part' -exec sha256sum {} + | sort"
)


@pytest.mark.parametrize("name", ["pdc-app", "drc-app"])
def test_the_pull_is_at_work(on: Any, name: str) -> None:
    host = on(name)
    assert host.service("lpse-dr-files.timer").is_running
    assert host.service("lpse-dr-files.timer").is_enabled
    root = host.file("/home/file/file_prod")
    assert (root.user, root.group, root.mode & 0o007) == ("appserv", "appserv", 0)


def test_both_sides_hold_the_same(on: Any) -> None:
    wanted = on("pdc-app").check_output(LIST)
    deadline = time.monotonic() + 20
    while on("drc-app").check_output(LIST) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    assert on("drc-app").check_output(LIST) == wanted
