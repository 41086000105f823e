"""The guard of a database: opens it when it may, fences it again, stops it when another site has become the active one."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Dict, Optional, Tuple

from . import base, database_power, fence_record
from . import fence_rules as rules
from .base import Context, VerbError, read_state, state_for_update, sync_folder
from .database_cluster import Cluster
from .fence_opening import Epoch, Opening, control_state, promoted, read_control

# A server that does not say what it is within this time is taken for a writable one.
SILENT_SECONDS = 15.0
# A start that has brought no process for so long has failed.
START_SECONDS = 20.0
BACKOFF_SECONDS = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0)
# So long before a grant ends an opening that has not come is called off.
MARGIN_SECONDS = 3.0


class DatabaseGuard:
    """Looks at the database of this host twice a second and does what ``rules.next_act`` says."""

    def __init__(
        self, settings: Dict[str, Any], permission: Callable[[], rules.Verdict], say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._permission = permission
        self._say = say
        self._lock = threading.RLock()
        self._seen: Tuple[Optional[int], str] = (None, "")
        self._told: Optional[bool] = None
        self._seen_at = 0.0
        self._opening: Optional[Opening] = None
        self._tries = 0
        self._crashes = 0
        self._mine = False
        self._next_try = 0.0
        self.ran = os.path.exists(fence_record.RUN_FOLDER + "/ran")
        self.phase = "looking"
        self.why = ""
        self.facts = rules.Facts(False, False, "", False, None)
        self._acts: Dict[str, Callable[[Dict[str, Any]], None]] = {
            "none": self._act_none, "look": self._act_look, "keep": self._act_keep, "fence": self._act_fence,
            "stop": self._act_stop, "start": self._act_start, "open": self._act_open,
        }  # fmt: skip
        self._folder()

    def _folder(self) -> None:
        """What was taken away before the power went was meant for a start that will never be: fenced before any other start."""
        os.makedirs(fence_record.RUN_FOLDER, mode=0o755, exist_ok=True)
        mark = fence_record.RUN_FOLDER + "/boot"
        if not os.path.exists(mark):
            cluster = Cluster(self.context())
            if os.path.exists(os.path.join(cluster.data, "PG_VERSION")) and cluster.pid() is None:
                database_power.fence(self.context(), {})
            open(mark, "w").close()

    def context(self, seconds: float = 30.0) -> Context:
        """Return a context of no operation: the guard acts for the host."""
        given = self._settings
        return Context(given["host"], given["site"], given["config"], None, seconds)

    def look(self) -> rules.Facts:
        """Read the database; a running server is asked once what it is, and again when it was restarted."""
        cluster = Cluster(self.context(3.0))
        if not os.path.exists(os.path.join(cluster.data, "PG_VERSION")):
            return rules.Facts(False, False, "", False, None)
        pid, state = cluster.pid(), control_state(cluster.data)
        if (pid, state) != self._seen:
            self._seen, self._told, self._seen_at = (pid, state), None, time.monotonic()
        writable: Optional[bool] = False
        if pid is not None:
            # What the file says may be its predecessor's word until recovery begins: only the server itself knows.
            if self._told is None and state in ("in production", "in archive recovery"):
                self._told = self._ask(cluster)
                if self._told is None and time.monotonic() - self._seen_at > SILENT_SECONDS:
                    self._told = state == "in production"
            writable = self._told
            if not self.ran:
                open(fence_record.RUN_FOLDER + "/ran", "w").close()
                self.ran = True
        signal = os.path.exists(cluster.standby_signal())
        return rules.Facts(True, pid is not None, state, signal, writable, promoted(cluster.data, read_state()))

    def _ask(self, cluster: Cluster) -> Optional[bool]:
        """Return whether the server takes writes, by its own word; None while it gives none."""
        try:
            return {"f": True, "t": False}.get(cluster.ask("SELECT pg_is_in_recovery()", 1.0))
        except VerbError:
            return None

    def standing(self, state: Dict[str, Any]) -> Tuple[Epoch, bool]:
        """Return the epoch in whose name this database may be opened, and whether it was seen to take writes in it."""
        site, done = self._settings["site"], promoted(Cluster(self.context()).data, state)
        return rules.standing(state, site, done), rules.held(state, site, done)

    def opening_until(self) -> Optional[float]:
        """Return until when (unix time) a permitted opening may still come, None where none is under way."""
        opening = self._opening
        return None if opening is None else time.time() + opening.ends - time.monotonic()

    def tick(self) -> None:
        """Look, and act."""
        with self._lock:
            self.facts = self.look()
            state = read_state()
            if self._opening is not None:
                self._watch(self._opening, state)
                return
            self._mine = self._mine and not self.facts.running
            act = rules.next_act(self._settings["site"], state, self.facts, time.time(), self.ran, self._mine)
            self._acts[act](state)

    def _act_none(self, state: Dict[str, Any]) -> None:
        self._tries = 0
        owner = rules.epoch_of(state)[1]
        self.phase = "absent" if not self.facts.present else "stopped" if not self.facts.running else "standby"
        self.why = "" if owner in (None, self._settings["site"]) else "epoch %d belongs to %s" % rules.epoch_of(state)

    def _act_look(self, _state: Dict[str, Any]) -> None:
        self.phase, self.why = "starting", self.facts.control

    def _act_keep(self, state: Dict[str, Any]) -> None:
        """Permitted to write, and fenced against the next start."""
        database_power.fence(self.context(), {})
        epoch, seen = self.standing(state)
        if epoch[1] == self._settings["site"] and not seen:
            fence_record.hold(*epoch)
        if rules.lift_holds(state, time.time()):
            fence_record.use_lift()
            self._say("the lift of %s was used" % (state.get("lift") or {}).get("by"))
        self._tries = self._crashes = 0
        self.phase, self.why = "open", ""

    def _act_fence(self, _state: Dict[str, Any]) -> None:
        database_power.fence(self.context(), {})
        self._say("standby.signal was missing and no run is at work: put back")

    def _act_stop(self, state: Dict[str, Any]) -> None:
        self.stop("epoch %d belongs to %s" % rules.epoch_of(state))

    def stop(self, why: str) -> None:
        """Stop the server at once, fenced: fast, and where that takes longer than 5 s, without a checkpoint."""
        with self._lock:
            database_power.fence(self.context(), {})
            self._say("the database is stopped: " + why)
            try:
                database_power.stop(self.context(5.0), {})
            except VerbError:
                self._kill()
            self.phase, self.why = "stopped", why

    def _kill(self) -> None:
        cluster = Cluster(self.context())
        argv = [cluster.program("pg_ctl"), "-D", cluster.data, "-s", "-w", "-t", "10", "-m", "immediate", "stop"]
        base.run(cluster.as_user(argv), 15.0, check=False, env={"LC_ALL": "C"})

    def _act_start(self, _state: Dict[str, Any]) -> None:
        """It died, nobody stopped it. It comes up fenced, whatever comes next."""
        if time.monotonic() < self._next_try:
            return
        wait = BACKOFF_SECONDS[min(self._crashes, len(BACKOFF_SECONDS) - 1)] * 4
        self._crashes, self._next_try = self._crashes + 1, time.monotonic() + wait
        self._say("the server %s (%s); starting it" % ("was stopped" if self._mine else "died", self.facts.control))
        self.start()

    def start(self) -> None:
        """Let systemd start the server; what it comes up as is decided by ``before_start`` and the signal."""
        cluster = Cluster(self.context())
        database_power.launch(self.context(15.0), cluster, database_power.log_size(cluster))

    def _act_open(self, state: Dict[str, Any]) -> None:
        """It runs read-only and is the active site's: ask, again and again; permitted, start it once without the signal."""
        if self._tries > 1 and rules.lift_holds(state, time.time()):
            self._tries, self._next_try = 1, min(self._next_try, time.monotonic() + BACKOFF_SECONDS[0])
        if time.monotonic() < self._next_try:
            return
        if not self._permitted(state):
            return
        try:
            self._mine = True
            database_power.stop(self.context(20.0), {})
            if self._unfence():
                self.start()
        except VerbError as error:
            self._call_off("it did not stop or start: %s" % error.found)

    def _permitted(self, state: Dict[str, Any]) -> bool:
        """Ask for permission; begin an opening where it is given, else note why not and when to ask again."""
        asked = time.monotonic()
        verdict = self._permission()
        if rules.busy(read_state(), time.time()):
            verdict = rules.Verdict(rules.WAIT, "a run is at work here")
        if verdict.verdict == rules.PERMIT:
            seconds = float(self._settings["grant_seconds"])
            self._opening = Opening(self.standing(state)[0], verdict.why, asked + seconds)
            self._tries = 0
            self.phase, self.why = "opening", verdict.why
            return True
        self._next_try = time.monotonic() + BACKOFF_SECONDS[min(self._tries, len(BACKOFF_SECONDS) - 1)]
        self._tries += 1
        self.phase, self.why = "read-only", verdict.why
        return False

    def _unfence(self) -> bool:
        """Take the signal away for the start that comes now, unless a run has claimed this host meanwhile.

        Under the lock under which runs claim: whoever claims later finds a server that starts, and stops it first.
        """
        cluster = Cluster(self.context())
        with state_for_update() as state:
            opening = self._opening
            if (
                opening is not None
                and not rules.busy(state, time.time())
                and self.standing(state)[0] == opening.epoch
            ):
                if os.path.exists(cluster.standby_signal()):
                    os.unlink(cluster.standby_signal())
                    sync_folder(cluster.data)
                return True
        self._call_off("a run has begun")
        return False

    def before_start(self) -> str:
        """Answer a unit that is about to start the server: what it will come up as. Called beside ``tick``."""
        with self._lock:
            state = read_state()
            if not os.path.exists(os.path.join(Cluster(self.context()).data, "PG_VERSION")):
                return "as a new cluster"
            data = Cluster(self.context()).data
            if self._opening is not None and self._opening.spent(data):
                self._opened(state)
            if self._opening is not None:
                self._opening.control = read_control(data)
                return "writable: " + self._opening.via if self._unfence() else "read-only: " + self.why
            if rules.busy(state, time.time()):
                return "as the run %s has arranged it" % (state["operation"] or {}).get("run")
            database_power.fence(self.context(), {})
            epoch = self.standing(state)[0]
            if epoch[1] != self._settings["site"]:
                return "read-only: epoch %d belongs to %s" % epoch
            if self._permitted(state) and self._opening is not None and self._unfence():
                self._opening.control = read_control(data)
                return "writable: " + self.why
            return "read-only: " + self.why

    def _watch(self, opening: Opening, state: Dict[str, Any]) -> None:
        """Follow a start for writing to its end; a permission that ends before it is renewed, or the start called off."""
        epoch = self.standing(state)[0]
        if epoch[1] != self._settings["site"]:
            self._call_off("epoch %d belongs to %s" % epoch)
        elif (self.facts.running and self.facts.writable) or opening.spent(Cluster(self.context()).data):
            self._opened(state)
        elif self.facts.running and self.facts.writable is False:
            # It was started before the permission came, and has read the signal.
            self._opening = None
            database_power.fence(self.context(), {})
        elif not self.facts.running and time.monotonic() - opening.began > START_SECONDS:
            self._call_off("no server came")
        elif time.monotonic() > opening.ends - MARGIN_SECONDS:
            asked = time.monotonic()
            verdict = self._permission()
            if verdict.verdict == rules.PERMIT:
                opening.ends = asked + float(self._settings["grant_seconds"])
            else:
                self._call_off("the permission ended before the database was open; " + verdict.why)

    def _opened(self, state: Dict[str, Any]) -> None:
        """The permission is used, the next start needs another."""
        if self._opening is not None:
            self._say("open for writing (%s)" % self._opening.via)
        self._opening = None
        self._act_keep(state)

    def _call_off(self, why: str) -> None:
        self._opening = None
        self._say("the opening was called off: " + why)
        if Cluster(self.context()).pid() is not None:
            self._kill()
        database_power.fence(self.context(), {})
        self.phase, self.why = "read-only", why
        self._next_try = time.monotonic() + BACKOFF_SECONDS[2]
