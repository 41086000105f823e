"""The running package as a wheel, for the jump hosts: what they run is what this machine runs."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ..content import content_root
from ..errors import LabError
from ..i18n import _

_NAME = "lpse-dr"


def wheel() -> tuple[str, bytes]:
    """Return file name and content: built from the checkout, or packed again from the installed files."""
    if (content_root() / "pyproject.toml").is_file():
        return _built(content_root())
    return _packed_again()


def _built(checkout: Path) -> tuple[str, bytes]:
    """Build with hatchling, which `script/setup` installs; no network, no isolation."""
    with tempfile.TemporaryDirectory(prefix="lpse-dr-wheel-") as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        made = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(made) != 1:
            raise LabError(
                _("The package could not be built for the jump hosts."),
                detail=(done.stderr or done.stdout).strip()[-800:],
                hint="script/setup",
            )
        return made[0].name, made[0].read_bytes()


def _packed_again() -> tuple[str, bytes]:
    """Zip the files of the installed distribution; what the installer made itself (scripts, caches) stays out."""
    distribution = importlib.metadata.distribution(_NAME)
    buffer = io.BytesIO()
    record = []
    folder = ""
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry in distribution.files or ():
            if entry.parts[0] == ".." or "__pycache__" in entry.parts:
                continue
            if entry.parts[0].endswith(".dist-info"):
                folder = entry.parts[0]
                if entry.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                    continue
            content = Path(str(distribution.locate_file(entry))).read_bytes()
            archive.writestr(str(entry), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{entry},sha256={digest},{len(content)}\n")
        archive.writestr(f"{folder}/RECORD", "".join(record) + f"{folder}/RECORD,,\n")
    return f"lpse_dr-{distribution.version}-py3-none-any.whl", buffer.getvalue()
