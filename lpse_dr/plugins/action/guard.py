"""Gather what was read of both sites, judge it, and hand the playbook what it needs to go on. Runs on the jump host."""

from __future__ import annotations

import getpass
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible.utils.path import unfrackpath

LEASE_SECONDS = 300
GROUPS = ("database", "application", "gateway")
_HOLDER = re.compile(r"^\S+@(?P<host>\S+) pid (?P<pid>\d+) since (?P<since>\d+)$")


def guards_package() -> Any:
    """Import ``lpse_dr_guards``.

    Ansible resolves ``ansible.module_utils.X`` from configured folders only for modules that it ships to hosts; an
    action plugin is imported by Python alone. So the folder beside this one joins the package's path, last: it is
    there in a checkout and in an installed wheel, and hides nothing of Ansible's own.
    """
    folder = str(Path(__file__).resolve().parent.parent / "module_utils")
    if folder not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(folder)
    from ansible.module_utils import lpse_dr_guards

    return lpse_dr_guards


def plain(value: Any) -> Any:
    """Return a value without Ansible's tags and lazy templates, so that pure functions see pure data."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def merged(base: Any, over: Any) -> Any:
    """Return ``base`` with the keys of ``over`` laid over it, at every depth."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merged(base.get(key), item) for key, item in over.items()}}
    return over


def sort_reading(result: Any) -> tuple[str, Any]:
    """Return (``reading`` | ``unreachable`` | ``failed``, content) of what a read task registered on a host.

    ``unreachable`` and ``failed`` outrank a reading; a result without a reading has failed, whatever else it says:
    that is what a task with ``failed_when: false`` or an interrupted play leaves behind.
    """
    if not isinstance(result, dict):
        return "failed", "it was not read"
    error = result.get("error") if isinstance(result.get("error"), dict) else {}
    words = str(
        (error or {}).get("found") or result.get("module_stderr") or result.get("msg") or "no reading"
    ).strip()
    if result.get("unreachable"):
        return "unreachable", words
    if result.get("failed") or not isinstance(result.get("reading"), dict):
        return "failed", words
    return "reading", result["reading"]


