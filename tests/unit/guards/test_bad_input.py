"""Bad input, case by case as the order for this program lists it: what a person is told first, in both languages.

What is refused before a host is asked (unknown words, an inventory that is none) is in tests/unit/cli and
tests/unit/operations; an upload that takes too long is rolled back in tests/e2e/test_switchover.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr import i18n
from lpse_dr.plugins.filter.lpse_dr import lpse_dr_outcome
from lpse_dr.plugins.module_utils.lpse_dr_guards import GuardResult, evaluate, sentences
from lpse_dr.plugins.module_utils.lpse_dr_guards.verdicts import judge

from .pair import HOSTS, NOW, Facts, database, healthy, put, sender
from .test_guards import Change, at, fact, held, silent, site

CHANGED_KEY = (
    "Task failed: Data could not be sent to remote host \"10.0.0.9\". Make sure this host can be reached over ssh: @@@@@@@@\r\n"
    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@@\r\n"
    "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:Zkh8Eox1uFC6MOLtzTiz5icc6wewWyy3ZsmHiHtf61M.\r\n"
    "  remove with:\r\n  ssh-keygen -f \"known_hosts\" -R \"10.0.0.9\"\r\nHost key verification failed."
)  # fmt: skip
UNKNOWN_KEY = "Failed to connect to the host via ssh: No ED25519 host key is known for 10.0.0.9 and you have requested strict checking.\r\nHost key verification failed."
REFUSED_SSH = (
    "Task failed: Failed to connect to the host via ssh: ssh: connect to host 10.0.0.9 port 22: Connection refused"
)


def standby_as(running: bool, control: str) -> Change:
    return lambda f: [
        put(f, "drc-db", "database.running", running),
        put(f, "drc-db", "database.in_recovery", None),
        put(f, "drc-db", "database.writable", False),
        put(f, "drc-db", "database.control.state", control),
    ]


def both(writable: bool) -> Change:
    def change(facts: Facts) -> None:
        facts["readings"]["drc-db"]["database"].update(database("pdc" if writable else "drc"))
        facts["readings"]["pdc-db"]["database"].update(database("pdc" if writable else "drc"))

    return change


def away(facts: Facts) -> None:
    """The gateway of the target's site has lost power; its site streams no longer, and does not see the name server."""
    silent("drc-gateway", "unreachable", "ssh: connect to host 10.0.0.9 port 22: No route to host")(facts)
    put(facts, "drc-db", "database.receiver", None)
    put(facts, "pdc-db", "database.senders", [])
    put(facts, "pdc-db", "database.slots.0.active", False)
    facts["readings"]["drc-app"]["files"].update(peer_ok=False, peer_error="timeout")


# The case, what is changed of a healthy pair, what is said first, about which host, a piece of what was found.
CASES: list[tuple[str, Change, str, str, str]] = [
    ("unknown site", fact("to", "mars"), "site.known", "", "mars"),
    ("same site twice", fact("to", "pdc"), "site.differ", "", "from pdc to pdc"),
    ("no inventory", fact("sites", {}), "site.known", "", "from pdc to drc"),
    ("a host in two sites", site("drc", "application", ["pdc-app"]), "inventory.one_site", "", "pdc-app"),
    ("no database", site("drc", "database", None), "inventory.database", "", "none"),
    ("SSH refused", silent("drc-app", "unreachable", REFUSED_SSH), "host.reachable", "drc-app", "ssh: connect to host 10.0.0.9 port 22: Connection refused"),
    ("wrong host key", silent("drc-db", "unreachable", CHANGED_KEY), "host.key", "drc-db", "another key was shown: SHA256:Zkh8Eox1uFC6MOLtzTiz5icc6wewWyy3ZsmHiHtf61M"),
    ("unknown host key", silent("drc-db", "unreachable", UNKNOWN_KEY), "host.key", "drc-db", "Host key verification failed."),
    ("no sudo", silent("pdc-db", "failed", "Task failed: Missing sudo password"), "host.sudo", "pdc-db", "Missing sudo password"),
    ("standby stopped", standby_as(False, "shut down in recovery"), "database.target_standby", "drc-db", "stopped_standby"),
    ("standby crashed", standby_as(False, "in archive recovery"), "database.target_standby", "drc-db", "crashed"),
    ("standby without a reading", silent("drc-db", "failed", "psql: timeout"), "host.read", "drc-db", "psql: timeout"),
    ("standby not streaming", at("drc-db", "database.receiver", None), "database.streaming", "drc-db", "no reading"),
    ("standby lagging (bytes)", at("drc-db", "database.lag_bytes", 2**30), "database.lag_bytes", "drc-db", "1073741824 bytes"),
    ("standby lagging (seconds)", lambda f: [at("drc-db", "database.lag_seconds", 99)(f), at("pdc-db", "database.senders.0.lag_bytes", 48)(f)], "database.lag_seconds", "drc-db", "99 s"),
    ("lag not read", at("drc-db", "database.lag_seconds", None), "database.lag_seconds", "drc-db", "no reading"),
    ("slot missing", at("pdc-db", "database.slots", []), "database.slot", "pdc-db", "missing"),
    ("foreign WAL sender", lambda f: f["readings"]["pdc-db"]["database"]["senders"].append(sender("backup")), "database.foreign_senders", "pdc-db", "backup (10.0.0.2)"),
    ("failing archiver", at("pdc-db", "database.archiver", {"mode": "on", "failing": True}), "database.archiver", "pdc-db", "failing"),
    ("different system identifiers", at("drc-db", "database.system_identifier", "42"), "database.system_identifier", "", "drc: 42"),
    ("both read-only", both(False), "site.not_both_read_only", "", "pdc: standby, drc: standby"),
    ("both writable", both(True), "site.not_split", "", "pdc: writable, drc: writable"),
    ("majors that differ", at("drc-db", "database.version_num", 170002), "database.major", "", "drc: 17"),
    ("disk of the database full", at("drc-db", "database.disk.free_bytes", 0), "database.disk", "drc-db", "0 bytes"),
    ("disk of the documents full", at("drc-app", "files.disk.free_bytes", 0), "files.disk", "drc-app", "0 bytes"),
    ("clock ahead", at("drc-app", "clock", NOW + 1.5), "host.clock", "drc-app", "1.5 s"),
    ("clock behind", at("pdc-app", "clock", NOW - 2.5), "host.clock", "pdc-app", "-1.5 s"),
    ("target application unhealthy", at("drc-app", "application.health", "failed"), "application.target", "drc-app", "failed"),
    ("gateway unreachable", away, "host.reachable", "drc-gateway", "No route to host"),
    ("DNS refusing", lambda f: f["readings"]["drc-gateway"]["dns"].update(update_ok=False, error="REFUSED"), "dns.update", "drc-gateway", "REFUSED"),
    ("a second operation", held(), "operation.free", "pdc-app", "run r8 of tim@jump: open"),
    ("prepared transaction", at("pdc-db", "database.prepared_transactions", 1), "database.prepared_transactions", "pdc-db", "1"),
    ("replay paused", at("drc-db", "database.replay_paused", True), "database.replay_not_paused", "drc-db", "paused: yes"),
    ("never copied", at("drc-app", "files.last_sync", None), "files.last_sync", "drc-app", "no reading: files.last_sync.ok of drc-app"),
    ("nobody was read", lambda f: f.update(readings={}, unreachable=dict.fromkeys(HOSTS, "No route to host")), "host.reachable", "pdc-db", "No route to host"),
]  # fmt: skip


