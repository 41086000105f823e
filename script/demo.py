"""The main job on the embedded lab, measured. Called by script/demo."""

from __future__ import annotations

import argparse
import json
import sys
import time

from lpse_dr.errors import LpseDrError
from lpse_dr.lab import manage
from lpse_dr.lab.trial import Trial, measure

NAME = "demo"
ROWS = (
    ("requests", "requests of 8 vendors", ""),
    ("failed", "of these failed", ""),
    ("acknowledged", "bids with a receipt", ""),
    ("lost", "of these lost", ""),
    ("both_writable_milliseconds", "both sites writable", "ms"),
    ("database_outage_seconds", "database closed for writes", "s"),
    ("longest_wait_seconds", "longest wait of a vendor", "s"),
    ("switchover_seconds", "the whole command", "s"),
    ("verdict", "verdict", ""),
)


def table(trial: Trial) -> str:
    """Return the figures as a table of 60 columns."""
    figures = trial.figures()
    lines = ["", "  planned switch-over pdc -> drc, under load", "  " + "-" * 54]
    for key, words, unit in ROWS:
        value = figures[key]
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        lines.append(f"  {words:<32}{shown:>14} {unit}".rstrip())
    lines += ["  " + "-" * 54, ""]
    lines += [f"  ! {problem}" for problem in trial.audit.problems]
    return "\n".join(lines)


def main() -> int:
    """Build, load, switch, audit, show, take down. 0 only if nothing was lost and nobody saw an error."""
    parser = argparse.ArgumentParser(prog="script/demo")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    options = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        manage.down(NAME, say)
        lab = manage.up(NAME, say)
        say("8 vendors submit bids; in 10 s the switch-over begins")
        trial = measure(lab, "pdc", "drc", show_progress=True)
        print(table(trial), file=sys.stderr if options.output == "json" else sys.stdout)
        if options.output == "json":
            print(json.dumps(trial.figures()))
        return 0 if trial.ok else 1
    except LpseDrError as error:
        print(f"\nscript/demo: {error.message}\n{error.detail}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if options.keep:
            say(
                f"the lab stays up: .venv/bin/lpse-dr --lab {NAME} status; remove it: .venv/bin/lpse-dr lab down --name {NAME}"
            )
        else:
            manage.down(NAME, say)


if __name__ == "__main__":
    sys.exit(main())
