"""What guards look at and what they answer. A reading that is not there is never a good reading."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

# Used where the office gives no limit of its own. Seconds and bytes as the names say.
DEFAULT_LIMITS: Dict[str, float] = {
    "lag_bytes": 16 * 1024 * 1024,
    "lag_seconds": 30,
    "clock_skew_seconds": 1,
    "long_transaction_seconds": 30,
    "disk_free_bytes": 512 * 1024 * 1024,
    "files_sync_age_seconds": 600,
    "failover_age_seconds": 3600,
}
STATE_KEYS = ("operation", "epoch", "prepared", "fired", "halted")


class NoReading(Exception):  # noqa: N818 # it is no error of the program
    """A value that a guard needs was not read, is null, or is not what it should be."""

    def __init__(self, host: str, path: str) -> None:
        super().__init__("%s of %s" % (path, host))
        self.host = host
        self.path = path


class Outcome(NamedTuple):
    """What one check found: whether it passes, and the values for its sentences."""

    ok: bool
    data: Dict[str, Any]


class GuardResult(NamedTuple):
    """One guard's answer. The sentences are English; ``data`` lets the Python side say them in another language."""

    guard_id: str
    ok: bool
    host: str
    expected: str
    found: str
    todo: str
    data: Dict[str, Any]

    def as_dict(self) -> Dict[str, Any]:
        """Return the result as it travels in events."""
        return dict(self._asdict())


class Open(NamedTuple):
    """One thing that is left to do after the promotion."""

    open_id: str
    host: str
    found: str

    def as_dict(self) -> Dict[str, Any]:
        """Return the item as it travels in events."""
        return dict(self._asdict())


class Evaluation(NamedTuple):
    """Where a switch-over stands and what speaks against going on.

    ``open`` is filled in stage ``finish`` only. ``epoch`` is the newest committed number anywhere (0: none yet),
    ``epoch_target`` the one that ``to_site`` has or gets.
    """

    stage: str
    guards: List[GuardResult]
    open: List[Open]
    from_site: Optional[str]
    to_site: Optional[str]
    epoch: int
    epoch_site: Optional[str]
    epoch_target: int
    operation_number: int
    # What a failover would cost, as far as it is known; None where nothing is given up.
    loss: Optional[Dict[str, Any]] = None

    @property
    def refused(self) -> List[GuardResult]:
        """Return the guards that said no, root causes first."""
        return [guard for guard in self.guards if not guard.ok]


def parse_lsn(text: Any) -> int:
    """Return the position of a ``high/low`` hexadecimal LSN; ValueError where it is none."""
    high, low = str(text).split("/")
    return (int(high, 16) << 32) + int(low, 16)


