"""The record of what was done: append-only, chained by hashes, one folder per incident."""

from .chain import START, Verification, canonical, chain_hash, now
from .folders import ENDS, incidents, new_record, open_incident, open_incidents, open_maintenance
from .writer import Journal, sync_folder, user_name, who

__all__ = [
    "ENDS",
    "START",
    "Journal",
    "Verification",
    "canonical",
    "chain_hash",
    "incidents",
    "new_record",
    "now",
    "open_incident",
    "open_incidents",
    "open_maintenance",
    "sync_folder",
    "user_name",
    "who",
]
