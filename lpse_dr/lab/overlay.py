"""From templates to what is laid over the image on one host: a tar archive.

`overlay/<kind>/<path on the host>` holds the files of a kind of host; every one is a Jinja2 template with undefined
names refused. To add a file to a kind of host, put it there.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import role_files
from .material import Material
from .model import Lab, LabHost

ZONE = "lomboktengah.test"
SERVICE = f"spse.{ZONE}"
FIRST_SITE = "pdc"
_HERE = Path(__file__).resolve().parent
_DEBIAN = "/lib/systemd/system"
_OWN = "/etc/systemd/system"

# What the image numbers; owners known only by name are set by the host itself at first boot (OWNERS_BY_NAME).
_LPSE_DR, _APPSERV, _FILES = 5001, 5002, 5003
# path -> (uid, gid, mode). Everything else is root's, 0755 when it starts with #!, else 0644.
_SPECIAL: dict[str, tuple[int, int, int]] = {
    "etc/ssh/ssh_host_ed25519_key": (0, 0, 0o600),
    "home/lpse-dr/.ssh": (_LPSE_DR, _LPSE_DR, 0o700),
    "home/lpse-dr/.ssh/authorized_keys": (_LPSE_DR, _LPSE_DR, 0o600),
    "home/lpse-dr-files/.ssh": (_FILES, _FILES, 0o700),
    "home/lpse-dr-files/.ssh/authorized_keys": (_FILES, _FILES, 0o600),
    "etc/lpse-dr/files_key": (0, 0, 0o600),
    "etc/lpse-dr/tsig.key": (0, 0, 0o600),
    "etc/lpse-dr/fence.key": (0, 0, 0o600),
    "etc/lpse-dr/tsig.conf": (0, 0, 0o600),
    "etc/lpse-dr/server.key": (0, 0, 0o600),
    "etc/lpse-dr/replicator.pgpass": (0, 0, 0o600),
    "etc/lpse-dr/backup.pgpass": (0, 0, 0o600),
    "etc/spse/pgpass": (_APPSERV, _APPSERV, 0o600),
    "etc/haproxy/front-door.pem": (0, 0, 0o600),
    "etc/knot/knot.conf": (0, 0, 0o600),
    "usr/local/lib/lpse-lab/init.env": (0, 0, 0o600),
}


@dataclass(frozen=True)
class Kind:
    """A kind of host: which units start, what waits for its first boot, who owns what."""

    units: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    owners: tuple[tuple[str, str], ...] = ()


_GUARD = {"lpse-dr-fence.service": "multi-user"}
_KINDS: dict[str, Kind] = {
    "gateway": Kind({"nftables.service": "sysinit", "haproxy.service": "multi-user", **_GUARD}, ("haproxy.service",)),
    "application": Kind({"spse.service": "multi-user", "lpse-dr-files.timer": "timers", **_GUARD}, ("spse.service",)),
    "database": Kind(
        {"postgresql.service": "multi-user", **_GUARD},
        owners=(("/etc/lpse-dr/server.key", "postgres:"), ("/etc/lpse-dr/replicator.pgpass", "postgres:")),
    ),
    "nameserver": Kind(
        {"knot.service": "multi-user", **_GUARD},
        ("knot.service",),
        (("/etc/knot/knot.conf", "knot:"), (f"/var/lib/knot/{ZONE}.zone", "knot:")),
    ),
    "vault": Kind(),
    "jump": Kind(_GUARD),
    "client": Kind(),
    "workstation": Kind(),
}
_COMMON_UNITS = {
    "lpse-lab-network.service": "sysinit",
    "lpse-lab-firstboot.service": "multi-user",
    "ssh.service": "multi-user",
}
# Where the programs of the other parts of the lab go, by the beginning of their names.
_PROGRAMS = {"opt/spse": ("spse",), "opt/lpse-lab": ("probe", "load", "bids")}


def overlay(lab: Lab, host: LabHost, material: Material, now: float, wheel: tuple[str, bytes] | None = None) -> bytes:
    """Return the tar archive for `host`. `now` is the time at which its first epoch began.

    With `wheel`, the host becomes a jump host: the package and the office, which must be written already.
    """
    kind = _KINDS[host.groups[0]]
    values = _values(lab, host, material, now)
    values["owners"] = kind.owners
    before = (lab.variant.database_unit,) if "database" in host.groups else kind.before
    values["firstboot_before"] = " ".join(before) or "multi-user.target"
    archive = _Archive()
    for folder in ("common", host.groups[0]):
        for path, text in _render(_HERE / "overlay" / folder, values):
            archive.add(path, text.encode())
    for path, content in role_files.files(lab, host, material.passwords["fence"]):
        archive.add(path, content)
    if kind.owners or (_HERE / "overlay" / host.groups[0] / "usr/local/lib/lpse-lab/firstboot.d").is_dir():
        archive.link(f"etc/systemd/system/multi-user.target.wants/{_FIRSTBOOT}", f"{_OWN}/{_FIRSTBOOT}")
    for unit, target in {**_COMMON_UNITS, **kind.units}.items():
        if unit != _FIRSTBOOT:
            own = any(name == f"etc/systemd/system/{unit}" for name in archive.names)
            archive.link(f"etc/systemd/system/{target}.target.wants/{unit}", f"{_OWN if own else _DEBIAN}/{unit}")
    for target, prefixes in _PROGRAMS.items():
        for program in sorted((_HERE / "image").glob("*.py")):
            if program.name.startswith(prefixes):
                archive.add(f"{target}/{program.name}", program.read_bytes())
    if wheel:
        _install(archive, wheel[1], lab.variant.python)
        for file in sorted(lab.office.rglob("*")):
            if file.is_file():
                secret = file.stat().st_mode & 0o077 == 0
                owner = (_LPSE_DR, _LPSE_DR, 0o600) if secret else None
                archive.add(f"etc/lpse-dr/{file.relative_to(lab.office)}", file.read_bytes(), owner)
    return archive.close()


def _install(archive: _Archive, wheel: bytes, python: str) -> None:
    """Lay a wheel out as an installer does. pip on two hosts would cost four seconds of processor at every `up`."""
    packages = f"{_VENV}/lib/python{python}/site-packages"
    with zipfile.ZipFile(io.BytesIO(wheel)) as package:
        for name in package.namelist():
            archive.add(f"{packages}/{name}", package.read(name))
            if name.endswith(".dist-info/RECORD"):
                archive.add(f"{packages}/{name.replace('RECORD', 'INSTALLER')}", b"lpse-dr-lab\n")
    script = f"#!/{_VENV}/bin/python\nimport sys\nfrom lpse_dr.cli.main import entry\nsys.exit(entry())\n"
    archive.add(f"{_VENV}/bin/lpse-dr", script.encode())
    archive.link("usr/local/bin/lpse-dr", f"/{_VENV}/bin/lpse-dr")


_VENV = "opt/lpse-dr/venv"
_FIRSTBOOT = "lpse-lab-firstboot.service"


def _values(lab: Lab, host: LabHost, material: Material, now: float) -> dict[str, Any]:
    """Return what the templates may use."""
    gateways = {h.site: h for h in lab.in_group("gateway")}
    applications = {h.site: h for h in lab.in_group("application")}
    databases = {h.site: h for h in lab.in_group("database")}
    ns = lab.in_group("nameserver")[0]
    sites = sorted(site for site in gateways if site)
    sites.sort(key=lambda site: site != FIRST_SITE)
    other = next((site for site in sites if site != host.site), None)
    via = gateways[host.site].addresses[host.via] if host.via else None
    resolves = host.groups[0] in ("client", "application", "gateway", "workstation", "jump")
    staff = [h.address("office") or h.address("dmz") for h in lab.hosts.values() if _is_staff(h)]
    state: dict[str, Any] = {"operation": None, "epoch": {"number": 1, "site": FIRST_SITE, "at": now}}
    if host.site == FIRST_SITE and "database" in host.groups:
        # Nobody of the other site is there yet when the first database starts.
        state["lift"] = {
            "by": "lab",
            "reason": "first start",
            "epoch": 1,
            "at": now,
            "until": now + 600,
            "used": None,
        }
    return {
        "lab": lab,
        "variant": lab.variant,
        "host": host,
        "material": material,
        "zone": ZONE,
        "first_site": FIRST_SITE,
        "standby_site": next(site for site in sites if site != FIRST_SITE),
        "state_json": json.dumps({**state, "prepared": None, "fired": None, "halted": None, "saved": {}}),
        "net": {segment: network.subnet for segment, network in lab.networks.items()},
        "default_gateway": via,
        "routes": list(_routes(lab, host)),
        "resolver": ns.address("public") if resolves else None,
        "sites": [{"name": site, "app": applications[site].address("dmz")} for site in sites],
        "app_hosts": list(applications.values()),
        "db": [databases[site].address("data") for site in sites],
        "app": [applications[site].address("dmz") for site in sites],
        "ns": ns.address("public"),
        "vault": lab.in_group("vault")[0].address("data"),
        "vaults": lab.in_group("vault"),
        "staff": staff,
        "jumps": [host.address("office") or host.address("dmz") for host in lab.in_group("jump")],
        "links": [gateways[site].address("wan") for site in sites],
        "fence_port": role_files.FENCE_PORT,
        "public_gateways": [gateways[site].address("public") for site in sites],
        "own_db": databases[host.site].address("data") if host.site else None,
        "other_db": databases[other].address("data") if host.site and other else None,
        "own_app": applications[host.site].address("dmz") if host.site else None,
        "peer_gateway": gateways[other].address("wan") if host.site and other else None,
        "front_addresses": [
            address for kind in ("public", "dmz", "office") if (address := host.address(kind)) is not None
        ],
    }


def _is_staff(host: LabHost) -> bool:
    return host.groups[0] in ("workstation", "jump")


def _routes(lab: Lab, host: LabHost) -> Iterator[dict[str, str]]:
    """Yield the static routes: gateways reach the other site over the link, the name server both by `public`."""
    common = {"gateway": "wan", "nameserver": "public"}.get(host.groups[0])
    if common is None:
        return
    for gateway in lab.in_group("gateway"):
        if gateway.name == host.name:
            continue
        for segment in gateway.addresses:
            if segment.startswith(f"{gateway.site}-"):
                yield {"to": lab.networks[segment].subnet, "via": gateway.addresses[common]}


def _render(folder: Path, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (path on the host, text) for each template below `folder`; names of files are templates too."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".keep":
            name = environment.from_string(str(path.relative_to(folder))).render(values)
            yield name, environment.from_string(path.read_text()).render(values)


class _Archive:
    """A tar archive of files with owners and modes; only folders with a meaning of their own are in it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 (closed in close)

    def add(self, path: str, content: bytes, owner: tuple[int, int, int] | None = None) -> None:
        parent = path.rpartition("/")[0]
        if parent in _SPECIAL and parent not in self.names:
            folder = tarfile.TarInfo(parent)
            folder.type = tarfile.DIRTYPE
            self._put(folder, parent, _SPECIAL[parent])
        info = tarfile.TarInfo(path)
        info.size = len(content)
        usual = (0, 0, 0o755 if content.startswith(b"#!") else 0o644)
        self._put(info, path, owner or _SPECIAL.get(path, usual), io.BytesIO(content))

    def link(self, path: str, target: str) -> None:
        info = tarfile.TarInfo(path)
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self._put(info, path, (0, 0, 0o777))

    def close(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()

    def _put(
        self, info: tarfile.TarInfo, path: str, owner: tuple[int, int, int], content: io.BytesIO | None = None
    ) -> None:
        info.uid, info.gid, info.mode = owner
        self.names.append(path)
        self._tar.addfile(info, content)
