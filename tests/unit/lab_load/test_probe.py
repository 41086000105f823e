"""The write probe as a process of its own, against a fake database that changes under it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

from lpse_dr.lab.overlap import MILLISECOND, Sample, parse

from .programs import IMAGE, fake_environment


def run_probe(folder: Path, words: list[str], seconds: float = 0.3) -> list[Sample]:
    """Run the probe while the database behaves as each word says, for `seconds` each."""
    environment = fake_environment(folder, words[0])
    out, pidfile = folder / "probe.jsonl", folder / "probe.pid"
    command = [sys.executable, str(IMAGE / "probe.py"), "--site", "pdc", "--out", str(out), "--pidfile", str(pidfile)]
    with subprocess.Popen(command, env=environment) as process:
        while not pidfile.exists() and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None
        assert int(pidfile.read_text()) == process.pid
        for word in words:
            fresh = folder / "database.new"
            fresh.write_text(word)
            fresh.replace(folder / "database")
            time.sleep(seconds)
        process.terminate()
        assert process.wait(5) == 0
    assert not pidfile.exists()
    site, samples = parse(out.read_text())
    assert site == "pdc"
    return samples


def outcomes(samples: list[Sample]) -> list[str]:
    """Return the outcomes in their order, repeats left out."""
    found: list[str] = []
    for sample in samples:
        if found[-1:] != [sample.outcome]:
            found.append(sample.outcome)
    return found


def test_a_stop_and_a_start_as_standby(tmp_path: Path) -> None:
    samples = run_probe(tmp_path, ["primary", "dead", "starting", "standby"])
    # The connection that was open when the server went away broke in the middle: no evidence.
    assert outcomes(samples) == ["ok", "error", "refused", "readonly"]


def test_a_promotion_under_an_open_connection(tmp_path: Path) -> None:
    assert outcomes(run_probe(tmp_path, ["standby", "primary"])) == ["readonly", "ok"]


def test_the_cadence_is_ten_milliseconds_also_when_refused(tmp_path: Path) -> None:
    samples = run_probe(tmp_path, ["primary", "dead"], seconds=0.5)
    steps = sorted(b.start - a.start for a, b in itertools.pairwise(samples))
    assert 9 * MILLISECOND < steps[len(steps) // 2] < 15 * MILLISECOND


def test_the_offset_between_the_clocks_is_recorded(tmp_path: Path) -> None:
    samples = run_probe(tmp_path, ["primary"], seconds=0.1)
    now = time.time_ns() - time.monotonic_ns()
    assert all(abs(sample.offset - now) < 1000 * MILLISECOND for sample in samples)
