"""What the hosts of a lab hold, looked at without the tool: an independent reader, and the arbiter of "nothing changed"."""

from __future__ import annotations

from typing import Any

from lpse_dr.errors import LabError
from lpse_dr.lab import docker
from lpse_dr.lab.audit import site_states
from lpse_dr.lab.model import Lab

# Everything that a switch-over could leave behind, per kind of host. Nothing in it moves by itself.
_LOOKS = {
    "database": (
        "cat /var/lib/lpse-dr/state.json; ls /var/lib/postgresql/15/main/standby.signal 2>&1;"
        "cat /var/lib/postgresql/15/main/postgresql.auto.conf; systemctl is-active postgresql@15-main;"
        "runuser -u postgres -- psql -XAtqc 'SELECT slot_name, active FROM pg_replication_slots ORDER BY 1' 2>&1"
    ),
    "application": (
        "cat /var/lib/lpse-dr/state.json; ls /etc/lpse-dr/application-stopped /etc/lpse-dr/files-halted 2>&1;"
        "systemctl is-active spse lpse-dr-files.timer"
    ),
    "gateway": "cat /var/lib/lpse-dr/state.json; grep -v -e hold_until -e pace_until /etc/haproxy/lpse-dr.map; systemctl is-active haproxy",
    "nameserver": "dig +short +time=1 +tries=2 @ADDRESS spse.lomboktengah.test",
}


def on(lab: Lab, host: str, script: str) -> str:
    """Run a shell script as root on a host, past the tool and past SSH."""
    return docker.run("exec", lab.hosts[host].container, "sh", "-c", script)


def snapshot(lab: Lab) -> dict[str, str]:
    """Return the durable state of every serving host; a host that cannot be looked at reads as gone."""
    found = {}
    for group, look in _LOOKS.items():
        for host in lab.in_group(group):
            script = look.replace("ADDRESS", host.addresses.get("public", ""))
            try:
                # The scripts report what is missing as text; their exit code says nothing.
                found[host.name] = on(lab, host.name, script + "; true")
            except LabError:
                found[host.name] = "gone"
    return found


def writable_sites(lab: Lab) -> list[str]:
    """Return the sites whose database accepts writes now."""
    return sorted(site for site, state in site_states(lab).items() if state == "writable")


def leftovers(lab: Lab, active: str) -> dict[str, Any]:
    """Return what is not in its final place where ``active`` serves; empty when all is."""
    standby = next(site for site in ("pdc", "drc") if site != active)
    wrong: dict[str, Any] = {}

    def expect(what: str, found: str, wanted: str) -> None:
        if found.strip() != wanted:
            wrong[what] = f"expected {wanted!r}, found {found.strip()!r}"

    slots = "runuser -u postgres -- psql -XAtqc 'SELECT slot_name, active FROM pg_replication_slots ORDER BY 1'"
    expect("slots of the active site", on(lab, f"{active}-db", slots), f"lpse_dr_{standby}|t")
    expect("slots of the standby", on(lab, f"{standby}-db", slots), "")
    signal = "ls /var/lib/postgresql/15/main/standby.signal 2>/dev/null; true"
    # The guard puts it back into the active one: whatever starts either database, it comes up read-only.
    for role, name in (("active site", active), ("standby", standby)):
        expect(f"signal at the {role}", on(lab, f"{name}-db", signal), "/var/lib/postgresql/15/main/standby.signal")
    for site in ("pdc", "drc"):
        auto = "grep -c -e wal_retrieve -e max_standby_streaming -e synchronous_standby /var/lib/postgresql/15/main/postgresql.auto.conf; true"
        expect(f"settings at {site}", on(lab, f"{site}-db", auto), "0")
        choice = "awk '$1==\"state\" || $1==\"target\" || $1==\"pace\" {print $2}' /etc/haproxy/lpse-dr.map | sort | tr '\\n' ' '"
        wanted = " ".join(
            sorted(
                ["open", active]
                + (["0"] if "pace" in on(lab, f"{site}-gateway", "cat /etc/haproxy/lpse-dr.map") else [])
            )
        )
        expect(f"gateway of {site}", on(lab, f"{site}-gateway", choice), wanted)
        flags = "ls /etc/lpse-dr/application-stopped 2>/dev/null; true"
        expect(f"application of {site}", on(lab, f"{site}-app", flags), "")
        for host in ("db", "app", "gateway"):
            claim = """python3 -c 'import json; s = json.load(open("/var/lib/lpse-dr/state.json")); print((s["operation"] or {}).get("open"), s["prepared"], s["fired"], s["epoch"]["site"])'"""
            expect(f"record of {site}-{host}", on(lab, f"{site}-{host}", claim), f"False None None {active}")
    return wrong
