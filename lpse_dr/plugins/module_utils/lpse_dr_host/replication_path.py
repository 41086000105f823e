"""The way between the two sides by which rows and documents come: its addresses, whether it is open, its block at a gateway."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import select
import shutil
import socket
from typing import Any, Dict, Iterable, List, Optional

from .base import Context, VerbError, run, sync_folder, write_atomic
from .nftables_unit import UNITS, unit_text

Path = Dict[str, Any]
TABLE = "lpse_dr_halt"
MARK = "lpse-dr replication halt"
FILE = "/etc/lpse-dr/halt.nft"
UNIT = "lpse-dr-halt.service"


def paths_to(names: Iterable[str], port: int) -> List[Path]:
    """Return {local, remote, port} for each address of ``names``: what a gateway on the way sees. Nothing is sent."""
    found = []
    for remote in dict.fromkeys(address for name in names for address in addresses(name)):
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            # A datagram socket that is "connected" only asks the routing table which address it would use.
            probe.connect((remote, port))
            found.append({"local": probe.getsockname()[0], "remote": remote, "port": port})
    return found


def addresses(name: str) -> List[str]:
    """Return the addresses of a name; itself where it is one. A name service that does not answer is waited for one second."""
    if name.startswith("/"):
        return []
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        pass
    try:
        listed = run(["getent", "ahosts", name], 1.0, check=False).stdout
    except VerbError:
        return []
    return list(dict.fromkeys(line.split()[0] for line in listed.splitlines() if line.strip()))


def halted_paths(state: Dict[str, Any]) -> List[Path]:
    """Return the paths that were written down when this host was halted."""
    halted = state.get("halted")
    paths = halted.get("paths") if isinstance(halted, dict) else None
    return list(paths or [])


def try_paths(paths: List[Path]) -> List[Any]:
    """Begin to connect along every path; ``open_paths`` tells, a while later, which of them let it through."""
    tries = []
    for path in paths:
        probe = socket.socket(socket.AF_INET6 if ":" in path["remote"] else socket.AF_INET, socket.SOCK_STREAM)
        probe.setblocking(False)
        with contextlib.suppress(OSError):
            probe.connect_ex((path["remote"], path["port"]))
        tries.append((path, probe))
    return tries


def open_paths(tries: List[Any]) -> List[str]:
    """Return, as "address port", the paths on which somebody has answered; all of the tries are ended."""
    _, ready, _ = select.select([], [probe for _, probe in tries], [], 0)
    found = []
    for path, probe in tries:
        if probe in ready and probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            found.append("%s port %d" % (path["remote"], path["port"]))
        probe.close()
    return found


def rules(paths: List[Path]) -> str:
    """Return what nft loads in one transaction: nothing passes between the two ends of any path, in either direction."""
    lines = ["add table inet %s" % TABLE, "delete table inet %s" % TABLE, "table inet %s {" % TABLE]
    lines += ['\tcomment "%s"' % MARK, "", "\tchain forward {"]
    lines.append("\t\ttype filter hook forward priority filter - 20; policy accept;")
    for one, other in sorted({(path["local"], path["remote"]) for path in paths}):
        family = "ip6" if ":" in one else "ip"
        for first, second in ((one, other), (other, one)):
            first, second = (str(ipaddress.ip_address(address)) for address in (first, second))
            lines.append("\t\t%s saddr %s %s daddr %s counter drop" % (family, first, family, second))
    return "\n".join([*lines, "\t}", "}", ""])


def nft(words: List[str], ctx: Context, stdin: Optional[str] = None, check: bool = True) -> Any:
    """Run nft on this host."""
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin") or "nft"
    return run([program, *words], min(10.0, max(0.2, ctx.remaining())), stdin=stdin, check=check)


def loaded(ctx: Context) -> Optional[str]:
    """Return our table as the kernel has it, without its counters, None where there is none."""
    done = nft(["list", "table", "inet", TABLE], ctx, check=False)
    if done.returncode != 0:
        if "No such file" in done.stderr:
            return None
        raise VerbError("command.failed", "nft list table to succeed", done.stderr.strip().splitlines()[0])
    text = re.sub(r"counter packets \d+ bytes \d+", "counter", done.stdout)
    if 'comment "%s"' % MARK not in text:
        raise VerbError(
            "replication.foreign_table",
            "table inet %s to be lpse-dr's" % TABLE,
            "somebody else's",
            "nft list table inet %s" % TABLE,
        )
    return text


def blocks(text: Optional[str], paths: List[Path]) -> bool:
    """Tell whether the kernel's table drops both directions of every path, and nothing else."""
    wanted = {line.strip() for line in rules(paths).splitlines() if line.strip().endswith("drop")}
    found = {line.strip() for line in (text or "").splitlines() if line.strip().endswith("drop")}
    return bool(paths) and wanted == found


def kept(paths: List[Path]) -> bool:
    """Tell whether a restart of this gateway would bring the block back."""
    wanted = os.path.join(UNITS, "sysinit.target.wants", UNIT)
    with contextlib.suppress(OSError), open(FILE, encoding="utf-8") as stream:
        return stream.read() == rules(paths) and os.path.exists(wanted)
    return False


def block(ctx: Context, paths: List[Path]) -> bool:
    """Block now, then let it outlive a restart; tell whether anything was new."""
    changed = not blocks(loaded(ctx), paths)
    if changed:
        nft(["-f", "-"], ctx, rules(paths))
    if kept(paths):
        return changed
    unit, wanted = os.path.join(UNITS, UNIT), os.path.join(UNITS, "sysinit.target.wants", UNIT)
    for folder in (os.path.dirname(FILE), os.path.dirname(wanted)):
        os.makedirs(folder, mode=0o755, exist_ok=True)
    write_atomic(FILE, rules(paths), 0o600)
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin") or "/usr/sbin/nft"
    write_atomic(unit, unit_text("the halt of replication", "lpse-dr replication resume", FILE, program))
    if not os.path.lexists(wanted):
        os.symlink(unit, wanted)
        sync_folder(os.path.dirname(wanted))
    for words in (["daemon-reload"], ["restart", UNIT]):
        run(["systemctl", *words], min(10.0, max(0.2, ctx.remaining())))
    return True


def unblock(ctx: Context) -> bool:
    """Let everything pass as before, also after a restart; tell whether anything was blocked."""
    unit, wanted = os.path.join(UNITS, UNIT), os.path.join(UNITS, "sysinit.target.wants", UNIT)
    there = [path for path in (FILE, wanted, unit) if os.path.lexists(path)]
    for path in there:
        os.unlink(path)
        sync_folder(os.path.dirname(path))
    if there:
        run(["systemctl", "stop", UNIT], min(10.0, max(0.2, ctx.remaining())), check=False)
        run(["systemctl", "daemon-reload"], min(10.0, max(0.2, ctx.remaining())))
    was = loaded(ctx) is not None
    if was:
        nft(["delete", "table", "inet", TABLE], ctx)
    return was or bool(there)
