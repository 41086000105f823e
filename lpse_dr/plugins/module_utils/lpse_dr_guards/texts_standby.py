"""The sentences of a seed's and a failback's guards and verbs; ``texts`` puts them beside all others."""

from __future__ import annotations

from typing import Dict, Tuple

Words = Tuple[str, str, str, str]

STANDBY: Dict[str, Words] = {
    "standby.clean": ("Nobody suspects the data", "no halt of replication on {host}", "halted at {at} by {by}: {reason}", "Find out whether the danger is over. Only then, by order of the Koordinator: lpse-dr replication resume --at {site}"),
    "standby.active": ("The site to follow is active", "{host} accepting writes, and the newest epoch of {from_site}", "{mode}, epoch {number} of {found_site}", "See which site is active: lpse-dr status. A standby is made from the active site only."),
    "standby.not_writable": ("The future standby does not accept writes", "{host} in recovery, or not running", "{mode}", "It may be the active site, or a second one: lpse-dr status. Nothing is copied over a site that writes."),
    "standby.major": ("Both databases have one major version", "the same major version", "{from_site}: {from_value}, {to_site}: {to_value}", "Install PostgreSQL {from_value} at {to_site}; replication does not cross versions."),
    "standby.same_system": ("Both databases are of one origin", "the same system identifier", "{from_site}: {from_value}, {to_site}: {to_value}", "{host} holds another database. If it may go (it is kept beside): lpse-dr replication seed --to {to_site}"),
    "standby.conninfo": ("The future standby knows whom to follow", "primary_conninfo and primary_slot_name = {slot} on {host}", "host {conninfo_host}, slot {found_slot}", "Set both on {host}, in a file of its configuration."),
    "standby.plain": ("The data directory stands alone", "no tablespaces, and a data directory on {host} that is no mount point", "{count} tablespaces, mount point: {mount}", "Make this standby by hand: see the manual of pg_basebackup."),
    "standby.room": ("There is room for the new copy", "{need_bytes} bytes free beside the data directory of {host}", "{free_bytes} bytes", "Make room on {host}. The old data directory is kept; of earlier ones (DATA.before-RUN) a person may remove what nobody needs."),
}  # fmt: skip

STANDBY_REPORTS: Dict[str, Words] = {
    "salvage.copy_failed": ("The old data directory can be copied", "", "", ""),
    "salvage.differs": ("What was salvaged is equal", "", "", ""),
    "salvage.room": ("There is room for what is salvaged", "", "", ""),
    "salvage.unreadable": ("The old database can be read", "", "", ""),
    "standby.copy_differs": ("The copy is what was sent", "", "", ""),
    "standby.copy_failed": ("The database can be copied", "", "", ""),
    "standby.not_ready": ("The copy is complete", "a new data directory, verified", "", ""),
    "standby.not_salvaged": ("Everything was salvaged", "a copy from which everything was salvaged", "", ""),
    "standby.rewind_failed": ("The old database can be wound back", "", "", ""),
    "standby.server_runs": ("No server is at work", "no server at work", "it runs", ""),
}  # fmt: skip

__all__ = ["STANDBY", "STANDBY_REPORTS"]
