"""The guard of an application: stops it when it was started under an epoch that is over."""

from __future__ import annotations

import datetime
import time
from typing import Any, Callable, Dict, Optional

from . import application
from . import fence_rules as rules
from .base import Context, VerbError, read_state, run


def outlived(site: str, state: Dict[str, Any], began: Optional[float]) -> bool:
    """Tell whether an application that runs since ``began`` (unix time; None: unknown) was started for an epoch that is over.

    One that was started under another site's epoch stands by there because somebody wanted it so.
    """
    owner = rules.epoch_of(state)[1]
    if owner in (None, site):
        return False
    held = state["epoch"]
    if began is None:
        return bool(held.get("learned"))
    return began < unix_time(held.get("at"))


def unix_time(at: Any) -> float:
    """Return the moment that a state file names, 0 where it names none."""
    if isinstance(at, (int, float)):
        return float(at)
    try:
        moment = datetime.datetime.strptime(str(at), "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


class ApplicationGuard:
    """Looks at the epoch of this host, and at the application where that epoch is another site's."""

    def __init__(self, settings: Dict[str, Any], say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._epoch = -1
        self.phase = "looking"
        self.why = ""

    def tick(self) -> None:
        """Look once at each new epoch, and stop an application that belongs to an older one."""
        state = read_state()
        number, owner = rules.epoch_of(state)
        if rules.busy(state, time.time()) or number == self._epoch:
            return
        given = self._settings
        ctx = Context(given["host"], given["site"], given["config"], None, 20.0)
        self.phase, self.why = (
            ("open", "")
            if owner in (None, given["site"])
            else ("standby", "epoch %d belongs to %s" % (number, owner))
        )
        if (
            owner not in (None, given["site"])
            and application.is_running(ctx)
            and outlived(given["site"], state, started_at(ctx))
        ):
            self._say("the application is stopped: epoch %d belongs to %s" % (number, owner))
            application.stop(ctx, {})
            self.phase = "stopped"
        self._epoch = number


def started_at(ctx: Context) -> Optional[float]:
    """Return since when the unit is active, by this host's clock; None where no unit runs it or systemd does not say."""
    if ctx.config.get("application_stop_command"):
        return None
    words = ["systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic", ctx.config["application_unit"]]
    try:
        since = int(run(words, 3.0).stdout.strip() or 0) / 1e6
    except (VerbError, ValueError):
        return None
    return time.time() - (time.monotonic() - since) if since else None
