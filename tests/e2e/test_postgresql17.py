"""PostgreSQL 17 where nothing is where Debian would put it: another port, cluster name and data directory; trixie below it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lpse_dr.lab import manage
from lpse_dr.lab.model import TRIXIE, Lab
from lpse_dr.lab.trial import measure

from . import reality
from .conftest import lpse_dr

pytestmark = pytest.mark.lab

NAME = "pg17"


@pytest.fixture(scope="module")
def lab17() -> Iterator[Lab]:
    """A lab of its own: it shares nothing with the others but this machine."""
    try:
        yield manage.up(NAME, lambda line: None, variant=TRIXIE.name)
    finally:
        manage.down(NAME, lambda line: None)


def asked(lab: Lab, host: str, question: str) -> str:
    """Ask the database itself, past the tool, on the port that the variant names."""
    words = f'psql -XAtq -p {TRIXIE.port} -d postgres -c "{question}"'
    return reality.on(lab, host, f"runuser -u postgres -- {words}").strip()


def test_a_switch_over_on_postgresql_17_loses_nothing(lab17: Lab) -> None:
    for host in ("pdc-db", "drc-db"):
        # The variant is what it says, else the rest would prove nothing new.
        assert asked(lab17, host, "SHOW data_directory") == "/srv/pgdata/epns"
        assert "ls: cannot" in reality.on(lab17, host, "ls /var/lib/postgresql/17 2>&1; true")
        assert reality.on(lab17, host, "systemctl is-active postgresql@17-epns").strip() == "active"

    seen = lpse_dr("--lab", NAME, "--output", "json", "status")
    assert seen.code == 0, seen.stderr
    assert seen.json["active"] == ["pdc"]
    assert [site["database"]["version_num"] // 10000 for site in seen.json["sites"]] == [17, 17]

    trial = measure(lab17, "pdc", "drc", clients=2, around_seconds=3)
    assert (trial.envelope["verdict"], trial.exit_code) == ("COMPLETED", 0), trial.envelope
    assert (trial.load.failed, trial.load.errors) == (0, {})
    assert trial.audit.lost == ()
    assert trial.audit.acknowledged > 20
    assert trial.audit.both_writable_milliseconds == 0
    assert trial.audit.active_site == "drc"
    assert reality.writable_sites(lab17) == ["drc"]
    # The old active site follows, by the slot of its own name, on the new timeline.
    assert asked(lab17, "drc-db", "SELECT slot_name, active FROM pg_replication_slots") == "lpse_dr_pdc|t"
    assert asked(lab17, "pdc-db", "SELECT pg_is_in_recovery()") == "t"
    signal = "ls /srv/pgdata/epns/standby.signal 2>/dev/null; true"
    assert reality.on(lab17, "pdc-db", signal).strip() == "/srv/pgdata/epns/standby.signal"
    assert reality.on(lab17, "drc-db", signal).strip() == "/srv/pgdata/epns/standby.signal"