def refused(change: Change) -> list[GuardResult]:
    facts = healthy()
    change(facts)
    found = evaluate(facts)
    assert found.refused, "it would have gone on"
    return found.refused


@pytest.mark.parametrize(("case", "change", "guard_id", "host", "piece"), CASES, ids=[row[0] for row in CASES])
def test_what_is_said_first(case: str, change: Change, guard_id: str, host: str, piece: str) -> None:
    first = refused(change)[0]
    assert (first.guard_id, first.host) == (guard_id, host)
    assert piece in first.found
    assert "\n" not in first.found and "@@" not in first.found


@pytest.mark.parametrize(("case", "change"), [row[:2] for row in CASES], ids=[row[0] for row in CASES])
def test_every_sentence_is_whole_in_both_languages(case: str, change: Change) -> None:
    english: dict[str, tuple[str, ...]] = {}
    try:
        for language in ("en", "id"):
            i18n.use(language)
            first = refused(change)[0]
            said = sentences(first.guard_id, first.data, i18n.pgettext)
            assert all(text.strip() for text in said)
            # What was not read is a question mark in a sentence only where it is what the sentence is about.
            assert "missing" in first.data or not any("?" in text for text in said), said
            english[language] = said
    finally:
        i18n.use(i18n.DEFAULT)
    assert english["id"] != english["en"]


@pytest.mark.parametrize("change", [row[1] for row in CASES], ids=[row[0] for row in CASES])
def test_it_ends_refused_with_nothing_changed(change: Change) -> None:
    result: dict[str, Any] = {"refused": [guard.as_dict() for guard in refused(change)], "msg": "refused"}
    outcome = lpse_dr_outcome(result, "Guard | Ask all guards before anything changes", {})
    verdict, changed, error = judge(outcome, {})
    assert (verdict, changed) == ("REFUSED", False)
    assert error is not None and error["id"] == result["refused"][0]["guard_id"]


@pytest.mark.parametrize(
    ("path", "demanded"),
    [
        ("drc-db:database.lag_bytes", "at most 16777216 bytes"),
        ("drc-db:database.lag_seconds", "at most 30 s"),
        ("drc-db:database.disk", "at least 536870912 bytes"),
        ("drc-app:files.last_sync", "within 600 s"),
        ("drc-app:clock", "at most 1 s"),
    ],
)
def test_what_is_demanded_is_said_also_where_nothing_was_read(path: str, demanded: str) -> None:
    host, _, key = path.partition(":")
    first = refused(at(host, key, None))[0]
    assert demanded in first.expected
    assert "no reading" in first.found


def test_a_standby_that_is_broken_is_not_blamed_where_nobody_is_active() -> None:
    def nobody(facts: Facts) -> None:
        both(False)(facts)
        standby_as(False, "shut down in recovery")(facts)

    assert {guard.guard_id for guard in refused(nobody)} >= {"site.clear"}
    assert "database.target_standby" not in {guard.guard_id for guard in refused(nobody)}
