"""From a verb's name to its function."""

from __future__ import annotations

import importlib
from typing import Any, Dict

from .base import Context, Verb, VerbError, assert_current

NOUNS = (
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
)
# Verbs that only look. All others are refused when the host has accepted a newer operation;
# host.claim is how an operation is accepted.
READING = {
    "application.status", "application.await_health",
    "backup.status", "backup.job",
    "database.status", "database.control", "database.await_replay", "database.await_streaming",
    "failover.assert_sealed", "failover.rows", "failover.documents",
    "fence.status", "fence.await", "fence.await_grants",
    "files.status", "files.hashes", "files.changed", "files.confirm", "files.await_marker",
    "host.claim", "host.ping", "replication.prove", "salvage.names", "search.look",
    "traffic.status", "traffic.await_drained", "traffic.resolve", "traffic.try_dns",
    "vlan.status", "vlan.probe",
}  # fmt: skip


def perform(name: str, ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Run verb ``name``; VerbError says why it did not reach its end."""
    noun, _, verb = name.partition(".")
    # Only what a host is asked for is loaded there: an agent that starts quickly is time that nobody waits.
    module = importlib.import_module("." + noun, __package__) if noun in NOUNS else None
    verbs: Dict[str, Verb] = getattr(module, "VERBS", {})
    function = verbs.get(verb)
    if function is None:
        raise VerbError("verb.unknown", "a verb of lpse-dr", name, "use one version of lpse-dr on all jump hosts")
    if name not in READING:
        assert_current(ctx)
    return function(ctx, args)
