"""What breaks, and how everything that was broken is mended. Each fault is a function of the lab and the two sites."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable

from lpse_dr.errors import LabError
from lpse_dr.lab import docker, power
from lpse_dr.lab.model import Lab

from ..e2e import reality

DATA = "/var/lib/postgresql/15/main"


class World:
    """A lab under fault injection; ``heal`` mends all that was broken, and may be called again."""

    def __init__(self, lab: Lab, source: str, target: str) -> None:
        self.lab, self.source, self.target = lab, source, target
        self.gone: set[str] = set()
        self._frozen: dict[str, threading.Timer] = {}
        self._cut_off: list[str] = []

    def lose(self, *hosts: str) -> None:
        """Cut the power of hosts in one moment."""
        self.gone.update(hosts)
        docker.run("kill", *[self.lab.hosts[host].container for host in hosts])

    def kill_postgres(self, site: str) -> None:
        """End the server process of a site with SIGKILL."""
        reality.on(self.lab, f"{site}-db", f"kill -9 $(head -1 {DATA}/postmaster.pid); true")

    def freeze(self, host: str, seconds: float) -> None:
        """Stop a host where it stands; it goes on by itself later, as if nothing had been."""
        power.freeze(self.lab, host)
        timer = threading.Timer(seconds, self._thaw, (host,))
        self._frozen[host] = timer
        timer.start()

    def _thaw(self, host: str) -> None:
        if self._frozen.pop(host, None):
            power.thaw(self.lab, host)

    def no_ssh(self, host: str) -> None:
        """Let a host's SSH die, with every connection that it had."""
        reality.on(self.lab, host, "systemctl stop ssh.socket ssh.service 2>/dev/null; pkill -x sshd; true")

    def cut_from_here(self, host: str) -> None:
        """Let this machine, which is the jump host, and one host no longer hear each other."""
        self._filter(host, "-I")
        self._cut_off.append(host)

    def _filter(self, host: str, what: str) -> None:
        pid = docker.run("inspect", "-f", "{{.State.Pid}}", self.lab.hosts[host].container).strip()
        here = self.lab.networks["mgmt"].bridge_address
        rule = ["nsenter", "-t", pid, "-n", "iptables", what, "INPUT", "-s", here, "-j", "DROP"]
        subprocess.run(rule, check=True, capture_output=True)

    def heal(self) -> None:
        """Mend the network, thaw, switch on what is off."""
        power.mend_all(self.lab)
        for host in list(self._frozen):
            self._frozen[host].cancel()
            self._thaw(host)
        for host in self._cut_off:
            # A host that was switched off and on has a new, empty table.
            with contextlib.suppress(subprocess.CalledProcessError, LabError):
                self._filter(host, "-D")
        self._cut_off.clear()
        off = [host for host in self.lab.hosts if not power.is_on(self.lab, host)]
        power.power_on(self.lab, *off)
        self.gone.clear()
        for host in self.lab.hosts:
            with contextlib.suppress(LabError):
                reality.on(self.lab, host, "systemctl is-active -q ssh || systemctl start ssh; true")


def fault(world: World, name: str, frozen_seconds: float) -> None:
    """Let it happen. ``kill_run`` and ``old_returns`` are the caller's: they are no act on these hosts alone."""
    lab, source, target = world.lab, world.source, world.target
    acts: dict[str, Callable[[], object]] = {
        "kill_postgres_source": lambda: world.kill_postgres(source),
        "kill_postgres_target": lambda: world.kill_postgres(target),
        "lose_target_db": lambda: world.lose(f"{target}-db"),
        "lose_target_app": lambda: world.lose(f"{target}-app"),
        "lose_source_app": lambda: world.lose(f"{source}-app"),
        "lose_target_gateway": lambda: world.lose(f"{target}-gateway"),
        "cut_wan": lambda: power.cut_segment(lab, "wan"),
        "cut_databases": lambda: power.cut_between(lab, f"{source}-db", f"{target}-db"),
        "cut_jump_source": lambda: world.cut_from_here(f"{source}-db"),
        "freeze_target_db": lambda: world.freeze(f"{target}-db", frozen_seconds),
        "freeze_source_app": lambda: world.freeze(f"{source}-app", frozen_seconds),
        "no_ssh_target_db": lambda: world.no_ssh(f"{target}-db"),
        "restart_haproxy_source": lambda: reality.on(lab, f"{source}-gateway", "systemctl restart haproxy"),
        "restart_haproxy_target": lambda: reality.on(lab, f"{target}-gateway", "systemctl restart haproxy"),
        "old_returns": lambda: power.power_on(lab, *sorted(world.gone)),
    }
    acts[name]()
