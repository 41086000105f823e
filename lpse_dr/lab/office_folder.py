"""Render inventories/lab into the OFFICE folder of one lab."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ..content import content_root
from .material import Material
from .model import Lab


def write(lab: Lab, material: Material) -> None:
    """Write OFFICE afresh. Files ending in .j2 are templates; the topology is the lab's own and stays out."""
    from jinja2 import Environment, StrictUndefined

    source = content_root() / "inventories" / "lab"
    office = lab.office
    if office.exists():
        shutil.rmtree(office)
    office.mkdir(parents=True, mode=0o700)
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    values = {
        "lab": lab,
        "variant": lab.variant,
        "python": sys.executable,
        "hosts": list(lab.hosts.values()),
        "sites": list(dict.fromkeys(host.site for host in lab.hosts.values() if host.site)),
        "vaulted": _encrypted(material),
    }
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.name == "topology.yml":
            continue
        target = office / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text()
        if path.suffix == ".j2":
            target = target.with_suffix("")
            text = environment.from_string(text).render(values)
        target.write_text(text)
    _private(office / "id_ed25519", material.operator.private)
    (office / "id_ed25519.pub").write_text(f"{material.operator.public} lpse-dr lab {lab.name}\n")
    _private(office / "vault_password", material.passwords["vault"] + "\n")
    (office / "ca.pem").write_text(material.authority)
    lines = [f"{host.management} {material.host_keys[host.name].public}\n" for host in lab.hosts.values()]
    (office / "known_hosts").write_text("".join(lines))


def _encrypted(material: Material) -> dict[str, str]:
    """Return the secrets of the office, by variable, encrypted with the office's vault password."""
    from ansible.parsing.vault import VaultLib, VaultSecret

    vault = VaultLib(secrets=[("default", VaultSecret(material.passwords["vault"].encode()))])
    secrets = {
        "vault_traffic_dns_key_secret": material.passwords["tsig"],
        "vault_database_replicator_password": material.passwords["replicator"],
        "vault_fence_key": material.passwords["fence"],
        "vault_application_database_password": material.passwords["epns"],
    }
    return {name: vault.encrypt(secret).decode() for name, secret in secrets.items()}


def _private(path: Path, text: str) -> None:
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(text)
