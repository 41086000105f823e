"""What a failover would cost: counted where it is known, never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.operations.loss import MOST_RECENT, Loss, loss_now, pending
from lpse_dr.operations.sites import overview

HOSTS = {"pdc": ("pdc-db", "pdc-app"), "drc": ("drc-db", "drc-app")}
SENDER = {"application_name": "drc", "flush_lsn": "1/0"}
GOOD = {"last_sync": {"ok": True, "at": "2026-09-21T12:53:20Z"}}
COPIED = 1_789_995_200.0


def loss(**database: Any) -> Loss | None:
    primary = {
        "running": True, "writable": True, "in_recovery": False, "lsn": {"current": "1/10"}, "senders": [SENDER],
        "documents": {"newest": [COPIED + 2, COPIED + 1, COPIED - 1]}, **database,
    }  # fmt: skip
    standby = {"running": True, "writable": False, "in_recovery": True}
    readings = {
        "pdc-db": {"host": "pdc-db", "database": primary},
        "drc-db": {"host": "drc-db", "database": standby},
        "drc-app": {"host": "drc-app", "files": GOOD},
    }
    return loss_now(overview(HOSTS, readings))


def test_bytes_that_the_standby_has_not_flushed_and_rows_newer_than_the_last_copy() -> None:
    assert loss() == Loss("pdc", 16, 2)


@pytest.mark.parametrize(
    "senders",
    [
        [],
        None,
        [{**SENDER, "application_name": "x"}],
        [{**SENDER, "flush_lsn": None}],
        [{**SENDER, "flush_lsn": "x"}],
    ],
)
def test_without_a_sender_the_log_is_not_known(senders: Any) -> None:
    found = loss(senders=senders)
    assert found is not None
    assert found.wal_bytes is None


@pytest.mark.parametrize("documents", [None, {}, {"newest": None}])
def test_without_rows_the_documents_are_not_known(documents: Any) -> None:
    found = loss(documents=documents)
    assert found is not None
    assert found.documents is None


def test_many_rows_are_or_more_and_a_bad_copy_is_none() -> None:
    newest = [COPIED + 1] * MOST_RECENT
    assert pending(newest, [GOOD]) == (MOST_RECENT, True)
    assert pending(newest, [{"last_sync": {"ok": False, "at": "2026-09-21T12:53:20Z"}}]) == (None, False)
    assert pending(newest, [{"last_sync": None}]) == (None, False)
    assert pending([1.0], [{"last_sync": {"ok": True, "at": "yesterday"}}]) == (None, False)


def test_without_one_active_site_nothing_is_said() -> None:
    assert loss(writable=False, in_recovery=True) is None
