"""The wheel alone is enough: installed outside the checkout it builds a lab and switches it over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpse_dr.content import content_root

pytestmark = pytest.mark.lab
NAME = "wheel"


def test_installed_into_an_empty_environment_it_builds_a_lab_and_switches_it_over(tmp_path: Path) -> None:
    checkout = content_root()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "LPSE_DR_OFFICE", "VIRTUAL_ENV", "ANSIBLE_CONFIG")
    }

    def run(*argv: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
        return done.stdout

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, checkout)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", "venv")
    run("venv/bin/python", "-m", "pip", "install", "--quiet", wheel)
    where = run("venv/bin/python", "-c", "import lpse_dr.content as c; print(c.content_root())").strip()
    assert Path(where).is_relative_to(tmp_path)
    program = "venv/bin/lpse-dr"
    (tmp_path / "office").mkdir()
    (tmp_path / "office" / "office.yml").write_text("name: LPSE Uji\nstate_folder: ../state\n")
    assert "penyelamatan jiwa" in run(program, "--office", tmp_path / "office", "conditions", "show", "gempa")
    try:
        run(program, "lab", "up", "--name", NAME)
        run(program, "--lab", NAME, "replication", "verify", "--wait")
        words = ["switchover", "--from", "pdc", "--to", "drc", "--yes", "--reason", "wheel", "--output", "json"]
        answer = json.loads(run(program, "--lab", NAME, *words).splitlines()[-1])
        assert (answer["verdict"], answer["active"]) == ("COMPLETED", ["drc"])
    finally:
        run(program, "lab", "down", "--name", NAME)
