"""Check this evidence pack: python3 check_pack.py [FOLDER]. Needs Python 3 and nothing else."""

import hashlib
import json
import os
import sys


def check_files(folder: str) -> "list[str]":
    """Return what is wrong with the files beside SHA256SUMS."""
    wrong, named = [], set()
    with open(os.path.join(folder, "SHA256SUMS"), encoding="utf-8") as sums:
        for line in sums:
            wanted, _, name = line.rstrip("\n").partition("  ")
            named.add(name)
            try:
                with open(os.path.join(folder, name), "rb") as stream:
                    if hashlib.sha256(stream.read()).hexdigest() != wanted:
                        wrong.append(name + ": was changed")
            except OSError:
                wrong.append(name + ": is missing")
    for place, _folders, files in os.walk(folder):
        for name in (os.path.relpath(os.path.join(place, file), folder) for file in files):
            if name not in named and name != "SHA256SUMS":
                wrong.append(name + ": was added")
    return wrong


def check_chain(path: str) -> "tuple[int, str, int | None]":
    """Return (lines, head, the first line that does not fit or None)."""
    head, number = "0" * 64, 0
    with open(path, "rb") as stream:
        for raw in stream.read().split(b"\n")[:-1]:
            number += 1
            try:
                event = json.loads(raw)
                claimed = event.pop("hash")
                body = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                real = hashlib.sha256((head + body).encode()).hexdigest()
                good = claimed == real and event["prev"] == head and event["n"] == number
                event["hash"] = claimed
                again = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                if not good or again.encode() != raw:
                    return number - 1, head, number
            except (ValueError, KeyError, TypeError, AttributeError):
                return number - 1, head, number
            head = claimed
    return number, head, None


here = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
problems = check_files(here)
lines, head, bad = check_chain(os.path.join(here, "journal.jsonl"))
if bad:
    problems.append("journal.jsonl: line %d does not fit" % bad)
print("\n".join(problems) or "every file is as exported")
print("journal: %d good lines, head %s" % (lines, head))
sys.exit(1 if problems else 0)
