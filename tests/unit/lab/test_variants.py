"""The variants of the lab: what is laid on the hosts and in the office follows them, and package sources do."""

from __future__ import annotations

import dataclasses
import io
import ipaddress
import json
import platform
import re
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from lpse_dr.errors import LabError
from lpse_dr.lab import manage, material, model, office_folder, overlay, rootfs, topology
from lpse_dr.lab.model import BOOKWORM, TRIXIE, VARIANTS, Lab, Variant

BLOCK = ipaddress.IPv4Network("172.30.7.0/24")
DEB822 = """\
# a comment that names bookworm
Types: deb
URIs: http://mirror.test/bookworm/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-bookworm-stable.gpg
"""
ONE_LINE = (
    "deb [signed-by=/k/bookworm.gpg] http://mirror.test/debian bookworm main\n# deb http://old.test bookworm main\n"
)


@pytest.fixture(params=list(VARIANTS.values()), ids=list(VARIANTS))
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("lpse_dr.office.SYSTEM_STATE", tmp_path / "state")
    return topology.plan("unit", BLOCK, request.param)


@pytest.fixture(scope="module")
def secret() -> material.Material:
    hosts = {name: ["172.30.7.1"] for name in topology.host_names()}
    return material.make(hosts, ["pdc-db", "drc-db"], ["pdc-app", "drc-app", "drc-vault"], overlay.SERVICE)


def laid(lab: Lab, secret: material.Material, host: str) -> dict[str, str]:
    """Return path -> text of what is rendered for a host; the programs are the same everywhere."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(overlay.overlay(lab, lab.hosts[host], secret, 1.0))) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            stream = archive.extractfile(member)
            if stream and not member.name.endswith(".py"):
                found[member.name] = stream.read().decode()
    return found


def foreign(variant: Variant) -> re.Pattern[str]:
    """Match what only another variant has."""
    words = {
        word
        for other in VARIANTS.values()
        if other != variant
        for word in (
            other.data_directory,
            other.database,
            other.database_unit,
            f"postgresql/{other.postgresql}/",
            f"python{other.python}",
        )
    }
    ports = "|".join(str(other.port) for other in VARIANTS.values() if other != variant)
    return re.compile("|".join(map(re.escape, words)) + rf"|\b({ports})\b")


def test_nothing_on_a_host_names_another_variant(lab: Lab, secret: material.Material) -> None:
    for host in lab.hosts:
        for path, text in laid(lab, secret, host).items():
            if not path.endswith((".pem", ".crt", ".key", "_key", "pgpass", "init.env")):
                assert not foreign(lab.variant).search(f"{path}\n{text}"), f"{host}: {path}"


def test_the_database_is_laid_out_as_the_variant_says(lab: Lab, secret: material.Material) -> None:
    variant = lab.variant
    files = laid(lab, secret, "drc-db")
    settings = files[f"etc/postgresql/{variant.database}/postgresql.conf"]
    assert f"data_directory = '{variant.data_directory}'" in settings
    assert f"port = {variant.port}\n" in settings
    assert f" port={variant.port} " in files[f"etc/postgresql/{variant.database}/conf.d/50-lpse-dr.conf"]
    assert f"Before={variant.database_unit}\n" in files["etc/systemd/system/lpse-lab-firstboot.service"]
    assert laid(lab, secret, "pdc-gateway")["etc/nftables.conf"].count(str(variant.port)) == 3
    assert f"port={variant.port} " in laid(lab, secret, "pdc-app")["etc/spse/spse.env"]
    for path in ("etc/spse/pgpass", "etc/lpse-dr/replicator.pgpass"):
        host = "pdc-app" if "spse" in path else "pdc-db"
        assert all(line.split(":")[1] == str(variant.port) for line in laid(lab, secret, host)[path].splitlines())


def test_the_inventory_says_the_same(lab: Lab, secret: material.Material) -> None:
    office_folder.write(lab, secret)
    said = yaml.safe_load((lab.office / "inventory" / "group_vars" / "database" / "cluster.yml").read_text())
    assert said == {
        "database_port": lab.variant.port,
        "database_cluster": lab.variant.database,
        "database_data_directory": lab.variant.data_directory,
    }


def test_a_lab_remembers_its_variant_and_an_older_record_is_of_the_first(lab: Lab) -> None:
    lab.folder.mkdir(parents=True)
    model.save(lab)
    assert model.load_lab("unit") == lab
    path = lab.folder / "lab.json"
    record = json.loads(path.read_text())
    del record["variant"]
    path.write_text(json.dumps(record))
    assert model.load_lab("unit").variant == BOOKWORM


def test_the_wheels_and_the_first_program_follow_the_suite() -> None:
    assert rootfs.tag(BOOKWORM) != rootfs.tag(TRIXIE)
    assert rootfs.tag() == rootfs.tag(BOOKWORM)
    assert rootfs.tag(dataclasses.replace(BOOKWORM, postgresql=16)) != rootfs.tag()
    assert rootfs._changes(BOOKWORM)[0] == 'CMD ["/sbin/init"]'
    assert rootfs._changes(TRIXIE)[0] == 'CMD ["/sbin/init", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            DEB822,
            "Types: deb\nURIs: http://mirror.test/bookworm/debian\nSuites: trixie trixie-updates\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-bookworm-stable.gpg\n",
        ),
        (ONE_LINE, "deb [signed-by=/k/bookworm.gpg] http://mirror.test/debian trixie main\n"),
        (ONE_LINE.replace(" bookworm main", " trixie main"), ONE_LINE.splitlines()[0].replace(" bookworm ", " trixie ") + "\n"),
        ("deb http://mirror.test/debian jammy main\n", ""),
    ],
    ids=["deb822", "one-line", "already", "another distribution"],
)  # fmt: skip
def test_the_machines_own_sources_are_turned_to_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wanted: str
) -> None:
    (tmp_path / "list").write_text(text)
    monkeypatch.setattr(rootfs, "_SOURCES", (tmp_path / "absent", tmp_path / "list"))
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    assert rootfs._sources("trixie") == wanted
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "ubuntu", "VERSION_CODENAME": "bookworm"})
    assert rootfs._sources("trixie") == (wanted if "trixie" in text else "")


def test_a_variant_that_is_not_there_and_a_lab_of_another(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="no variant 'sid'"):
        manage.up("unit", lambda _: None, variant="sid")
    monkeypatch.setattr(manage, "status", lambda name: model.LabStatus(name, "up", {}, (), None))
    monkeypatch.setattr(manage, "load_lab", lambda _: lab)
    other = next(name for name in VARIANTS if name != lab.variant.name)
    with pytest.raises(LabError, match="and not of") as raised:
        manage.up("unit", lambda _: None, variant=other)
    assert "lab down" in raised.value.hint
    assert manage.up("unit", lambda _: None, variant=lab.variant.name) == lab


def test_certificates_hold_before_a_strict_reader(secret: material.Material) -> None:
    """Python 3.13 refuses a chain without key identifiers."""
    authority = x509.load_pem_x509_certificate(secret.authority.encode())
    key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.key_identifier
    assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    for certificate in (secret.front_door, *secret.certificates.values()):
        leaf = x509.load_pem_x509_certificate(certificate.certificate.encode())
        assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key
