"""One turn of the periodic pull: say who this site is, pull where that is this site's part, tidy what was kept."""

from __future__ import annotations

import json
import sys
from typing import Any, Dict

from . import files_place
from .base import Context, VerbError
from .files_stream import Stream
from .files_sync import assert_not_halted, pull_everything

CONFIGURATION = "/etc/lpse-dr/files.json"
# Reasons for which a turn has nothing to do here: this is the active site, or a person or another pull is at it.
NOT_MY_PART = ("files.not_standby", "files.halted", "files.busy", "replication.halted")
# A pull ends by itself when rsync stalls; this bounds what keeps moving.
LONGEST_SECONDS = 6 * 3600.0


def turn(ctx: Context) -> Dict[str, Any]:
    """Do one turn; return what was done. VerbError: it could not be done, and is recorded for ``files.status``."""
    done: Dict[str, Any] = {"published": files_place.publish(ctx), "pulled": None, "skipped": None}
    try:
        files_place.assert_standby(ctx)
        assert_not_halted(ctx)
        stream = Stream(ctx)
        try:
            done["pulled"] = pull_everything(ctx, stream, wait=False)
        finally:
            stream.close()
    except VerbError as error:
        if error.id not in NOT_MY_PART:
            raise
        done["skipped"] = "%s: %s" % (error.id, error.found)
    done["purged"] = files_place.purge(ctx)
    return done


def main() -> int:
    """Read the host's configuration, do one turn. Exit code 1: it failed, the reason is on standard error."""
    try:
        with open(CONFIGURATION, encoding="utf-8") as stream:
            given = json.load(stream)
        ctx = Context(given["host"], given["site"], given["config"], None, LONGEST_SECONDS)
        done = turn(ctx)
    except VerbError as error:
        sys.stderr.write("%s\n" % error)
        return 1
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write("%s cannot be used: %r\n" % (CONFIGURATION, error))
        return 1
    pulled = done["pulled"]
    if pulled and (pulled["files"] or pulled["conflicts"]):
        sys.stderr.write(
            "%d documents, %d bytes, %d conflicts\n" % (pulled["files"], pulled["bytes"], len(pulled["conflicts"]))
        )
    return 0
