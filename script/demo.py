"""The main job on the embedded lab, measured. Called by script/demo."""

from __future__ import annotations

import argparse
import json
import sys
import time

from lpse_dr import i18n
from lpse_dr.errors import LpseDrError
from lpse_dr.i18n import N_, _
from lpse_dr.lab import manage
from lpse_dr.lab.trial import Trial, measure

NAME = "demo"
ROWS = (
    ("requests", N_("requests of 8 vendors"), ""),
    ("failed", N_("of these failed"), ""),
    ("acknowledged", N_("bids with a receipt"), ""),
    ("lost", N_("of these lost"), ""),
    ("both_writable_milliseconds", N_("both sites writable"), "ms"),
    ("database_outage_seconds", N_("database closed for writes"), "s"),
    ("longest_wait_seconds", N_("longest wait of a vendor"), "s"),
    ("switchover_seconds", N_("the whole command"), "s"),
    ("verdict", N_("verdict"), ""),
)


def table(trial: Trial) -> str:
    """Return the figures as a table of 60 columns."""
    figures = trial.figures()
    lines = ["", "  " + _("planned switch-over {source} -> {target}, under load").format(source="pdc", target="drc")]
    lines.append("  " + "-" * 54)
    for key, words, unit in ROWS:
        value = figures[key]
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        lines.append(f"  {_(words):<32}{shown:>14} {unit}".rstrip())
    lines += ["  " + "-" * 54, ""]
    lines += [f"  ! {problem}" for problem in trial.audit.problems]
    return "\n".join(lines)


def main() -> int:
    """Build, load, switch, audit, show, take down. 0 only if nothing was lost and nobody saw an error."""
    parser = argparse.ArgumentParser(prog="script/demo")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    options = parser.parse_args()
    i18n.use(i18n.choose(None))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    try:
        manage.down(NAME, say)
        lab = manage.up(NAME, say)
        say(_("8 vendors submit bids; in 10 s the switch-over begins"))
        trial = measure(lab, "pdc", "drc", show_progress=True)
        print(table(trial), file=sys.stderr if options.output == "json" else sys.stdout)
        if options.output == "json":
            print(json.dumps(trial.figures()))
        return 0 if trial.ok else 1
    except LpseDrError as error:
        print(f"\nscript/demo: {error.message}\n{error.detail}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say(_("Interrupted."))
        return 130
    finally:
        if options.keep:
            words = f".venv/bin/lpse-dr --lab {NAME} status; .venv/bin/lpse-dr lab down --name {NAME}"
            say(_("next: {command}").format(command=words))
        else:
            manage.down(NAME, say)


if __name__ == "__main__":
    sys.exit(main())
