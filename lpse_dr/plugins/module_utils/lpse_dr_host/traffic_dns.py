"""The service's name: what its authoritative server answers, and changing it by a signed update."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any, Dict, List, Optional, Tuple

from .base import Context, VerbError, run

WORD = re.compile(r"[A-Za-z0-9._:-]+")
# nsupdate's own words for what a server answered.
REFUSALS = re.compile(r"update failed: (\w+)|(BADKEY|BADSIG|BADTIME|tsig verify failure[^\n]*)|(timed out)", re.I)


class Name:
    """The record that leads users to a gateway, at the server that takes its updates."""

    def __init__(self, ctx: Context) -> None:
        config = ctx.config
        self.server: str = config["traffic_dns_server"]
        self.zone: str = config["traffic_dns_zone"].rstrip(".") + "."
        name: str = config["traffic_dns_name"].rstrip(".")
        inside = (name + ".").endswith("." + self.zone)
        self.name = name + "." if inside else "%s.%s" % (name, self.zone)
        self.ttl = int(config.get("traffic_dns_ttl") or 5)
        self.addresses: Dict[str, str] = config["traffic_dns_addresses"]
        self._key_name: str = config.get("traffic_dns_key_name") or "lpse-dr"
        self._key_secret: str = config.get("traffic_dns_key_secret") or ""
        self._key_file: str = config.get("traffic_dns_key_file") or "/etc/lpse-dr/tsig.key"
        for word in (self.server, self.zone, self.name, self._key_name, *self.addresses.values()):
            if not WORD.fullmatch(word):
                raise VerbError("dns.configuration", "plain names and addresses", repr(word), "mend the inventory")

    def site_of(self, addresses: List[str]) -> Optional[str]:
        """Return the site whose address the name has; None unless it has exactly one and that one is known."""
        sites = [site for site, address in self.addresses.items() if [address] == addresses]
        return sites[0] if len(sites) == 1 else None

    def read(self, seconds: float) -> Dict[str, Any]:
        """Ask the authoritative server itself; {server, zone, name, address, addresses, ttl, site, error}."""
        reading: Dict[str, Any] = {
            "server": self.server,
            "zone": self.zone.rstrip("."),
            "name": self.name.rstrip("."),
            "address": None,
            "addresses": [],
            "ttl": None,
            "site": None,
            "error": None,
        }
        try:
            found = query_address(self.server, self.name, seconds)
        except (VerbError, ValueError) as error:
            reading["error"] = "no answer: %s" % (error.found if isinstance(error, VerbError) else error)
            return reading
        addresses = sorted(address for address, _ in found)
        reading["addresses"] = addresses
        if found:
            reading.update(address=addresses[0], ttl=max(ttl for _, ttl in found), site=self.site_of(addresses))
        else:
            reading["error"] = "no address"
        return reading

    def update(self, address: str, now: Dict[str, Any], seconds: float) -> None:
        """Give the name one address, if it still has the addresses of ``now``. VerbError says why it did not.

        The prerequisite makes the update refuse itself where somebody else has changed the name meanwhile.
        """
        kind = _kind(address)
        changes = ["update delete %s IN %s" % (self.name, kind)]
        changes.append("update add %s %d IN %s %s" % (self.name, self.ttl, kind, address))
        self._send(now, changes, seconds)

    def update_nothing(self, now: Dict[str, Any], seconds: float) -> None:
        """Add what is there already: whoever may change the name may do this, and it changes nothing."""
        address = now["addresses"][0]
        self._send(now, ["update add %s %d IN %s %s" % (self.name, now["ttl"], _kind(address), address)], seconds)

    def _send(self, now: Dict[str, Any], changes: List[str], seconds: float) -> None:
        lines = ["server %s" % self.server, "zone %s" % self.zone]
        argv = ["nsupdate", "-t", str(max(1, int(seconds))), "-r", "0"]
        if self._key_secret:
            # On standard input, never among the words that every user of the host can list.
            lines.append("key hmac-sha256:%s %s" % (self._key_name, self._key_secret))
        elif os.path.exists(self._key_file):
            argv += ["-k", self._key_file]
        else:
            raise VerbError("dns.no_key", "a key for updates", "neither a secret nor %s" % self._key_file)
        for known in now["addresses"]:
            lines.append("prereq yxrrset %s IN %s %s" % (self.name, _kind(known), known))
        if not now["addresses"]:
            lines.append("prereq nxrrset %s IN A" % self.name)
        done = run(argv, seconds + 1.0, stdin="\n".join([*lines, *changes, "send", ""]), check=False)
        words = (done.stderr + done.stdout).strip()
        match = REFUSALS.search(words)
        if done.returncode == 0 and match is None:
            return
        said = words.replace(self._key_secret, "(key)") if self._key_secret else words
        found = next((part for part in match.groups() if part), "") if match else ""
        raise VerbError(
            "dns.update_refused",
            "%s to take an update of %s" % (self.server, self.name),
            found or (said.splitlines()[-1] if said else "exit %d" % done.returncode),
            "check key, zone and the server's access rules",
        )


def _kind(address: str) -> str:
    return "AAAA" if ipaddress.ip_address(address).version == 6 else "A"


def query_address(server: str, name: str, seconds: float) -> List[Tuple[str, int]]:
    """Ask ``server`` for the A records of ``name`` without recursion; return [(address, ttl)].

    VerbError: no answer. ValueError: an answer that is no authoritative yes or no.
    """
    tries = max(1, int(seconds))
    argv = ["dig", "+norecurse", "+noall", "+comments", "+answer", "+time=1", "+tries=%d" % tries]
    done = run([*argv, "@" + server, name, "A"], tries + 0.5, check=False)
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines() or ["exit %d" % done.returncode]
        raise VerbError("dns.no_answer", "%s to answer" % server, words[-1].lstrip("; "))
    return parse_answer(done.stdout)


def parse_answer(words: str) -> List[Tuple[str, int]]:
    """Read the A records of what dig printed. ValueError: refused, failed, cut short, or not from the authority."""
    status = re.search(r"^;; ->>HEADER<<-.* status: (\w+),", words, re.M)
    flags = re.search(r"^;; flags:([a-z ]*);.* ANSWER: (\d+),", words, re.M)
    if not status or not flags:
        raise ValueError("an answer that cannot be used")
    if status.group(1) == "NXDOMAIN":
        return []
    if status.group(1) != "NOERROR":
        raise ValueError(status.group(1))
    if "aa" not in flags.group(1).split() or "tc" in flags.group(1).split():
        raise ValueError("the server is not the authority")
    rows = [line.split() for line in words.splitlines() if line and not line.startswith(";")]
    if len(rows) != int(flags.group(2)) or not all(len(row) >= 5 for row in rows):
        raise ValueError("an answer that is cut short")
    return [(row[4], int(row[1])) for row in rows if row[3] == "A"]
