"""What a lab is, for those who use it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import LabError
from ..i18n import _
from ..office import lab_folder

Progress = Callable[[str], None]
LABEL = "lpse-dr.lab"
_NAME = re.compile(r"[a-z0-9]{1,12}")


@dataclass(frozen=True)
class Variant:
    """What the hosts of a lab are made of: a suite of Debian, and how its PostgreSQL is laid out.

    All twelve hosts are of the one suite, jump hosts too: their wheels are those for the suite's Python.
    """

    name: str
    suite: str
    python: str
    postgresql: int
    port: int
    cluster: str
    data_directory: str
    init_arguments: tuple[str, ...] = ()

    @property
    def database(self) -> str:
        """The cluster's name as Debian says it, and as the inventory says it: MAJOR/NAME."""
        return f"{self.postgresql}/{self.cluster}"

    @property
    def database_unit(self) -> str:
        """The unit of the cluster."""
        return f"postgresql@{self.postgresql}-{self.cluster}.service"


BOOKWORM = Variant("bookworm", "bookworm", "3.11", 15, 5432, "main", "/var/lib/postgresql/15/main")
# Nothing of the database lies where Debian would put it. systemd 257 starts on cgroup v1 only where its command line
# says so (in a container it reads its own); on v2 the word means nothing.
TRIXIE = Variant(
    "trixie", "trixie", "3.13", 17, 5433, "epns", "/srv/pgdata/epns", ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",)
)
VARIANTS = {variant.name: variant for variant in (BOOKWORM, TRIXIE)}


@dataclass(frozen=True)
class LabHost:
    """One host. `addresses` has one entry per segment, `mgmt` always among them."""

    name: str
    container: str
    site: str | None
    groups: tuple[str, ...]
    addresses: dict[str, str]
    via: str | None = None

    @property
    def management(self) -> str:
        """The address at which this machine and the jump hosts reach it."""
        return self.addresses["mgmt"]

    def address(self, kind: str) -> str | None:
        """Return the address in segment `kind`, named without its site (dmz, data, office) or with."""
        for segment, address in self.addresses.items():
            if segment == kind or segment == f"{self.site}-{kind}":
                return address
        return None


@dataclass(frozen=True)
class LabNetwork:
    """One segment: a Docker network. `bridge_address` is this machine's own address on it."""

    segment: str
    name: str
    subnet: str
    bridge_address: str


@dataclass(frozen=True)
class Lab:
    """A lab that is up, or is being built. `office` is the rendered OFFICE folder."""

    name: str
    office: Path
    hosts: dict[str, LabHost]
    networks: dict[str, LabNetwork]
    variant: Variant = BOOKWORM

    @property
    def folder(self) -> Path:
        """Everything that this machine keeps of the lab."""
        return self.office.parent

    @property
    def inventory(self) -> Path:
        """The file to give to ``ansible-playbook -i``."""
        return self.office / "inventory" / "hosts.yml"

    @property
    def key(self) -> Path:
        """Private SSH key of user lpse-dr on every host."""
        return self.office / "id_ed25519"

    def in_group(self, group: str, site: str | None = None) -> list[LabHost]:
        """Return the hosts of a group, of one site where named, in the order of the definition."""
        return [h for h in self.hosts.values() if group in h.groups and site in (None, h.site)]

    def ssh(self, host: str, *command: str) -> list[str]:
        """Return the argv that runs `command` on `host` as user lpse-dr."""
        options = [f"UserKnownHostsFile={self.office / 'known_hosts'}", "StrictHostKeyChecking=yes"]
        options += ["IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=5"]
        flags = [word for option in options for word in ("-o", option)]
        return ["ssh", *flags, "-i", str(self.key), f"lpse-dr@{self.hosts[host].management}", *command]


@dataclass(frozen=True)
class LabStatus:
    """How a lab stands. `state` is absent, down (remains only), partial or up."""

    name: str
    state: str
    containers: dict[str, str]
    missing: tuple[str, ...]
    office: Path | None


def check_name(name: str) -> str:
    """Return the name, or raise LabError: it becomes part of container, network and bridge names."""
    if not _NAME.fullmatch(name):
        text = _("'{name}' cannot be the name of a lab.").format(name=name)
        raise LabError(text, hint=_("Use 1 to 12 lower-case letters and digits."))
    return name


def folder_of(name: str) -> Path:
    """Return STATE/lab/NAME."""
    return lab_folder(check_name(name))


def save(lab: Lab) -> None:
    """Record the plan beside the office, so that a later command knows the addresses."""
    data = {
        "name": lab.name,
        "variant": lab.variant.name,
        "hosts": {name: vars(host) for name, host in lab.hosts.items()},
        "networks": {name: vars(network) for name, network in lab.networks.items()},
    }
    (lab.folder / "lab.json").write_text(json.dumps(data, indent=1) + "\n")


def load_lab(name: str) -> Lab:
    """Return the lab as it was built; LabError where there is none."""
    folder = folder_of(name)
    try:
        data = json.loads((folder / "lab.json").read_text())
        hosts = {key: LabHost(**{**value, "groups": tuple(value["groups"])}) for key, value in data["hosts"].items()}
        networks = {key: LabNetwork(**value) for key, value in data["networks"].items()}
        variant = VARIANTS[data.get("variant", BOOKWORM.name)]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        text = _("The lab '{name}' is not up.").format(name=name)
        raise LabError(text, hint=f"lpse-dr lab up --name {name}") from problem
    return Lab(name=name, office=folder / "office", hosts=hosts, networks=networks, variant=variant)
