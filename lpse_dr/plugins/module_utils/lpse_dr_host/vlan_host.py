"""Who asks this host, and which networks it is on."""

from __future__ import annotations

import ipaddress
import json
import os
from typing import Any, Dict, List, Optional

from .base import run


def client() -> Optional[str]:
    """Return the address from which the operator's SSH connection comes; ``local`` without SSH, None where it cannot be told."""
    pid, through_ssh = os.getpid(), False
    while pid > 1:
        try:
            with open("/proc/%d/environ" % pid, "rb") as stream:
                variables = stream.read().split(b"\0")
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stat:
                name, rest = stat.read().rsplit(")", 1)
        except OSError:
            return None
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                return variable.partition(b"=")[2].split()[0].decode().partition("%")[0]
        through_ssh = through_ssh or name.partition("(")[2].startswith("sshd")
        pid = int(rest.split()[1])
    return None if through_ssh else "local"


def addresses(seconds: float) -> List[Dict[str, Any]]:
    """Return {interface, network} of every address of this host that others may be reached by; loopback is left out."""
    printed = run(["ip", "-j", "address"], min(5.0, max(0.2, seconds))).stdout
    found = []
    for link in json.loads(printed or "[]"):
        for info in link.get("addr_info") or []:
            if info.get("scope") not in ("host", "link") and "local" in info:
                network = ipaddress.ip_interface("%s/%d" % (info["local"], info["prefixlen"])).network
                found.append({"interface": link["ifname"], "network": str(network), "address": info["local"]})
    return found
