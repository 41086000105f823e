"""The PostgreSQL cluster of this host: where it lives, whether it runs, and how it is spoken to."""

from __future__ import annotations

import os
import pwd
import time
from typing import Any, Dict, List, Optional

from . import base
from .base import Context, VerbError
from .psql import Psql, SqlError

# How often a query that replay has cancelled is asked again before that is an error.
RECOVERY_CONFLICTS = 50
# As pg_controldata names them in the C locale.
CLEAN_STATES = ("shut down", "shut down in recovery")
STANDBY_STATES = ("shut down in recovery", "in archive recovery")


class Cluster:
    """Names and paths of the cluster, from the role's variables; Debian's layout where one is not given."""

    def __init__(self, ctx: Context) -> None:
        config = ctx.config
        self._ctx = ctx
        self.name = str(config.get("database_cluster") or "15/main")
        self.port = int(config.get("database_port") or 5432)
        self.unit = str(config.get("database_unit") or "postgresql@" + self.name.replace("/", "-"))
        self.data = str(config.get("database_data_directory") or "/var/lib/postgresql/" + self.name)
        major = self.name.split("/")[0]
        self.bin = str(config.get("database_bin_directory") or "/usr/lib/postgresql/%s/bin" % major)
        self.user = str(config.get("database_system_user") or "postgres")
        self.socket = str(config.get("database_socket_directory") or "/var/run/postgresql")
        self.service_database = str(config.get("database_service_database") or "lpse_dr")
        self.start_command: List[str] = list(config.get("database_start_command") or [])
        self.log = "/var/log/postgresql/postgresql-%s.log" % self.name.replace("/", "-")

    def as_user(self, argv: List[str]) -> List[str]:
        """Return the command as the system user.

        setpriv replaces itself by the command where runuser stays as its parent and opens a PAM session:
        it is quicker, and ending the command by its pid ends the command. The working directory is one that
        every user may enter.
        """
        if pwd.getpwuid(os.geteuid()).pw_name == self.user:
            return ["env", "-C", "/", *argv]
        group = str(pwd.getpwnam(self.user).pw_gid)
        return ["env", "-C", "/", "setpriv", "--reuid", self.user, "--regid", group, "--init-groups", "--", *argv]

    def program(self, name: str) -> str:
        """Return the path of one of the cluster's own programs, of its own major version."""
        return os.path.join(self.bin, name)

    def psql_argv(self, database: str) -> List[str]:
        """Return the psql of this cluster, over its local socket, never asking for a password."""
        place = ["-h", self.socket, "-p", str(self.port), "-U", self.user, "-d", database]
        return self.as_user([self.program("psql"), "-XAtqw", *place])

    def environment(self, statement_seconds: float) -> Dict[str, str]:
        """Return the limits that make a psql unable to hang, and a name by which it is recognised."""
        options = "-c statement_timeout=%d -c lock_timeout=1000 -c client_min_messages=error" % (
            statement_seconds * 1000
        )
        return {
            "PGOPTIONS": options,
            "PGCONNECT_TIMEOUT": "2",
            "PGAPPNAME": "lpse-dr",
            "PGCLIENTENCODING": "UTF8",
            "LC_ALL": "C.UTF-8",
        }

    def ask(self, statement: str, timeout_seconds: float, database: str = "postgres") -> str:
        """Perform one reading statement in a psql of its own, again where replay has cancelled it.

        VerbError when it cannot in time.
        """
        argv = [*self.psql_argv(database), "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse"]
        ends = time.monotonic() + min(timeout_seconds, max(0.2, self._ctx.remaining()))
        while True:
            limit = ends - time.monotonic()
            environment = self.environment(max(0.1, limit - 0.3))
            try:
                return base.run(argv, limit, stdin=statement, env=environment).stdout.strip()
            except VerbError as error:
                if "conflict with recovery" not in error.found or time.monotonic() > ends - 0.5:
                    raise
                time.sleep(0.02)

    def session(self, database: str = "postgres") -> Psql:
        """Return the open psql on a database, opening it where there is none (any more)."""
        key = "psql:" + database
        session = self._ctx.memory.get(key)
        if not isinstance(session, Psql) or not session.usable():
            session = Psql(self.psql_argv(database), self.environment(5.0))
            self._ctx.memory[key] = session
        return session

    def close_sessions(self) -> None:
        """End all open psql: those of a server that is being started belong to its predecessor."""
        for key, session in list(self._ctx.memory.items()):
            if isinstance(session, Psql):
                session.close()
                del self._ctx.memory[key]

    def query(self, statement: str, database: str = "postgres", timeout_seconds: Optional[float] = None) -> str:
        """Perform one statement in the open psql, within the verb's own deadline unless told otherwise.

        A standby that must not delay replay cancels even the smallest query whose snapshot is in the way of
        what it replays. It has done nothing then, and is asked again.
        """
        limit = self._ctx.remaining() if timeout_seconds is None else min(timeout_seconds, self._ctx.remaining())
        for _ in range(RECOVERY_CONFLICTS):
            try:
                return self.session(database).query(statement, limit)
            except SqlError as error:
                if error.data.get("sqlstate") != "40001" or self._ctx.remaining() <= 0:
                    raise
                time.sleep(0.002)
        return self.session(database).query(statement, limit)

    def pid(self) -> Optional[int]:
        """Return the pid of the running server, None where none runs.

        A pid file may outlive its server, and its number may be another process by now.
        """
        try:
            with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as stream:
                pid = int(stream.readline())
        except (OSError, ValueError):
            return None
        return pid if self.is_server(pid) else None

    def is_server(self, pid: int) -> bool:
        """Tell whether process ``pid`` is this cluster's server; one that has ended and was not waited for is none.

        Judged by what every user may read: in a container even root may not look at the working directory of
        another user's process. A server that does not name its data directory is taken for this one.
        """
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
                if stream.read().rpartition(")")[2].split()[0] in ("Z", "X"):
                    return False
            with open("/proc/%d/cmdline" % pid, encoding="utf-8", errors="replace") as stream:
                words = stream.read().split("\0")
        except OSError:
            return False
        if os.path.basename(words[0]) not in ("postgres", "postmaster"):
            return False
        if "-D" not in words:
            return True
        named = words[words.index("-D") + 1]
        return os.path.realpath(named) == os.path.realpath(self.data)

    def control(self) -> Dict[str, Any]:
        """Return what the control file says; it can be read whether the server runs or not."""
        argv = [self.program("pg_controldata"), "-D", self.data]
        return parse_control(base.run(argv, min(3.0, max(0.2, self._ctx.remaining())), env={"LC_ALL": "C"}).stdout)

    def standby_signal(self) -> str:
        """Return the path of the file that keeps a start from becoming writable."""
        return os.path.join(self.data, "standby.signal")


def parse_control(text: str) -> Dict[str, Any]:
    """Read pg_controldata; VerbError ``database.control_unreadable`` when a line that counts is missing."""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in lines.items()}
    try:
        return {
            "state": values["Database cluster state"],
            "checkpoint_lsn": values["Latest checkpoint location"],
            "redo_lsn": values["Latest checkpoint's REDO location"],
            "timeline": int(values["Latest checkpoint's TimeLineID"]),
            "min_recovery_timeline": int(values["Min recovery ending loc's timeline"]),
            "system_identifier": values["Database system identifier"],
            "checksums": values["Data page checksum version"] != "0",
            "wal_segment_bytes": int(values.get("Bytes per WAL segment") or 16 << 20),
        }
    except (KeyError, ValueError) as error:
        raise VerbError(
            "database.control_unreadable", "pg_controldata to be readable", "no usable %s" % error
        ) from error
