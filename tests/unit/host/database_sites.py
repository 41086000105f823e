"""Two real PostgreSQL clusters on this machine (package postgresql-15), each with the verbs of its host.

No network: both clusters meet over Unix sockets in one temporary folder. Where the package is missing the
tests fail and say so; a skip would be taken for a proof.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, database
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context

MAJOR = os.environ.get("LPSE_DR_TEST_POSTGRESQL", "15")
BIN = Path("/usr/lib/postgresql") / MAJOR / "bin"
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
port = {port}
cluster_name = '{site}'
primary_conninfo = 'host={folder} port={peer_port} user={user} password=geheim'
primary_slot_name = 'lpse_dr_{site}'
wal_log_hints = on
max_standby_streaming_delay = '20s'
wal_retrieve_retry_interval = 500ms
"""


def as_user(argv: list[str], check: bool = True) -> None:
    """Run a command as the clusters' user and show what it said when it fails."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        group = str(pwd.getpwnam(USER).pw_gid)
        prefix = ["setpriv", "--reuid", USER, "--regid", group, "--init-groups", "--"]
    done = subprocess.run([*prefix, *argv], capture_output=True, text=True, cwd="/", check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr


class Site:
    """One cluster, the state folder of its host, and an agent's memory."""

    def __init__(self, folder: Path, site: str, port: int, peer_port: int, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.data = folder / site
        self.state_folder = folder / ("state-" + site)
        self.patch = patch
        self.memory: dict[str, Any] = {}
        self.operation: dict[str, Any] | None = {"number": 1, "run": "run-1"}
        self.settings = SETTINGS.format(folder=folder, port=port, peer_port=peer_port, site=site, user=USER)
        self.pg_ctl = [str(BIN / "pg_ctl"), "-D", str(self.data), "-l", str(folder / (site + ".log")), "-w"]
        self.config: dict[str, Any] = {
            "database_port": port,
            "database_cluster": MAJOR + "/main",
            "database_data_directory": str(self.data),
            "database_bin_directory": str(BIN),
            "database_system_user": USER,
            "database_socket_directory": str(folder),
            "database_service_database": "lpse_dr",
            "database_start_command": [*self.pg_ctl, "-s", "start"],
        }

    def call(self, verb: str, timeout_seconds: float = 20.0, **args: Any) -> dict[str, Any]:
        """Run a verb as this host's agent would."""
        self.patch.setattr(base, "STATE_FOLDER", str(self.state_folder))
        ctx = Context(self.site + "-db", self.site, self.config, self.operation, timeout_seconds, self.memory)
        return database.VERBS[verb](ctx, args)

    def state(self) -> dict[str, Any]:
        """Return this host's state file."""
        self.patch.setattr(base, "STATE_FOLDER", str(self.state_folder))
        return base.read_state()

    def reading(self) -> dict[str, Any]:
        """Return what the status verb sees of the database."""
        result: dict[str, Any] = self.call("status")["reading"]["database"]
        return result

    def sql(self, statement: str, database_name: str = "postgres") -> str:
        """Ask the cluster something outside of the verbs."""
        place = ["-h", self.config["database_socket_directory"], "-p", str(self.config["database_port"])]
        argv = [str(BIN / "psql"), "-XAtqw", *place, "-U", USER, "-d", database_name, "-c", statement]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def auto_conf(self) -> list[str]:
        """Return the settings that ALTER SYSTEM has written."""
        lines = (self.data / "postgresql.auto.conf").read_text().splitlines()
        return sorted(line for line in lines if line and not line.startswith("#"))

    def close(self) -> None:
        """End the sessions and the server."""
        for session in self.memory.values():
            session.close()
        as_user([*self.pg_ctl, "-m", "immediate", "stop"], check=False)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Site, Site]]:
    """Two sites: pdc is the primary, drc its streaming standby."""
    if not (BIN / "initdb").exists():
        pytest.fail(f"{BIN}/initdb is missing: apt-get install postgresql-{MAJOR} (script/setup does it)")
    folder = Path(tempfile.mkdtemp(prefix="lpse-dr-pg."))
    shutil.chown(folder, USER)
    patch = pytest.MonkeyPatch()
    pdc, drc = Site(folder, "pdc", 5601, 5602, patch), Site(folder, "drc", 5602, 5601, patch)
    try:
        as_user([str(BIN / "initdb"), "-D", str(pdc.data), "-U", USER, "-A", "trust", "-k", "--no-sync"])
        with (pdc.data / "postgresql.conf").open("a") as stream:
            stream.write(pdc.settings)
        as_user([*pdc.pg_ctl, "start"])
        pdc.sql("CREATE DATABASE lpse_dr")
        pdc.sql("CREATE TABLE probe (at timestamptz, site text, n bigint)", "lpse_dr")
        pdc.sql("CREATE TABLE marker (id uuid PRIMARY KEY, at timestamptz, site text)", "lpse_dr")
        pdc.call("ensure_slot", slot="lpse_dr_drc")
        base_backup = [str(BIN / "pg_basebackup"), "-D", str(drc.data), "-h", str(folder), "-p", "5601", "-U", USER]
        as_user([*base_backup, "-c", "fast", "--no-sync"])
        with (drc.data / "postgresql.conf").open("a") as stream:
            stream.write(drc.settings)
        drc.call("fence")
        drc.call("start")
        drc.call("await_streaming")
        yield pdc, drc
    finally:
        pdc.close()
        drc.close()
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)
