"""Is the lab what it claims to be? The last step of `up`."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time

from ..errors import LabError
from ..i18n import _
from . import docker
from .model import Lab
from .overlay import FIRST_SITE, SERVICE

_SECONDS = 30.0


def service(lab: Lab) -> None:
    """Return when both streams flow and the front door of the first site says serving; LabError otherwise."""
    until = time.monotonic() + _SECONDS
    primary = lab.in_group("database", FIRST_SITE)[0]
    question = "select count(*) from pg_stat_replication where state = 'streaming'"
    sql = ["exec", primary.container, "runuser", "-u", "postgres", "--", "psql", "-XAtqc"]
    streaming = copying = False
    door = ""
    while time.monotonic() < until:
        streaming = streaming or docker.run(*sql, question).strip() == "1"
        door = front_door(lab, FIRST_SITE)
        copying = copying or _copies(lab)
        if streaming and copying and door.startswith("200"):
            # A standby that has replayed no commit yet cannot tell the age of the last one, and guards ask for that.
            docker.run(*sql, "select pg_current_xact_id()")
            return
        time.sleep(0.1)
    raise LabError(
        _("The lab's hosts run, but its service does not."),
        detail=_("database stream: {streaming}; document stream: {copying}; front door: {door}").format(
            streaming=streaming, copying=copying, door=door
        ),
        hint=_("{first}, then {second}").format(
            first=f"lpse-dr lab down --name {lab.name}", second=f"lpse-dr lab up --name {lab.name}"
        ),
    )


def _copies(lab: Lab) -> bool:
    """Tell whether the other site's application host has finished a pull of bid documents."""
    for host in lab.in_group("application"):
        if host.site != FIRST_SITE:
            with contextlib.suppress(LabError, ValueError):
                record = json.loads(docker.run("exec", host.container, "cat", "/var/lib/lpse-dr/files.json"))
                return bool((record.get("last_sync") or record).get("ok"))
    return False


def front_door(lab: Lab, site: str, path: str = "/health") -> str:
    """Return status and body that the gateway of `site` answers to this machine, or what went wrong."""
    address = lab.in_group("gateway", site)[0].addresses["public"]
    context = ssl.create_default_context(cafile=str(lab.office / "ca.pem"))
    try:
        with (
            socket.create_connection((address, 443), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname=SERVICE) as secure,
        ):
            secure.sendall(f"GET {path} HTTP/1.0\r\nHost: {SERVICE}\r\n\r\n".encode())
            answer = b""
            while piece := secure.recv(4096):
                answer += piece
    except OSError as problem:
        return str(problem)
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    return f"{' '.join(head.split(' ', 2)[1:2])} {body.strip()}"
