"""`database status`: what the hosts say about this noun."""

from __future__ import annotations

from ...i18n import N_
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb
from ..site_verb import site_verb

HELP = N_("the databases: role, lag, slots, timelines")

STATUS = Operation("database.status")


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "database")


VERBS = (
    Verb("status", HELP, _status, None, STATUS),
    site_verb("database.start", N_("start the database of a site as it was stopped"), inverse="database stop"),
    site_verb(
        "database.stop", N_("stop the database of a site; it starts read-only later"), inverse="database start"
    ),
    site_verb("database.promote", N_("make a standby writable, the other site being off"), inverse="database rejoin"),
    site_verb(
        "database.rejoin", N_("make the database of a site the standby of the other"), inverse="database promote"
    ),
)
