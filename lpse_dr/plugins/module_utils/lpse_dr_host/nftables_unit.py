"""The unit that loads rules of our own on a gateway at every start: of a halt of replication, of an isolation."""

from __future__ import annotations

from typing import Optional

UNITS = "/etc/systemd/system"
# After the gateway's own rules, whose file usually begins with "flush ruleset", and again whenever those are loaded anew.
_TEXT = """\
# Written by lpse-dr: keeps {what} over a restart. {inverse} takes it away.
[Unit]
Description={what} (lpse-dr)
DefaultDependencies=no
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
ConditionPathExists={file}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {file}
ExecReload={nft} -f {file}

[Install]
WantedBy=sysinit.target
"""


def unit_text(what: str, inverse: str, file: str, nft: Optional[str]) -> str:
    """Return the unit's text; ``inverse`` is the command that takes it away, ``file`` what ``nft`` loads."""
    return _TEXT.format(what=what, inverse=inverse, file=file, nft=nft)