def started(pid: int) -> int | None:
    """Return when a process of this machine began, in clock ticks since its start; None when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def controller() -> tuple[int, float]:
    """Return pid of the ansible-playbook process that this worker belongs to, and how many seconds ago it began."""
    pid = os.getppid()
    since = started(pid)
    if since is None:
        return pid, 0.0
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return pid, max(0.0, uptime - since / os.sysconf("SC_CLK_TCK"))


def holder_alive(readings: dict[str, Any]) -> bool | None:
    """Tell whether a run that still holds a host lives: False only where this machine can see that all of them are gone."""
    verdicts: list[bool | None] = []
    for reading in readings.values():
        operation = (reading.get("state") or {}).get("operation") if isinstance(reading.get("state"), dict) else None
        if not isinstance(operation, dict) or operation.get("open") is False:
            continue
        match = _HOLDER.match(str(operation.get("holder")))
        if match is None or match["host"] != socket.gethostname():
            verdicts.append(None)
        else:
            verdicts.append(started(int(match["pid"])) == int(match["since"]))
    if not verdicts:
        return None
    return True if True in verdicts else None if None in verdicts else False


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """Evaluate the guards.

    Reads ``lpse_read``, which the read play registered on every host of groups ``site_*`` that is also in ``database``,
    ``application`` or ``gateway``. Arguments: ``purpose`` (switchover), ``from_site``, ``to_site``, ``limits``, ``run``,
    ``fail`` (true), ``read_started`` (unix time before the readings; else the start of this run, which is less sharp),
    ``holder_alive``, ``lease_seconds``, ``readings`` (laid over what was read, for drills and tests).

    ``failover`` holds what only a failover adds: ``statement``, ``accept_age_seconds``, ``powered`` (what the power fence
    said, by host) and ``searches`` (newer looks for the old site, by host).

    With purpose ``failback`` or ``seed``, ``from_site`` is the active site and ``to_site`` the one that is made its standby;
    ``way: rewind`` takes that way where it is possible, whatever moves fewer bytes.

    ``secrets: true`` returns nothing but ``conduct``, this time with the sudo passwords; the result is hidden.
    """

    _requires_connection = False
    _VALID_ARGS = frozenset(
        ("purpose", "from_site", "to_site", "limits", "run", "fail", "read_started", "holder_alive", "lease_seconds", "readings", "secrets", "failover", "way")
    )  # fmt: skip

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge; change nothing, also under --check."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = {key: plain(value) for key, value in self._task.args.items()}
        facts = self._facts(args, task_vars)
        conduct = {
            host: self._connection_of(host, reading, task_vars, args.get("secrets") is True)
            for host, reading in facts["readings"].items()
        }
        if args.get("secrets") is True:
            return {"changed": False, "conduct": conduct, "_ansible_no_log": True}
        found = guards_package().evaluate(facts)
        guards = [guard.as_dict() for guard in found.guards]
        refused = [guard for guard in guards if not guard["ok"]]
        left = [item.as_dict() for item in found.open]
        result: dict[str, Any] = {
            "changed": False, "stage": found.stage, "refused": refused,
            "open": [f"{item['host']}: {item['open_id']} ({item['found']})" for item in left],
            "from_site": found.from_site, "to_site": found.to_site, "sites": facts["sites"], "conduct": conduct,
            "epoch": found.epoch, "epoch_site": found.epoch_site, "epoch_target": found.epoch_target,
            "operation_number": found.operation_number,
            "lpse_dr": {"kind": "guards", "stage": found.stage, "guards": guards, "open": left},
        }  # fmt: skip
        if found.loss is not None:
            result["loss"] = result["lpse_dr"]["loss"] = found.loss
            result["power"] = (facts.get("failover") or {}).get("power") or {}
        result.update(self._claim(args, facts, found.operation_number))
        if refused and args.get("fail", True) is not False:
            lines = [
                f"{g['guard_id']} {g['host']}: expected {g['expected']}; found {g['found']}. {g['todo']}"
                for g in refused[:5]
            ]
            more = [f"and {len(refused) - 5} more"] if len(refused) > 5 else []
            result.update(failed=True, msg="\n".join(["REFUSED, nothing was changed.", *lines, *more]))
        return result

    def _facts(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        sites = self._sites(task_vars.get("groups") or {})
        readings: dict[str, Any] = {}
        silent: dict[str, dict[str, str]] = {"unreachable": {}, "failed": {}}
        for host in sorted({host for site in sites.values() for group in GROUPS for host in site[group]}):
            try:
                kind, content = sort_reading(plain(task_vars["hostvars"][host].get("lpse_read")))
            except (AnsibleError, KeyError) as error:
                kind, content = "failed", str(error)
            if kind == "reading":
                readings[host] = content
            else:
                silent[kind][host] = content
        readings = merged(
            readings, {host: over for host, over in (args.get("readings") or {}).items() if host in readings}
        )
        _, age = controller()
        now = time.time()
        more = self._failover(args, task_vars, readings) if args.get("purpose") == "failover" else {}
        return {
            **more, "way": args.get("way") or None,
            "purpose": args.get("purpose") or "switchover", "from": args.get("from_site") or None, "to": args.get("to_site") or None,
            "now": now, "read_seconds": now - float(args["read_started"]) if args.get("read_started") else age or None,
            "sites": {name: {**site, "database": site["database"][0] if len(site["database"]) == 1 else site["database"]} for name, site in sites.items()},
            "readings": readings, **silent, "limits": args.get("limits") or {},
            "nameserver": bool((task_vars.get("groups") or {}).get("nameserver")),
            "holder_alive": args["holder_alive"] if isinstance(args.get("holder_alive"), bool) else holder_alive(readings),
        }  # fmt: skip

    @staticmethod
    def _failover(args: dict[str, Any], task_vars: dict[str, Any], readings: dict[str, Any]) -> dict[str, Any]:
        """Return what each host saw of the other site, and which power fences the inventory has."""
        given = dict(args.get("failover") or {})
        searches: dict[str, Any] = {host: reading.get("search") for host, reading in readings.items()}
        power: dict[str, Any] = {}
        for host in (task_vars.get("groups") or {}).get("database") or []:
            variables = task_vars["hostvars"][host]
            if variables.get("failover_power_command"):
                seconds = variables.get("failover_power_seconds") or 20
                power[str(host)] = plain({"argv": variables["failover_power_command"], "seconds": seconds})
        # Looked for once more, after the power was cut.
        for host, later in (given.get("searches") or {}).items():
            searches[host] = later.get("search") if isinstance(later, dict) else None
        return {"failover": {**given, "searches": searches, "power": power}}

    @staticmethod
    def _sites(groups: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
        """Return the members of each site by group."""
        found = {}
        for name in groups:
            if str(name).startswith("site_"):
                members = {str(host) for host in groups[name]}
                found[str(name)[5:]] = {
                    group: [str(host) for host in groups.get(group) or [] if str(host) in members] for group in GROUPS
                }
        return found

    @staticmethod
    def _claim(args: dict[str, Any], facts: dict[str, Any], number: int) -> dict[str, Any]:
        """Return this run's name and what it says to the hosts when it asks to be the one that operates."""
        pid, _ = controller()
        run = args.get("run") or time.strftime("plain-%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{pid}"
        claim = {
            "number": number, "run": run, "lease_seconds": float(args.get("lease_seconds") or LEASE_SECONDS),
            "holder": f"{getpass.getuser()}@{socket.gethostname()} pid {pid} since {started(pid) or 0}",
        }  # fmt: skip
        held = [
            (reading.get("state") or {}).get("operation") or {}
            for reading in facts["readings"].values()
            if isinstance(reading.get("state"), dict)
        ]
        gone = [operation.get("run") for operation in held if operation.get("open")]
        if facts["holder_alive"] is False and gone:
            claim["taking_over"] = gone[0]
        return {"run": run, "claim": claim}

    def _connection_of(
        self, host: str, reading: dict[str, Any], task_vars: dict[str, Any], secrets: bool
    ) -> dict[str, Any]:
        """Return how the conductor reaches a host: as Ansible does, over Ansible's own open connection where there is one."""
        variables = task_vars["hostvars"][host]
        ssh = connection_loader.get("ssh", self._play_context)
        ssh.set_options(
            var_options={
                name: variables[name]
                for name in constants.config.get_plugin_vars("connection", "ssh")
                if name in variables
            }
        )
        address = str(variables.get("ansible_host") or host)
        port, user = ssh.get_option("port"), ssh.get_option("remote_user") or getpass.getuser()
        words = [str(ssh.get_option(name) or "") for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")]
        if ssh.get_option("host_key_checking") is False:
            words.append("-o StrictHostKeyChecking=no")
        if "controlpersist" in " ".join(words).lower() and "controlpath" not in " ".join(words).lower():
            pattern = ssh.get_option("control_path") or ssh._create_control_path(address, port, user)
            words.append(
                '-o ControlPath="%s"' % (pattern % {"directory": unfrackpath(ssh.get_option("control_path_dir"))})
            )
        conduct = {
            "address": address, "port": port, "user": str(user), "private_key_file": ssh.get_option("private_key_file"),
            "ssh_args": " ".join(word for word in words if word), "python": str(variables.get("ansible_python_interpreter") or "/usr/bin/python3"),
            "site": str(variables.get("site") or reading.get("site") or ""), "config": reading.get("config") or {},
        }  # fmt: skip
        password = (
            variables.get("ansible_become_password")
            or variables.get("ansible_become_pass")
            or self._play_context.become_pass
        )
        if secrets and password:
            conduct["become_password"] = str(password)
        return {key: plain(value) for key, value in conduct.items()}
