"""The lab's definition, without Docker: addresses, files on hosts, the office folder, the errors of a machine."""

from __future__ import annotations

import io
import ipaddress
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from lpse_dr.errors import LabError, OfficeError
from lpse_dr.lab import docker, machine, material, model, office_folder, overlay, rootfs, topology
from lpse_dr.lab.model import Lab

BLOCK = ipaddress.IPv4Network("172.30.7.0/24")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr("lpse_dr.office.SYSTEM_STATE", tmp_path / "state")
    return topology.plan("unit", BLOCK)


@pytest.fixture(scope="module")
def secret() -> material.Material:
    hosts = {name: ["172.30.7.1"] for name in topology.host_names()}
    return material.make(hosts, ["pdc-db", "drc-db"], ["pdc-app", "drc-app", "drc-vault"], overlay.SERVICE)


def files(lab: Lab, secret: material.Material, host: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(overlay.overlay(lab, lab.hosts[host], secret, 1.0))) as archive:
        return {member.name: member for member in archive}


@pytest.mark.parametrize("name", ["", "Lab", "a-b", "thirteenchars", "../x", "a b"])
def test_names_that_cannot_be_a_lab(name: str) -> None:
    with pytest.raises((LabError, OfficeError)) as raised:
        model.check_name(name)
    assert raised.value.hint


def test_every_address_is_in_its_segment_and_nobody_elses(lab: Lab) -> None:
    seen = [network.bridge_address for network in lab.networks.values()]
    for host in lab.hosts.values():
        for segment, address in host.addresses.items():
            assert ipaddress.ip_address(address) in ipaddress.IPv4Network(lab.networks[segment].subnet)
            seen.append(address)
    assert len(seen) == len(set(seen))
    assert len(lab.hosts) == 12 and len(lab.networks) == 8
    assert all(len(f"ld-{'x' * 12}") <= 15 for _ in lab.hosts)


def test_a_plan_survives_its_file(lab: Lab) -> None:
    lab.folder.mkdir(parents=True)
    model.save(lab)
    assert model.load_lab("unit") == lab


def test_every_template_renders_and_secrets_are_private(lab: Lab, secret: material.Material) -> None:
    secrets = [*secret.passwords.values(), secret.operator.private]
    secrets += [key.private for key in (*secret.host_keys.values(), *secret.files_keys.values())]
    for host in lab.hosts:
        with tarfile.open(fileobj=io.BytesIO(overlay.overlay(lab, lab.hosts[host], secret, 1.0))) as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                stream = archive.extractfile(member)
                assert stream
                text = stream.read().decode()
                assert "{{" not in text or member.name.endswith(".py"), member.name
                if any(word in text for word in secrets):
                    assert member.mode & 0o077 == 0, f"{host}: {member.name}"


def test_each_host_starts_what_it_is_for(lab: Lab, secret: material.Material) -> None:
    wants = "etc/systemd/system/multi-user.target.wants"
    for host, unit in [("pdc-db", "postgresql"), ("ns", "knot"), ("drc-app", "spse"), ("pdc-gateway", "haproxy")]:
        found = files(lab, secret, host)
        assert f"{wants}/{unit}.service" in found
        assert f"{wants}/ssh.service" in found
        assert "etc/systemd/system/sysinit.target.wants/lpse-lab-network.service" in found
    assert f"{wants}/postgresql.service" not in files(lab, secret, "vendor")


def test_the_office_is_complete_and_private(lab: Lab, secret: material.Material) -> None:
    office_folder.write(lab, secret)
    inventory = yaml.safe_load(lab.inventory.read_text())["all"]["children"]
    sites = [set(inventory[group]["hosts"]) for group in inventory if group.startswith("site_")]
    assert len(sites) == 2 and not sites[0] & sites[1]
    listed = {host for group in inventory.values() for host in group["hosts"]}
    assert listed == set(lab.hosts)
    for name in ("id_ed25519", "vault_password"):
        assert (lab.office / name).stat().st_mode & 0o077 == 0
    everything = "".join(path.read_text() for path in lab.office.rglob("*") if path.is_file())
    assert secret.passwords["tsig"] not in everything
    assert len((lab.office / "known_hosts").read_text().splitlines()) == len(lab.hosts)
    assert not (lab.office / "topology.yml").exists()


def test_two_labs_share_no_secret() -> None:
    first, second = (material.make({"ns": ["192.0.2.1"]}, [], [], overlay.SERVICE) for _ in range(2))
    assert first.operator != second.operator
    assert not set(first.passwords.values()) & set(second.passwords.values())


def test_the_image_is_named_after_its_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rootfs.tag()
    copy = tmp_path / "image"
    shutil.copytree(rootfs._HERE, copy)
    monkeypatch.setattr(rootfs, "_HERE", copy)
    assert rootfs.tag() == before
    with (copy / "packages.txt").open("a") as stream:
        stream.write("tree\n")
    assert rootfs.tag() != before


def test_blocks_in_use_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [ipaddress.IPv4Network("172.30.0.0/23"), ipaddress.IPv4Network("172.30.2.32/27")]
    monkeypatch.setattr(topology, "_taken", lambda: iter(taken))
    assert str(next(topology.free_blocks())) == "172.30.3.0/24"
    monkeypatch.setattr(topology, "_taken", lambda: iter([topology.POOL]))
    assert list(topology.free_blocks()) == []


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "systemctl start docker"),
        ("permission denied while trying to connect to the Docker daemon socket", "usermod"),
    ],
)
def test_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, error: str, cure: str) -> None:
    def fail(*_: Any, **__: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], 1, b"", error.encode())

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(LabError) as raised:
        docker.run("ps")
    assert cure in raised.value.hint


def test_docker_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError) as raised:
        docker.run("ps")
    assert "docker.io" in raised.value.hint


def test_image_needs_disk_and_mmdebstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lpse_dr.office.SYSTEM_STATE", tmp_path / "state")
    monkeypatch.setattr(docker, "run", lambda *words, **_: "" if words[0] == "image" else str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LabError, match="mmdebstrap"):
        rootfs.ensure(lambda _: None)
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LabError, match="3 GB of free disk"):
        rootfs.ensure(lambda _: None)


def test_the_inotify_limit_is_raised_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    monkeypatch.setattr(machine, "_INSTANCES", limit)
    monkeypatch.setattr(docker, "run", lambda *_, **__: "a b c")
    said: list[str] = []
    machine.prepare(12, said.append)
    assert limit.read_text() == "1024\n" and said
    limit.write_text("128\n")
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(LabError) as raised:
        machine.prepare(12, said.append)
    assert "sysctl" in raised.value.hint


def test_bridges_without_a_firewall_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_BRIDGE_FILTER", tmp_path / "absent")
    with pytest.raises(LabError, match="isolate"):
        machine.check_bridges()
