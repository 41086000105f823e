"""`application status`: what the hosts say about this noun."""

from __future__ import annotations

from ...i18n import N_
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb
from ..site_verb import site_verb

HELP = N_("the application at both sites")

STATUS = Operation("application.status")


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "application")


VERBS = (
    Verb("status", HELP, _status, None, STATUS),
    site_verb("application.start", N_("start the application of a site"), inverse="application stop"),
    site_verb(
        "application.stop",
        N_("stop the application of a site, so that it stays stopped"),
        inverse="application start",
    ),
    site_verb(
        "application.warm", N_("have the application of a standby site run and wait"), inverse="application stop"
    ),
)
