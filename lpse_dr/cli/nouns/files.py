"""`files status`: what the hosts say about this noun."""

from __future__ import annotations

from ...i18n import N_
from ...operations.model import Operation
from ..context import Answer, Context
from ..grammar import Verb
from ..site_verb import site_verb

HELP = N_("the bid documents: copies and differences")

STATUS = Operation("files.status")


def _status(context: Context) -> Answer:
    from ..details import noun_status

    return noun_status(context, STATUS, "files")


VERBS = (
    Verb("status", HELP, _status, None, STATUS),
    site_verb("files.halt", N_("halt the copying of documents"), inverse="files resume", every_site=True),
    site_verb("files.resume", N_("let documents be copied again"), inverse="files halt", every_site=True),
    site_verb(
        "files.reverse",
        N_("copy documents from the site that is active now"),
        inverse="files reverse",
        every_site=True,
    ),
    # Copying only adds: what was copied is never deleted, so the copying itself is what can be taken back.
    site_verb("files.sync", N_("copy every document that a standby site lacks"), inverse="files halt"),
    site_verb("files.verify", N_("compare the documents of both sites by hash"), inverse=None),
)
