"""Look for the other site from where this host stands: is its database there, does its front door serve?

Before a failover the same question is asked from every vantage point, because each of them may be the one that is cut off.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import socket
import ssl
import threading
import time
from functools import partial, wraps
from typing import Any, Callable, Dict, List, Tuple
from urllib.parse import urlsplit

from . import base
from .base import Context, Verb, VerbError
from .database_cluster import Cluster
from .health import read_health
from .psql import one_line
from .service import _Door

# What a look can find. Only the first two speak of somebody who may write.
#   writable  it accepts writes, by its own word    alive   a server answers and does not say which it is
#   standby   it answers, and only reads            open    something answers, and does not serve
#   closed    the host answers, nothing listens     silent  no answer
ANSWERS = ("writable", "alive", "standby", "open", "closed", "silent")
# Long enough for any line between two sites; a first packet that was lost is sent again only after a second.
PATIENCE_SECONDS = 0.5
# Whoever takes a connection is there, and may be busy.
ANSWER_SECONDS = 2.0
Found = Tuple[str, str]
Door = Tuple[str, str, str, Callable[[], Found]]


def look(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
    """Return {search}: what every door of the other site that this host knows answers, all asked at once.

    Each entry has ``what`` (database, front_door, application, documents), ``site``, ``address``, ``answer`` (one of
    ANSWERS), ``detail`` and ``seconds``. A look that cannot be made is ``silent`` with the reason, never left out.
    """
    config = ctx.config
    doors: List[Door] = []
    if config.get("database_cluster"):
        doors += _databases(ctx)
    for site, address in sorted((config.get("traffic_dns_addresses") or {}).items()):
        if site != ctx.site:
            doors.append(("front_door", site, str(address), partial(_front_door, ctx, str(address), site)))
    for site, at in sorted((config.get("traffic_sites") or {}).items()):
        if site != ctx.site:
            url = "http://%s:%s/health" % (at["address"], at.get("port") or 9009)
            doors.append(("application", site, url, partial(_application, url)))
    if config.get("files_peer_address"):
        address = str(config["files_peer_address"])
        doors.append(("documents", "", address + ":22", partial(_reach, address, 22)))
    return {"changed": False, "search": _all_at_once(doors, ctx)}


def beside(status: Verb) -> Verb:
    """Let a reading verb look for the other site at the same time where ``search`` is asked for; its ``search`` says so.

    Two requests one after the other would be a second that everybody waits for.
    """

    @wraps(status)
    def both(ctx: Context, args: Dict[str, Any]) -> Dict[str, Any]:
        if not args.get("search"):
            return status(ctx, args)
        seen: Dict[str, Any] = {}

        def go() -> None:
            with contextlib.suppress(VerbError):
                seen.update(look(ctx, args))

        looking = threading.Thread(target=go, daemon=True)
        looking.start()
        result = status(ctx, args)
        looking.join(max(0.0, min(5.0, ctx.remaining())))
        # None is what no guard lets pass.
        result["reading"]["search"] = seen.get("search")
        return result

    return both


def _all_at_once(doors: List[Door], ctx: Context) -> List[Dict[str, Any]]:
    seen: List[Dict[str, Any]] = []
    for what, site, address, _act in doors:
        seen.append(
            {
                "what": what,
                "site": site,
                "address": address,
                "answer": "silent",
                "detail": "no answer",
                "seconds": None,
            }
        )

    def go(number: int) -> None:
        started = time.monotonic()
        try:
            answer, detail = doors[number][3]()
        except Exception as error:  # noqa: BLE001 - a look that cannot be made is a finding
            answer, detail = "silent", error.found if isinstance(error, VerbError) else repr(error)
        seen[number].update(answer=answer, detail=detail, seconds=round(time.monotonic() - started, 3))

    threads = [threading.Thread(target=go, args=(number,), daemon=True) for number in range(len(doors))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + min(4.0, ctx.remaining())
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [dict(entry) for entry in seen]


def _reach(address: str, port: int) -> Found:
    """Tell whether something listens: a connection, a refusal, or nothing."""
    try:
        socket.create_connection((address, port), PATIENCE_SECONDS).close()
    except socket.timeout:
        return "silent", "no answer within %.1f s" % PATIENCE_SECONDS
    except OSError as error:
        return ("closed" if error.errno == errno.ECONNREFUSED else "silent"), os.strerror(error.errno or 0)
    return "open", "it takes connections"


def _databases(ctx: Context) -> List[Door]:
    """The path that replication uses is the one to look along: it is the one that is permitted everywhere."""
    cluster = Cluster(ctx)
    conninfo = cluster.ask("SHOW primary_conninfo", 2.0) if cluster.pid() is not None else ""
    address, port = parse_address(conninfo)
    if not address:
        return [("database", "", "", lambda: ("silent", "primary_conninfo names no host"))]
    return [("database", "", "%s:%d" % (address, port), lambda: _database(cluster, conninfo, address, port))]


def parse_address(conninfo: str) -> Tuple[str, int]:
    """Return host and port of a conninfo of keywords; an empty host where it names none."""
    pairs = re.findall(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\']|\\.)+))", conninfo)
    values = {key: re.sub(r"\\(.)", r"\1", quoted or plain) for key, quoted, plain in pairs}
    address = values.get("hostaddr") or values.get("host") or ""
    return address.split(",")[0], int((values.get("port") or "5432").split(",")[0])


def _database(cluster: Cluster, conninfo: str, address: str, port: int) -> Found:
    answer, detail = _reach(address, port)
    if answer != "open":
        return answer, detail
    argv = [cluster.program("pg_isready"), "-q", "-t", "2", "-h", address, "-p", str(port)]
    code = base.run(argv, 3.0, check=False).returncode
    if code == 2:
        return "open", "it takes connections and is no PostgreSQL that answers"
    if code == 1:
        return "alive", "a server that starts, stops or recovers"
    # Over the very connection that replication uses; where the other side does not let it ask, being there must do.
    # Handed over on standard input, because a conninfo may hold a password.
    words = (conninfo + " dbname=postgres connect_timeout=2").replace("\\", "\\\\").replace("'", "''")
    script = "\\connect '%s'\nSELECT pg_is_in_recovery();\n" % words
    done = base.run(
        cluster.psql_argv("postgres"), 3.5, stdin=script, check=False, env={"LC_ALL": "C", "PGAPPNAME": "lpse-dr"}
    )
    said = done.stdout.strip()
    if done.returncode == 0 and said in ("t", "f"):
        return ("standby", "in recovery") if said == "t" else ("writable", "it accepts writes")
    return "alive", one_line(done.stderr) or "it accepts connections"


def _application(url: str) -> Found:
    """Ask the other site's application past its gateway, as this gateway would lead clients to it."""
    parts = urlsplit(url)
    answer, detail = _reach(parts.hostname or "", parts.port or 80)
    if answer != "open":
        return answer, detail
    health = read_health(url, ANSWER_SECONDS)
    if health["health"] == "serving":
        return "writable", "the application serves"
    return "open", "the application says %s" % health["health"]


def _front_door(ctx: Context, address: str, site: str) -> Found:
    """Ask through the other site's front door, as clients do, by name and certificate."""
    url = urlsplit(ctx.config["traffic_service_url"])
    tls = ssl.create_default_context(cafile=ctx.config.get("traffic_service_ca_file") or None)
    port = url.port or 443
    answer, detail = _reach(address, port)
    if answer != "open":
        return answer, detail
    door = _Door(url.hostname or "", port, address, ANSWER_SECONDS, tls)
    try:
        door.request("GET", "/health")
        said = door.getresponse()
        body = said.read(65536)
        found = json.loads(body.decode("utf-8")) if said.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        return "open", "the door is open, no answer behind it: %s" % (str(error) or repr(error))
    finally:
        door.close()
    if said.status == 200 and found.get("state") == "serving" and found.get("site") in (site, None):
        return "writable", "the service answers through it"
    return "open", "HTTP %d" % said.status


VERBS: Dict[str, Verb] = {"look": look}
