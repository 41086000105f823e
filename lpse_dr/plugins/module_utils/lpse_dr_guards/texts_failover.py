"""The sentences of a failover's guards and verbs; ``texts`` puts them beside all others."""

from __future__ import annotations

from typing import Dict, Tuple

Words = Tuple[str, str, str, str]
FAILOVER_WORDS = (
    "alive", "silent", "down", "configured", "ssh", "database", "front_door", "application", "documents", "fence", "power", "statement",
    "it takes connections", "it accepts writes", "in recovery", "it accepts connections", "the application serves",
    "the service answers through it", "a server that starts, stops or recovers", "it did not look", "it runs",
)  # fmt: skip

FAILOVER: Dict[str, Words] = {
    "failover.primary_gone": ("The old site no longer accepts writes", "nobody to see {from_site} accept writes", "{vantage} sees: {what}: {answer} ({detail})", "It lives: move by plan, and nothing is lost: lpse-dr switchover --from {from_site} --to {to_site}. If it cannot be reached and must go, take its power first."),
    "failover.looked": ("The target's database has looked for the old site", "what {host} sees of {from_site}", "{count} looks", "Look at the message; lpse-dr status -v shows more."),
    "failover.gateway_looked": ("The target's gateways have looked for the old site", "what {host} sees of {from_site}", "{count} looks", "Look at the message; lpse-dr status -v shows more."),
    "failover.target_standby": ("The target is a standby", "{host} running as standby, or made active by its epoch", "{mode}", "Start the database of {to_site}; it must be a standby of {from_site}."),
    "failover.epoch": ("The target knows who was active last", "{from_site} active by the newest epoch, {newest} of {newest_site}", "{host} knows epoch {number} of {found_site}", "{to_site} was left behind, or is active already: lpse-dr status. Find out which site was active last."),
    "failover.in_sync": ("The target was once in sync", "{host} having received from {from_site}", "received: {received}", "A copy that never received anything may be of any day. Restore the newest backup instead, or find another standby."),
    "failover.age": ("The target's copy is recent", "contact with {from_site} within {limit_seconds} s", "{age_seconds} s ago", "What was written since then is lost. If you accept that: --accept-loss-older-than {age_minutes}m"),
    "failover.not_halted": ("Nobody has halted replication", "copying on {host} not halted", "{timer}", "Find out who halted it and why (it may be an open malware incident), then lpse-dr files resume"),
    "failover.proof": ("The old site is proven to be off", "a fence, a power fence that succeeded, or a person's word that {from_site} is off", "{proof}; power fence: {power}", "If you know it to be off, say how you know: lpse-dr failover --to {to_site} --assume-primary-dead \"WHY IT IS OFF\""),
    "failover.clear": ("It is clear where the failover stands", "{to_site} a standby, or made active by an epoch of its own", "{from_site}: {from_mode}, {to_site}: {to_mode}", "See which site is active and what is open: lpse-dr status. Do not let clients in before that."),
}  # fmt: skip

FAILOVER_REPORTS: Dict[str, Words] = {
    "failover.old_site_writes": ("The old database does not write", "", "", ""),
    "failover.sequence_missing": ("The sequence exists", "", "none", "Correct database_sequences in the inventory."),
}  # fmt: skip

__all__ = ["FAILOVER", "FAILOVER_REPORTS", "FAILOVER_WORDS"]
