"""The one image of all hosts of a lab: built from Debian packages, cached by the content of its definition."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import LabError
from ..i18n import _
from ..office import state_folder
from . import docker
from .model import BOOKWORM, Progress, Variant

REPOSITORY = "lpse-dr-lab"
_HERE = Path(__file__).resolve().parent / "image"
# What the jump hosts need beside the package itself. The same ranges as in pyproject.toml.
_WHEELS = ("ansible-core>=2.19,<2.20", "ansible-runner>=2.4,<3", "jinja2>=3.1,<4", "pyyaml>=6,<7")
_NEEDED_BYTES = 3 * 1024**3


def tag(variant: Variant = BOOKWORM) -> str:
    """Return the image's name: a hash over everything that decides its content."""
    digest = hashlib.sha256()
    for part in (variant.suite, *_WHEELS, *_changes(variant), *_mmdebstrap_options(Path("wheels"), variant)):
        digest.update(part.encode() + b"\0")
    for text in (_packages(variant), (_HERE / "setup.sh").read_text()):
        digest.update(text.encode() + b"\0")
    return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def ensure(progress: Progress, variant: Variant = BOOKWORM) -> str:
    """Return the image's name, building it where this machine does not have it (one to five minutes)."""
    name = tag(variant)
    # Two labs that start on a fresh machine need one image, not two builders.
    (state_folder() / "lab").mkdir(parents=True, exist_ok=True)
    with (state_folder() / "lab" / ".image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure(name, progress, variant)


def _ensure(name: str, progress: Progress, variant: Variant) -> str:
    if docker.run("image", "ls", "-q", name).strip():
        return name
    _check_disk()
    program = shutil.which("mmdebstrap")
    if program is None:
        raise LabError(_("mmdebstrap, which builds the lab's image, is missing."), hint="apt-get install mmdebstrap")
    progress(_("building the image from Debian packages (once, a few minutes)"))
    with tempfile.TemporaryDirectory(prefix="lpse-dr-image-") as folder:
        _download_wheels(Path(folder) / "wheels", variant)
        progress(_("installing packages"))
        _build(program, Path(folder), name, variant)
    return name


def _check_disk() -> None:
    root = docker.run("info", "--format", "{{.DockerRootDir}}").strip()
    place = Path(root) if root and Path(root).is_dir() else Path("/")
    free = min(shutil.disk_usage(place).free, shutil.disk_usage(tempfile.gettempdir()).free)
    if free < _NEEDED_BYTES:
        raise LabError(
            _("The lab's image needs 3 GB of free disk, {free:.1f} GB are left.").format(free=free / 1e9),
            hint="docker image prune",
        )


def _download_wheels(folder: Path, variant: Variant) -> None:
    """Fetch the jump hosts' dependencies, for their Python, with this Python's pip, as the machine is configured."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        pip = ["pip3"]
    selection = ["--only-binary=:all:", f"--python-version={variant.python}", "--implementation=cp"]
    command = [
        *pip,
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--dest",
        str(folder),
        *selection,
        *_WHEELS,
    ]
    _call(command, _("pip could not fetch what the jump hosts need."))


def _packages(variant: Variant) -> str:
    return (_HERE / "packages.txt").read_text().replace("{major}", str(variant.postgresql))


def _changes(variant: Variant) -> tuple[str, ...]:
    """Return what the image says of itself, as lines of a Dockerfile."""
    return f"CMD {json.dumps(['/sbin/init', *variant.init_arguments])}", "ENV container=docker"


def _mmdebstrap_options(wheels: Path, variant: Variant) -> list[str]:
    packages = [line for line in _packages(variant).splitlines() if line and not line.startswith("#")]
    options = ["--variant=minbase", f"--include={','.join(packages)}", '--aptopt=Apt::Install-Recommends "false"']
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "info", "locale")]
    # Databases are made per lab at first boot, not by the package.
    options += [
        '--essential-hook=mkdir -p "$1/etc/postgresql-common" '
        '&& echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"',
        '--customize-hook=mkdir -p "$1/opt/lpse-dr"',
        f"--customize-hook=copy-in {wheels} /opt/lpse-dr",
        '--customize-hook=cp "$LPSE_DR_SETUP" "$1/tmp/setup.sh"',
        '--customize-hook=env -i PATH="$PATH" LC_ALL=C.UTF-8 chroot "$1" sh /tmp/setup.sh',
        '--customize-hook=rm "$1/tmp/setup.sh"',
    ]
    return options


def _build(program: str, folder: Path, name: str, variant: Variant) -> None:
    archive = folder / "image.tar"
    mode = "root" if os.geteuid() == 0 else "unshare"
    options = _mmdebstrap_options(folder / "wheels", variant)
    sources = _sources(variant.suite)
    (folder / "sources").write_text(sources)
    given = [str(folder / "sources")] if sources else []
    command = [program, f"--mode={mode}", *options, variant.suite, str(archive), *given]
    _call(command, _("mmdebstrap could not build the lab's image."), {"LPSE_DR_SETUP": str(_HERE / "setup.sh")})
    changes = [word for change in _changes(variant) for word in ("--change", change)]
    # The label lets `docker image ls` show which images are the lab's; old ones are never removed behind a person's back.
    docker.run("import", *changes, "--change", f"LABEL {REPOSITORY}=1", str(archive), name, timeout_seconds=300)


_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def _sources(suite: str) -> str:
    """Return the machine's own package sources, turned to `suite`; nothing, for Debian's mirrors, where it has none.

    Mirrors, components and keyrings stay as they are: a machine of one suite has the keys of its neighbours too.
    """
    own = _own_suite()
    for path in _SOURCES:
        try:
            lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        except OSError:
            continue
        for known in (suite, own):
            if known and any(known in line.split() for line in lines):
                # The word itself and what belongs to it, as bookworm-security; never a part of an address or a path.
                word = re.compile(rf"(?<!\S){re.escape(known)}(?=[-\s]|$)")
                return "".join(f"{word.sub(suite, line)}\n" for line in lines)
    return ""


def _own_suite() -> str:
    """Return the suite of this machine, empty where it is not Debian or has none."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    return release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""


def _call(command: list[str], failure: str, extra: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(extra or {})},
    )
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise LabError(failure, detail=last, hint=_("Check the package sources of this machine: apt-get update."))
