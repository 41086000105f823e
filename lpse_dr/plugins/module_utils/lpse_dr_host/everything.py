"""All verbs by name: what is imported here is what Ansible packs and what the conductor streams."""

from __future__ import annotations

from . import agent, application, database, files, host, service, traffic

__all__ = ["agent", "application", "database", "files", "host", "service", "traffic"]
