"""Bring a lab up, take it down, tell how it stands.

python -m lpse_dr.lab.manage up|down|status NAME [VARIANT]
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import LabError
from ..i18n import _
from ..office import state_folder
from . import check, containers, docker, firewall, machine, material, office_folder, overlay, rootfs, topology, wheel
from .model import (
    BOOKWORM,
    LABEL,
    VARIANTS,
    Lab,
    LabHost,
    LabStatus,
    Progress,
    Variant,
    check_name,
    folder_of,
    load_lab,
    save,
)

__all__ = ["Lab", "LabError", "LabStatus", "down", "load_lab", "names", "state_folder", "status", "up"]


def up(name: str, progress: Progress, variant: str = BOOKWORM.name) -> Lab:
    """Return the lab, running. One that already runs is returned at once; half a lab is built again.

    Whatever ends it early, Ctrl-C too, it removes what it made. `variant` is one of VARIANTS.
    """
    check_name(name)
    if variant not in VARIANTS:
        text = _("There is no variant '{name}' of the lab.").format(name=variant)
        raise LabError(text, hint=_("One of: {names}.").format(names=", ".join(VARIANTS)))
    with _locked(name):
        now = status(name)
        if now.state == "up":
            lab = load_lab(name)
            if lab.variant.name != variant:
                raise LabError(
                    _("The lab '{name}' is up, made of {found} and not of {wanted}.").format(
                        name=name, found=lab.variant.name, wanted=variant
                    ),
                    hint=f"lpse-dr lab down --name {name}",
                )
            progress(_("already up"))
            return lab
        if now.state != "absent":
            progress(_("removing what is left of an earlier lab"))
            _remove(name, progress)
        tag = rootfs.ensure(progress, VARIANTS[variant])
        machine.prepare(len(topology.host_names()), progress)
        try:
            return _build(name, VARIANTS[variant], tag, progress)
        except BaseException:
            progress(_("stopped; removing what was made"))
            _remove(name, progress)
            raise


def down(name: str, progress: Progress) -> bool:
    """Remove the lab; tell whether there was any. Nothing of it stays, on disk neither; the image does."""
    check_name(name)
    with _locked(name):
        return _remove(name, progress)


def status(name: str) -> LabStatus:
    """Tell how the lab stands. Reads only."""
    folder = folder_of(name)
    found = docker.states(LABEL, name)
    try:
        lab = load_lab(name)
    except LabError:
        remains = found or folder.exists() or docker.listed("network", LABEL, name)
        return LabStatus(name, "down" if remains else "absent", found, (), None)
    expected = {host.container: host.name for host in lab.hosts.values()}
    states = {host: found[container] for container, host in expected.items() if container in found}
    missing = tuple(host for container, host in expected.items() if found.get(container) != "running")
    ready = (folder / "ready").exists() and (lab.office / "office.yml").exists()
    state = "up" if ready and not missing else "partial" if found else "down"
    return LabStatus(name, state, states, missing, lab.office)


def names() -> list[str]:
    """Return the names of all labs of which anything exists on this machine."""
    found = docker.run("ps", "-a", "--filter", f"label={LABEL}", "--format", f'{{{{.Label "{LABEL}"}}}}').split()
    kept = [path.name for path in (state_folder() / "lab").glob("*") if (path / "lab.json").exists()]
    return sorted({*found, *kept})


def _build(name: str, variant: Variant, tag: str, progress: Progress) -> Lab:
    began = time.monotonic()
    progress(_("networks"))
    lab = _networks(name, variant)
    lab.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lab.folder.chmod(0o700)
    save(lab)
    machine.check_bridges()  # only now: Docker loads the module with the first network that isolates
    progress(_("keys and configuration"))
    addresses = {host.name: list(host.addresses.values()) for host in lab.hosts.values()}
    servers = [host.name for host in lab.in_group("database")]
    files = [host.name for group in ("application", "vault") for host in lab.in_group(group)]
    secret = material.make(addresses, servers, files, overlay.SERVICE)
    flags = containers.run_flags()
    now = time.time()
    progress(_("{count} hosts").format(count=len(lab.hosts)))
    # The databases first, theirs is the longest way to readiness; the jump hosts last, the package is built meanwhile.
    order = sorted(lab.hosts.values(), key=lambda host: ("jump" in host.groups, "database" not in host.groups))
    firewall.open_management(lab)
    with ThreadPoolExecutor(2) as aside:
        package = aside.submit(wheel.wheel)
        office = aside.submit(office_folder.write, lab, secret)

        def make(host: LabHost) -> None:
            tool = None
            if "jump" in host.groups:
                office.result()
                tool = package.result()
            containers.make(lab, host, tag, flags, overlay.overlay(lab, host, secret, now, tool))

        containers.in_parallel(make, order)
    progress(_("waiting until every host has started"))
    containers.in_parallel(containers.wait_booted, lab.hosts.values())
    check.service(lab)
    (lab.folder / "ready").touch()
    progress(_("up after {seconds:.0f} s").format(seconds=time.monotonic() - began))
    return lab


def _networks(name: str, variant: Variant) -> Lab:
    """Create the segments in the first block that nobody uses, one lab at a time on this machine."""
    (state_folder() / "lab").mkdir(parents=True, exist_ok=True)
    with _lock_file(state_folder() / "lab" / ".subnets.lock"):
        for block in topology.free_blocks():
            lab = topology.plan(name, block, variant)
            try:
                containers.make_networks(lab)
            except LabError as problem:
                for network in docker.listed("network", LABEL, name):
                    docker.run("network", "rm", network)
                if "overlap" in problem.detail or "in use" in problem.detail:
                    continue  # somebody else was quicker
                raise
            return lab
    raise LabError(
        _("No free block of addresses is left in {pool} for the lab '{name}'.").format(pool=topology.POOL, name=name),
        hint=_(
            "Take another lab down (lpse-dr lab down --name NAME), or remove unused networks: docker network prune"
        ),
    )


def _remove(name: str, progress: Progress) -> bool:
    folder = folder_of(name)
    subnets = []
    with contextlib.suppress(LabError):
        subnets = [load_lab(name).networks["mgmt"].subnet]
    found = containers.remove(name, progress)
    _close_connections(subnets)
    if folder.exists():
        found = True
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _close_connections(subnets: list[str]) -> None:
    """End this machine's open SSH connections to hosts that are gone; the kernel may not offer it, then they time out."""
    for subnet in subnets:
        with contextlib.suppress(OSError):
            subprocess.run(["ss", "-K", "-H", "dst", subnet], capture_output=True, check=False)


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold the lab: `up` and `down` of one name never run at the same time."""
    (state_folder() / "lab").mkdir(parents=True, exist_ok=True)
    with _lock_file(state_folder() / "lab" / f".{name}.lock"):
        yield


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Serve developers until, and beside, the real command line."""
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:5.1f} s  {text}\n")

    try:
        verb, name, *variant = arguments
        if verb == "up":
            sys.stdout.write(f"{up(name, say, *variant).office}\n")
        elif verb == "down":
            down(name, say)
        else:
            sys.stdout.write(f"{status(name)}\n")
    except LabError as problem:
        sys.stderr.write(f"{problem.message}\n{problem.detail}\n{problem.hint}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
