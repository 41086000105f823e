"""All verbs by name: what is imported here is what is streamed to the hosts."""

from __future__ import annotations

from . import (
    agent,
    application,
    backup,
    database,
    failover,
    fence,
    files,
    host,
    replication,
    salvage,
    search,
    service,
    standby,
    traffic,
    vlan,
)
from .registry import READING

__all__ = [
    "READING",
    "agent",
    "application",
    "backup",
    "database",
    "failover",
    "fence",
    "files",
    "host",
    "replication",
    "salvage",
    "search",
    "service",
    "standby",
    "traffic",
    "vlan",
]
