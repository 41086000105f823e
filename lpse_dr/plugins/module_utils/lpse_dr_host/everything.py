"""All verbs by name: what is imported here is what Ansible packs and what is streamed to the hosts."""

from __future__ import annotations

from . import agent, application, backup, database, failover, files, host, replication, search, service, traffic, vlan
from .registry import READING

__all__ = [
    "READING",
    "agent",
    "application",
    "backup",
    "database",
    "failover",
    "files",
    "host",
    "replication",
    "search",
    "service",
    "traffic",
    "vlan",
]
