"""Run schedules one after another, keep a record, sum up."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from lpse_dr.lab import manage
from lpse_dr.lab.model import Lab

from ..e2e import reality
from .run import Outcome, Run
from .schedule import plan

NAME = "chaos"


def say(text: str) -> None:
    """Tell a person; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def seeds(arguments: argparse.Namespace, done: list[dict[str, Any]]) -> list[int]:
    """Return the seeds to run: those asked for, or fresh ones that the record does not hold."""
    if arguments.seed is not None:
        return [arguments.seed + index for index in range(arguments.runs)]
    known = {int(item["seed"]) for item in done}
    fresh: list[int] = []
    while len(fresh) < arguments.runs:
        seed = random.SystemRandom().randrange(1_000_000)
        if seed not in known:
            known.add(seed)
            fresh.append(seed)
    return fresh


def whole(lab: Lab) -> bool:
    """Tell whether the next run can begin on this lab."""
    writable = reality.writable_sites(lab)
    return len(writable) == 1 and not reality.leftovers(lab, writable[0])


def summary(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of all runs of a record."""
    planned = [item for item in outcomes if item["what"].startswith("switchover")]
    return {
        "runs": len(outcomes),
        "lost": sum(item["lost"] for item in planned),
        "both_writable_milliseconds": max((item["both_writable_milliseconds"] for item in outcomes), default=0.0),
        "not_converged": sum(not item["converged"] for item in outcomes),
        "wrong_verdicts": sum(any(text.startswith("verdict") for text in item["wrong"]) for item in outcomes),
        "leftovers": sum(any("left behind" in text for text in item["wrong"]) for item in outcomes),
        "unknown": sum("UNKNOWN" in item["verdicts"] for item in outcomes),
        "seeds_failed": [item["seed"] for item in outcomes if item["wrong"]],
    }


def show(outcome: Outcome) -> None:
    """Say how a run ended; a wrong one with its seed and its timeline."""
    state = "WRONG" if outcome.wrong else "ok"
    say(f"seed {outcome.seed}: {state}, {outcome.seconds:.0f} s, {' '.join(outcome.verdicts)}; {outcome.what}")
    if outcome.wrong:
        for line in outcome.timeline:
            say(f"    {line}")


def main() -> int:
    """Exit code 1: at least one run of the record was wrong."""
    parser = argparse.ArgumentParser(prog="script/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; without it fresh ones")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="a record of runs, one JSON line each; these are added to it")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    done: list[dict[str, Any]] = []
    if arguments.resume and arguments.resume.exists():
        done = [json.loads(line) for line in arguments.resume.read_text().splitlines() if line]
    lab: Lab | None = None
    try:
        for seed in seeds(arguments, done):
            if lab is None or not whole(lab):
                say("a new lab")
                manage.down(NAME, lambda line: None)
                lab = manage.up(NAME, lambda line: None)
                time.sleep(5)
            schedule = plan(seed)
            say(f"seed {seed}: {schedule.describe()}")
            outcome = Run(lab, schedule).do()
            show(outcome)
            done.append(outcome.as_dict())
            if arguments.resume:
                with arguments.resume.open("a") as stream:
                    stream.write(json.dumps(done[-1]) + "\n")
    finally:
        manage.down(NAME, lambda line: None)
    figures = summary(done)
    print(json.dumps(figures) if arguments.output == "json" else json.dumps(figures, indent=1))
    return 1 if figures["seeds_failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
