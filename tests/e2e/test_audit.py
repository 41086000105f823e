"""The audit against real hosts: it finds exactly what was taken away, and nothing when nothing was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lpse_dr.lab import docker
from lpse_dr.lab.audit import audit, site_states
from lpse_dr.lab.bids import read_bids
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def nothing_is_copied(lab: Lab) -> Iterator[None]:
    """A pull of the other site in the wrong moment would take the changed byte for the document."""
    hosts = [host.container for host in lab.in_group("application")]
    for host in hosts:
        docker.run("exec", host, "systemctl", "stop", "lpse-dr-files.timer", "lpse-dr-files.service")
    yield
    for host in hosts:
        docker.run("exec", host, "systemctl", "start", "lpse-dr-files.timer")


@pytest.mark.usefixtures("nothing_is_copied")
def test_one_deleted_file_one_changed_byte_one_dropped_row(lab: Lab) -> None:
    with LoadSession(lab, seconds=3, clients=2) as load:
        result = load.collect()
    assert (result.failed, result.acknowledged > 10) == (0, True)
    before = audit(lab, result.folder)
    assert (before.problems, before.lost) == ((), ())
    site = before.active_site
    assert site_states(lab)[str(site)] == "writable"
    receipts = [bid.receipt for bid in read_bids(result.folder / "load.jsonl")][2:5]
    deleted, changed, dropped = receipts
    app, db = (lab.in_group(group, site)[0].container for group in ("application", "database"))

    def on_app(script: str) -> None:
        docker.run("exec", app, "sh", "-ec", script)

    def sql(statement: str) -> None:
        docker.run("exec", "-u", "postgres", db, "psql", "-XqAtd", "epns_prod", "-c", statement)

    root = "/home/file/file_prod"
    undo: list[Callable[[], None]] = []
    try:
        undo.append(lambda: on_app(f"mv /var/tmp/taken.bid $(cat /var/tmp/taken)/{deleted}.bid; rm /var/tmp/taken"))
        on_app(f"f=$(find {root} -name {deleted}.bid); dirname $f >/var/tmp/taken; mv $f /var/tmp/taken.bid")
        # Back by rename, time stamps kept: the file stream must not take this for a document that changed.
        undo.append(lambda: on_app(f"mv /var/tmp/whole.bid $(find {root} -name {changed}.bid)"))
        flip = "import sys; f = open(sys.argv[1], 'r+b'); b = f.read(1)[0]; f.seek(0); f.write(bytes([b ^ 1]))"
        on_app(f'f=$(find {root} -name {changed}.bid); cp -p $f /var/tmp/whole.bid; python3 -c "{flip}" $f')
        sql(f"CREATE TABLE kept_bid AS SELECT * FROM bid WHERE id = '{dropped}'")
        undo.append(lambda: sql("INSERT INTO bid SELECT * FROM kept_bid; DROP TABLE kept_bid"))
        sql(f"DELETE FROM bid WHERE id = '{dropped}'")
        found = audit(lab, result.folder)
    finally:
        for step in reversed(undo):
            step()
    assert not found.ok
    assert {(lost.receipt, lost.reason) for lost in found.lost} == {
        (deleted, "no_file"),
        (changed, "wrong_hash"),
        (dropped, "no_row"),
    }
    assert audit(lab, result.folder).lost == ()