class View:
    """The facts of one direction, read fail-closed: every accessor raises NoReading instead of guessing."""

    def __init__(self, facts: Dict[str, Any], from_site: str, to_site: str) -> None:
        self.facts = facts
        self.from_site = from_site
        self.to_site = to_site
        self.sites: Dict[str, Any] = facts["sites"]
        self.source: str = self.sites[from_site]["database"]
        self.target: str = self.sites[to_site]["database"]
        # Filled in by the decision about the stage; guards whose meaning depends on it look here.
        self.stage = "blocked"
        self.epoch_target = 0
        # What the office demands of the guard that is being asked: said also where the reading is missing.
        self.demanded: Dict[str, Any] = {}

    def hosts(self, group: str, site: Optional[str] = None) -> List[str]:
        """Return the hosts of a group, of one site or of both."""
        found: List[str] = []
        for name in [site] if site else [self.from_site, self.to_site]:
            members = self.sites[name][group]
            found += [members] if isinstance(members, str) else list(members or [])
        return found

    @property
    def all_hosts(self) -> List[str]:
        """Return every host of both sites."""
        return self.hosts("database") + self.hosts("application") + self.hosts("gateway")

    def site_of(self, host: str) -> str:
        """Return the site that the inventory puts the host in."""
        return (
            self.from_site
            if any(host in self.hosts(group, self.from_site) for group in ("database", "application", "gateway"))
            else self.to_site
        )

    def get(self, host: str, path: str) -> Any:
        """Return the value at a dotted path of the host's reading; null and missing raise."""
        value: Any = (self.facts.get("readings") or {}).get(host)
        for key in path.split("."):
            if not isinstance(value, dict) or value.get(key) is None:
                raise NoReading(host, path)
            value = value[key]
        return value

    def known(self, host: str, path: str) -> Any:
        """Return the value or None. Only for sentences: a guard never passes on what comes from here."""
        try:
            return self.get(host, path)
        except NoReading:
            return None

    def flag(self, host: str, path: str) -> bool:
        """Return a truth value that is one."""
        value = self.get(host, path)
        if not isinstance(value, bool):
            raise NoReading(host, path)
        return value

    def number(self, host: str, path: str) -> float:
        """Return a finite number of 0 or more; a number in quotes is one, a truth value is none."""
        return as_number(self.get(host, path), host, path)

    def text(self, host: str, path: str) -> str:
        """Return a text that is not empty; identifiers may arrive as numbers."""
        value = self.get(host, path)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            raise NoReading(host, path)
        return str(value)

    def lsn(self, host: str, path: str) -> int:
        """Return a position in the write-ahead log."""
        try:
            return parse_lsn(self.get(host, path))
        except ValueError:
            raise NoReading(host, path) from None

    def items(self, host: str, path: str) -> List[Dict[str, Any]]:
        """Return a list of objects."""
        value = self.get(host, path)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, dict) for item in value):
            raise NoReading(host, path)
        return list(value)

    def state(self, host: str, key: str) -> Optional[Dict[str, Any]]:
        """Return one part of the host's state file. Null is an answer there; a missing key is not."""
        state = self.get(host, "state")
        if not isinstance(state, dict) or key not in state or not isinstance(state[key], (dict, type(None))):
            raise NoReading(host, "state." + key)
        value: Optional[Dict[str, Any]] = state[key]
        return value

    def epoch(self, host: str, key: str = "epoch") -> Tuple[int, Optional[str]]:
        """Return (number, site) of the host's epoch, or of one it has prepared; (0, None) where there is none."""
        value = self.state(host, key)
        if value is None:
            return 0, None
        # In "fired" the number is the operation's; the epoch stands beside it.
        number = value.get("epoch" if key == "fired" else "number")
        if isinstance(number, bool) or not isinstance(number, int) or not isinstance(value.get("site"), str):
            raise NoReading(host, "state." + key)
        return number, value["site"]

    def newest_epoch(self) -> Tuple[int, Optional[str]]:
        """Return the newest committed epoch that any host is known to have. Hosts that cannot be read are refused elsewhere."""
        newest: Tuple[int, Optional[str]] = (0, None)
        for host in self.all_hosts:
            try:
                found = self.epoch(host)
            except NoReading:
                continue
            if found[0] > newest[0]:
                newest = found
        return newest

    def interrupted(self, host: str) -> bool:
        """Tell whether an operation on this host was begun and never closed."""
        operation = self.state(host, "operation")
        return operation is not None and operation.get("open") is True

    def limit(self, name: str) -> float:
        """Return a limit: the office's, else the default. One that is no number stops the guard."""
        limits = self.facts.get("limits") or {}
        found = as_number(limits.get(name, DEFAULT_LIMITS[name]), "office", "limits." + name)
        self.demanded["limit_" + name.rpartition("_")[2]] = found
        return found

    def slot_of(self, site: str, host: str) -> str:
        """Return the name of the slot that the standby of ``site`` uses."""
        prefix = self.known(host, "config.database_slot_prefix")
        return (prefix if isinstance(prefix, str) else "lpse_dr_") + site


def as_number(value: Any, host: str, path: str) -> float:
    """Return ``value`` as a finite number of 0 or more; NoReading where it is none."""
    try:
        number = float(value) if not isinstance(value, (bool, type(None))) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise NoReading(host, path)
    return int(number) if number == int(number) else number
