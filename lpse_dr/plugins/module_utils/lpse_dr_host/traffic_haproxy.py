"""HAProxy as the gateway: the choice in its map file and in its memory, and who is being served now."""

from __future__ import annotations

import os
import re
import socket
import stat
from typing import Any, Dict, List, Optional

from .base import Context, VerbError, write_atomic

# In this order they are handed to the running process: the state last, so that whoever reads the new
# state also reads what belongs to it.
KEYS = ("target", "epoch", "prepared", "prepared_epoch", "hold_until", "pace", "pace_until", "operation", "state")
STATES = ("open", "hold", "maintenance")
VALUE = re.compile(r"[A-Za-z0-9_.:-]+")
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class Gateway:
    """The HAProxy of this host: ``file`` is what it reads at its start, the socket is how it is told meanwhile."""

    def __init__(self, ctx: Context) -> None:
        self.map: str = ctx.config["traffic_map"]
        self.socket: str = ctx.config["traffic_socket"]
        self.sites: List[str] = sorted(ctx.config["traffic_sites"])
        self.server: str = ctx.config.get("traffic_server") or "app"

    def read_file(self) -> Dict[str, str]:
        """Return the choice as kept in the file. VerbError ``traffic.map_unreadable``."""
        try:
            with open(self.map, encoding="utf-8") as stream:
                return parse_map(stream.read())
        except (OSError, ValueError) as error:
            raise VerbError(
                "traffic.map_unreadable", "%s to be readable" % self.map, str(error), "lpse-dr traffic status"
            ) from error

    def write_file(self, choice: Dict[str, str]) -> None:
        """Keep the choice, durably, so that a restart of HAProxy or of the gateway comes up with it."""
        for key, value in choice.items():
            if not VALUE.fullmatch(value):
                raise VerbError("traffic.map_value", "a plain word for %s" % key, repr(value))
        mode = 0o644
        if os.path.exists(self.map):
            mode = stat.S_IMODE(os.stat(self.map).st_mode)
        ordered = {key: choice[key] for key in ("state", *KEYS, *sorted(choice)) if key in choice}
        write_atomic(self.map, "".join("%s %s\n" % pair for pair in ordered.items()), mode)

    def ask(self, commands: List[str], seconds: float = 2.0) -> str:
        """Send commands over the runtime socket, performed at once and in order; return what HAProxy printed."""
        text = ";".join(commands) + "\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(max(0.05, seconds))
                channel.connect(self.socket)
                channel.sendall(text.encode("utf-8"))
                pieces: List[bytes] = []
                while True:
                    piece = channel.recv(1 << 16)
                    if not piece:
                        return b"".join(pieces).decode("utf-8", "replace")
                    pieces.append(piece)
        except OSError as error:
            raise VerbError(
                "traffic.not_running",
                "HAProxy to answer on %s" % self.socket,
                str(error) or repr(error),
                "systemctl start haproxy",
            ) from error

    def tell(self, choice: Dict[str, str], seconds: float) -> None:
        """Hand the choice to the running process and read it back. VerbError ``traffic.not_taken``."""
        known = self.read_memory(seconds)
        commands = []
        for key in KEYS:
            if key in choice:
                verb = "set" if key in known else "add"
                commands.append("%s map %s %s %s" % (verb, self.map, key, choice[key]))
        printed = self.ask(commands, seconds).strip()
        found = self.read_memory(seconds)
        if any(found.get(key) != choice[key] for key in KEYS if key in choice):
            raise VerbError("traffic.not_taken", "HAProxy to take %s" % choice, printed or str(found))

    def read_memory(self, seconds: float) -> Dict[str, str]:
        """Return the choice that the running process goes by."""
        printed = self.ask(["show map %s" % self.map], seconds)
        choice = {}
        for line in printed.splitlines():
            parts = line.split()
            if len(parts) == 3 and parts[0].startswith("0x"):
                choice[parts[1]] = parts[2]
        if not choice:
            words = printed.strip().splitlines()
            raise VerbError(
                "traffic.map_unknown",
                "HAProxy to know %s" % self.map,
                words[0] if words else "an empty map",
                "install the gateway's configuration",
            )
        return choice

    def servers(self, seconds: float = 2.0) -> Dict[str, Optional[str]]:
        """Return {site: UP | DOWN | None where HAProxy has no such server}."""
        found: Dict[str, Optional[str]] = dict.fromkeys(self.sites)
        lines = self.ask(["show stat -1 4 -1"], seconds).splitlines()
        names = lines[0].lstrip("# ").split(",") if lines else []
        for line in lines[1:]:
            row = dict(zip(names, line.split(",")))
            if row.get("pxname") in found and row.get("svname") == self.server:
                found[row["pxname"]] = "UP" if row.get("status", "").startswith("UP") else "DOWN"
        return found

    def in_flight(self, seconds: float = 2.0) -> List[Dict[str, Any]]:
        """Return the requests that are with a site's server now: {client, age_seconds, server}.

        One that is held, or still being received by the gateway, has no server yet and is not listed.
        """
        return [
            session for session in parse_sessions(self.ask(["show sess"], seconds)) if session["server"] in self.sites
        ]

    def cut(self, site: str, seconds: float) -> None:
        """End every session with a site's server."""
        printed = self.ask(["shutdown sessions server %s/%s" % (site, self.server)], seconds).strip()
        if printed:
            raise VerbError("traffic.not_cut", "the sessions with %s to end" % site, printed)

    def believe_up(self, site: str, seconds: float) -> None:
        """Take a site's server for healthy at once instead of at the next check; a check that fails takes it back."""
        self.ask(["set server %s/%s health up" % (site, self.server)], seconds)


def parse_map(text: str) -> Dict[str, str]:
    """Read lines of ``key value``. ValueError where the state or the target is missing or unknown."""
    choice = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            key, _, value = line.strip().partition(" ")
            choice[key] = value.strip()
    if choice.get("state") not in STATES:
        raise ValueError("no known state: %r" % choice.get("state"))
    if not choice.get("target"):
        raise ValueError("no target")
    return choice


def parse_sessions(text: str) -> List[Dict[str, Any]]:
    """Read ``show sess``: one line a session, of words ``key=value``."""
    found = []
    for line in text.splitlines():
        if not line.startswith("0x"):
            continue
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if words.get("srv", "<none>") == "<none>" or words.get("be", "<NONE>").upper() == "<NONE>":
            continue
        client = words.get("src", "")
        found.append(
            {
                "client": client.rpartition(":")[0] or client,
                "age_seconds": parse_age(words.get("age", "")),
                "server": words["be"],
            }
        )
    return found


def parse_age(text: str) -> Optional[int]:
    """Read HAProxy's short time: ``1m5s`` is 65; None for what it is not."""
    if not re.fullmatch(r"(\d+[dhms])+", text):
        return None
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))
