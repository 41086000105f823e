"""Make a lost site the standby of the active one again, by hand and past the tool: a test's way back after a failover."""

from __future__ import annotations

import json
import time

from lpse_dr.lab import power
from lpse_dr.lab.model import Lab

from .conftest import lpse_dr
from .reality import leftovers, on

DATA = "/var/lib/postgresql/15/main"
# A copy of everything, from the slot that the failover left; its old content is thrown away, as no tool would.
_COPY = f"""
set -e
systemctl stop postgresql@15-main
conninfo=$(sed -n "s/^primary_conninfo = '\\(.*\\)'/\\1/p" /etc/postgresql/15/main/conf.d/50-lpse-dr.conf)
find {DATA} -mindepth 1 -delete
export HOME=/var/lib/postgresql
cd /
setpriv --reuid postgres --regid postgres --init-groups -- \
    /usr/lib/postgresql/15/bin/pg_basebackup -D {DATA} -d "$conninfo" -X stream -c fast -S SLOT
setpriv --reuid postgres --regid postgres --init-groups -- touch {DATA}/standby.signal
systemctl start postgresql@15-main
"""
_RECORD = """
import json
path = "/var/lib/lpse-dr/state.json"
state = json.load(open(path))
state.update(epoch=json.loads('EPOCH'), prepared=None, fired=None, operation=json.loads('OPERATION'))
json.dump(state, open(path, "w"))
"""


def rebuild(lab: Lab, lost: str, active: str) -> None:
    """Switch the lost site's hosts on, make it the standby, and return when a switch-over would go."""
    hosts = [f"{lost}-gateway", f"{lost}-app", f"{lost}-db"]
    power.mend_all(lab)
    power.power_on(lab, *hosts)
    on(lab, hosts[2], _COPY.replace("SLOT", f"lpse_dr_{lost}"))
    state = json.loads(on(lab, f"{active}-db", "cat /var/lib/lpse-dr/state.json"))
    number = state["epoch"]["number"]
    record = _RECORD.replace("EPOCH", json.dumps(state["epoch"])).replace("OPERATION", json.dumps(state["operation"]))
    for host in hosts:
        on(lab, host, f"python3 - <<'END'\n{record}\nEND")
    choice = f"sed -i -e 's/^state .*/state open/' -e 's/^target .*/target {active}/' -e 's/^epoch .*/epoch {number}/' /etc/haproxy/lpse-dr.map"
    on(lab, hosts[0], f"{choice} && systemctl restart haproxy")
    on(
        lab,
        hosts[1],
        "rm -f /etc/lpse-dr/application-stopped && systemctl restart spse && systemctl start lpse-dr-files.service; true",
    )
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and leftovers(lab, active):
        time.sleep(0.5)
    answer = None
    while time.monotonic() < deadline:
        answer = lpse_dr(
            f"--lab={lab.name}", "--output", "json", "site", "check", "--for", "switchover", "--to", lost
        )
        if answer.code == 0:
            return
        time.sleep(0.5)
    raise AssertionError((leftovers(lab, active), answer and answer.json.get("error")))
