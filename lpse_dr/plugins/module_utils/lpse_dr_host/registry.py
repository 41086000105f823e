"""From a verb's name to its function."""

from __future__ import annotations

from typing import Any, Dict

from . import application, database, files, host, service, traffic
from .base import Context, Verb, VerbError, assert_current

NOUNS: Dict[str, Dict[str, Verb]] = {
    "application": application.VERBS,
    "database": database.VERBS,
    "files": files.VERBS,
    "host": host.VERBS,
    "service": service.VERBS,
    "traffic": traffic.VERBS,
}
# Verbs that only look. All others are refused when the host has accepted a newer operation;
# host.claim is how an operation is accepted.
READING = {
    "application.status", "application.await_health",
    "database.status", "database.control", "database.await_replay", "database.await_streaming",
    "files.status", "files.hashes", "files.changed", "files.confirm", "files.await_marker",
    "host.claim", "host.ping",
    "traffic.status", "traffic.await_drained", "traffic.resolve", "traffic.try_dns",
}  # fmt: skip


def perform(name: str, ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Run verb ``name``; VerbError says why it did not reach its end."""
    noun, _, verb = name.partition(".")
    function = NOUNS.get(noun, {}).get(verb)
    if function is None:
        raise VerbError("verb.unknown", "a verb of lpse-dr", name, "use one version of lpse-dr on all jump hosts")
    if name not in READING:
        assert_current(ctx)
    return function(ctx, args)
