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
_PACKAGE = Path(__file__).resolve().parent.parent / "plugins" / "module_utils" / "lpse_dr_host"
_UNITS = "etc/systemd/system"
FENCE_PORT = 7323
# Where a guard is asked, by the group of its host: the same as in the inventory.
_FENCE_SEGMENTS = {"database": ("data",), "gateway": ("wan",), "nameserver": ("public",), "jump": ("office", "dmz")}
_FENCE_ROLES = ("database", "application", "gateway", "nameserver", "jump")


def files(lab: Lab, host: LabHost, fence_key: str) -> Iterator[tuple[str, bytes]]:
    """Yield (path on the host, content) of everything that roles install on this kind of host."""
    roles = content_root() / "roles"
    if host.groups[0] in _FENCE_ROLES:
        yield from _fence(lab, host, roles / "fence", fence_key)
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
    yield from _verbs("usr/lib/lpse-dr")


def _verbs(folder: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(_PACKAGE.glob("*.py")):
        yield f"{folder}/lpse_dr_host/{path.name}", path.read_bytes()


def _fence(lab: Lab, host: LabHost, role: Path, key: str) -> Iterator[tuple[str, bytes]]:
    kind = host.groups[0]
    defaults = _defaults(role)
    asks = kind in ("database", "application")
    settings = {
        **{
            name: defaults[f"fence_{name}"] for name in ("port", "listen", "key_file", "grant_seconds", "ask_seconds")
        },
        **{name: defaults[f"fence_{name}"] for name in ("sole_survivor_minutes", "lease_seconds")},
        "host": host.name,
        "site": host.site or "",
        "role": kind,
        "learns": kind in ("nameserver", "jump"),
        "witnesses": list(_witnesses(lab, host)) if asks else [],
        "config": _watched(lab, host, role.parent) if asks else {},
    }
    unit = lab.variant.database_unit if kind == "database" else ""
    yield "etc/lpse-dr/fence.json", (json.dumps(settings, indent=1) + "\n").encode()
    yield "etc/lpse-dr/fence.key", f"{key}\n".encode()
    service = _render(role / "templates" / "lpse-dr-fence.service.j2", {"fence_before": unit})
    yield f"{_UNITS}/lpse-dr-fence.service", service
    yield "usr/lib/lpse-dr-fence/lpse-dr-fence", (role / "files" / "lpse-dr-fence").read_bytes()
    yield from _verbs("usr/lib/lpse-dr-fence")
    if unit:
        drop_in = (role / "files" / "lpse-dr-fence.conf").read_bytes()
        yield f"{_UNITS}/{unit.removesuffix('.service')}.service.d/lpse-dr-fence.conf", drop_in
        # A cluster that is being made is not fenced.
        yield f"{_UNITS}/lpse-dr-fence.service.d/lab.conf", b"[Unit]\nAfter=lpse-lab-firstboot.service\n"


def _witnesses(lab: Lab, own: LabHost) -> Iterator[dict[str, Any]]:
    for kind, segments in _FENCE_SEGMENTS.items():
        for host in lab.in_group(kind):
            address = next((host.address(segment) for segment in segments if host.address(segment)), None)
            if host.name != own.name:
                site = host.site or ""
                yield {"host": host.name, "site": site, "role": kind, "address": address, "port": FENCE_PORT}


def _watched(lab: Lab, host: LabHost, roles: Path) -> dict[str, Any]:
    """Return what the guard gets to know of the service here, as that service's own role would tell it."""
    kind = host.groups[0]
    if kind == "application":
        health = f"http://{host.address('dmz')}:9009/health"
        return {**_defaults(roles / kind), "application_health_url": health}
    variant = lab.variant
    own = {"port": variant.port, "cluster": variant.database, "data_directory": variant.data_directory}
    return {**_defaults(roles / kind), **{f"database_{name}": value for name, value in own.items()}}


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
