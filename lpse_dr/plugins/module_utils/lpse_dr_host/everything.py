"""All verbs by name: what is imported here is what Ansible packs and what is streamed to the hosts."""

from __future__ import annotations

from . import agent, application, database, fence, files, host, service, traffic
from .registry import READING

__all__ = ["READING", "agent", "application", "database", "fence", "files", "host", "service", "traffic"]
