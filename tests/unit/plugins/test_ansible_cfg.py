"""ansible.cfg keeps its promises: nobody to act on by default, and no run on an inventory that cannot be read."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

from lpse_dr.content import content_root

CONFIG = content_root() / "ansible.cfg"
PLAY = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: acted}\n"


def play(tmp_path: Path, *inventory: str) -> subprocess.CompletedProcess[str]:
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAY)
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), *inventory, str(playbook)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CONFIG), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def test_an_inventory_that_cannot_be_parsed_stops_the_run(tmp_path: Path) -> None:
    broken = tmp_path / "hosts.yml"
    broken.write_text("all:\n  hosts: [this, is, no, mapping\n")
    done = play(tmp_path, "-i", str(broken))
    assert done.returncode != 0
    assert "acted" not in done.stdout


def test_an_inventory_that_is_missing_stops_the_run(tmp_path: Path) -> None:
    assert play(tmp_path, "-i", str(tmp_path / "nowhere.yml")).returncode != 0


def test_without_an_inventory_there_is_nobody_to_act_on(tmp_path: Path) -> None:
    done = play(tmp_path)
    assert "acted" not in done.stdout


def test_every_line_has_its_reason() -> None:
    lines = CONFIG.read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"[a-z_]+ = ", line):
            explained = before.startswith("#") or re.match(r"[a-z_]+ = ", before)
            assert explained, line
    assert "host_key_checking = True" in lines
    assert "gathering = explicit" in lines
