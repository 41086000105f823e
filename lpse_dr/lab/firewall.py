"""Rules of this machine for one lab, in Docker's own chain DOCKER-USER, each tagged with the lab's name.

Traffic between two containers on one bridge passes this machine's FORWARD chain (br_netfilter, which Docker's
``enable_icc=false`` needs too). Two uses: the jump hosts may reach every host on `mgmt` although containers there
cannot reach each other, and tests cut the link between two addresses without either host knowing.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from ..errors import LabError
from ..i18n import _
from . import docker, rootfs
from .model import LABEL, VARIANTS, Lab

_CHAIN = "DOCKER-USER"
_OPEN = "open"
_CUT = "cut"


def open_management(lab: Lab) -> None:
    """Let each jump host open connections to every host on `mgmt`; nobody else."""
    bridge = management_bridge(lab.name)
    rules = []
    for host in lab.in_group("jump"):
        comment = ["-m", "comment", "--comment", _tag(lab.name, _OPEN)]
        between = ["-i", bridge, "-o", bridge]
        rules.append([*between, "-s", host.management, *comment, "-j", "ACCEPT"])
        answers = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"]
        rules.append([*between, "-d", host.management, *answers, *comment, "-j", "ACCEPT"])
    _insert(lab.name, rules)


def cut(lab: Lab, one: str, other: str) -> None:
    """Drop everything between two addresses, both directions, open connections too."""
    comment = ["-m", "comment", "--comment", f"{_tag(lab.name, _CUT)}:{'-'.join(sorted((one, other)))}"]
    _insert(lab.name, [["-s", a, "-d", b, *comment, "-j", "DROP"] for a, b in ((one, other), (other, one))])


def cut_bridge(lab: Lab, segment: str) -> None:
    """Drop everything that passes the bridge of a segment, whatever its addresses; host to container stays open."""
    identifier = docker.run("network", "inspect", "--format", "{{.Id}}", lab.networks[segment].name).strip()
    bridge = management_bridge(lab.name) if segment == "mgmt" else f"br-{identifier[:12]}"
    comment = ["-m", "comment", "--comment", f"{_tag(lab.name, _CUT)}:{segment}"]
    _insert(lab.name, [["-i", bridge, "-o", bridge, *comment, "-j", "DROP"]])


def mend_bridge(lab: Lab, segment: str) -> None:
    """Undo `cut_bridge`."""
    _delete(lab.name, f"{_tag(lab.name, _CUT)}:{segment}")


def mend(lab: Lab, one: str, other: str) -> None:
    """Undo `cut`."""
    _delete(lab.name, f"{_tag(lab.name, _CUT)}:{'-'.join(sorted((one, other)))}")


def mend_all(lab: Lab) -> None:
    """Undo every `cut` of this lab."""
    _delete(lab.name, _tag(lab.name, _CUT) + ":")


def clear(name: str) -> None:
    """Remove every rule of the lab `name`."""
    _delete(name, f"lpse-dr-lab:{name}:")


def management_bridge(name: str) -> str:
    """Return the name of the bridge of segment `mgmt`; at most 15 characters, as the kernel wants."""
    return f"ld-{name}"


def _tag(name: str, purpose: str) -> str:
    return f"lpse-dr-lab:{name}:{purpose}"


def _insert(name: str, rules: list[list[str]]) -> None:
    commands = ["set -e"]
    for rule in rules:
        words = " ".join(rule)
        commands.append(f"iptables -w 10 -C {_CHAIN} {words} 2>/dev/null || iptables -w 10 -I {_CHAIN} {words}")
    _shell(name, "\n".join(commands))


def _delete(name: str, tag: str) -> None:
    """Delete the rules whose comment is `tag`, or begins with it where it ends in a colon."""
    pattern = tag if tag.endswith(":") else f"{tag} "
    _shell(
        name,
        f"iptables -w 10 -S {_CHAIN} 2>/dev/null | tr -d '\"' | grep -F -- '--comment {pattern}' | sed 's/^-A /-D /' | "
        "while read -r rule; do iptables -w 10 $rule; done",
    )


def _shell(name: str, script: str) -> None:
    """Run a script where this machine's iptables are: here as root, else in a short-lived container."""
    if os.geteuid() == 0 and shutil.which("iptables"):
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(_("The lab's firewall rules could not be set."), detail=done.stderr.strip())
        return
    tags = [rootfs.tag(variant) for variant in VARIANTS.values()]
    image = next((tag for tag in tags if docker.run("image", "ls", "-q", tag).strip()), None)
    if image is None:
        return  # without an image there has been no lab of this definition, and so no rule
    flags = ["--rm", "--network", "host", "--cap-add", "NET_ADMIN", "--label", f"{LABEL}={name}"]
    docker.run("run", *flags, "--entrypoint", "/bin/sh", image, "-c", script)
