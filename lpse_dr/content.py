"""Where the playbooks, roles and inventories of this package lie."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def content_root() -> Path:
    """Return the folder that holds ansible.cfg, playbooks/, roles/ and inventories/.

    In an installed wheel that is ``lpse_dr/content``, in a checkout the folder above the package.
    There is one such place; everything that needs a playbook asks here.
    """
    installed = _PACKAGE / "content"
    return installed if installed.is_dir() else _PACKAGE.parent
