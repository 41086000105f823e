"""What the roles bring to hosts, laid there from the beginning: the lab is an office in which the roles have been installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..content import content_root
from .model import Lab, LabHost

# A pull every few seconds: the lab wants to see the stream move. The inventory says the same to the roles.
_FILES_INTERVAL_SECONDS = 5


def files(lab: Lab, host: LabHost) -> Iterator[tuple[str, bytes]]:
    """Yield (path on the host, content) of everything that roles install on this kind of host."""
    roles = content_root() / "roles"
    if "gateway" in host.groups:
        yield from _front_door(lab, roles / "traffic")
    if "application" in host.groups:
        yield from _file_stream(lab, host, roles / "files")
        drop_in = roles / "application" / "files" / "lpse-dr.conf"
        yield "etc/systemd/system/spse.service.d/lpse-dr.conf", drop_in.read_bytes()


def _front_door(lab: Lab, role: Path) -> Iterator[tuple[str, bytes]]:
    applications = lab.in_group("application")
    sites = [{"name": host.site, "app": host.address("dmz")} for host in applications]
    values = {**_defaults(role), "sites": sites}
    yield "etc/haproxy/haproxy.cfg", _render(role / "templates" / "haproxy.cfg.j2", values)
    yield "etc/haproxy/lpse-dr.lua", (role / "files" / "lpse-dr.lua").read_bytes()


def _file_stream(lab: Lab, host: LabHost, role: Path) -> Iterator[tuple[str, bytes]]:
    peer = next(other for other in lab.in_group("application") if other.name != host.name)
    config = {
        **_defaults(role.parent / "application"),
        **_defaults(role),
        "application_health_url": f"http://{host.address('dmz')}:9009/health",
        "files_peer_address": peer.address("dmz"),
        "files_interval_seconds": _FILES_INTERVAL_SECONDS,
    }
    given = {"host": host.name, "site": host.site, "config": config}
    yield "etc/lpse-dr/files.json", (json.dumps(given, indent=1) + "\n").encode()
    units = "etc/systemd/system"
    yield f"{units}/lpse-dr-files.timer", _render(role / "templates" / "lpse-dr-files.timer.j2", config)
    yield f"{units}/lpse-dr-files.service", (role / "files" / "lpse-dr-files.service").read_bytes()
    yield "usr/lib/lpse-dr/lpse-dr-files", (role / "files" / "lpse-dr-files").read_bytes()
    package = Path(__file__).resolve().parent.parent / "plugins" / "module_utils" / "lpse_dr_host"
    for path in sorted(package.glob("*.py")):
        yield f"usr/lib/lpse-dr/lpse_dr_host/{path.name}", path.read_bytes()


def _defaults(role: Path) -> dict[str, Any]:
    """Return the role's defaults that are plain values; what depends on other variables is given by the caller."""
    everything: dict[str, Any] = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    return {key: value for key, value in everything.items() if "{{" not in str(value)}


def _render(path: Path, values: dict[str, Any]) -> bytes:
    """Render as Ansible's template module does: with trim_blocks, undefined names refused."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )
    return environment.from_string(path.read_text()).render(values).encode()
