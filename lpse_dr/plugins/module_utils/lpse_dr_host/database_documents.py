"""The rows of the service that name a document: which there are, and how new the newest are.

What a row looks like is the office's affair: ``database_documents_query`` returns ``id``, ``path`` (relative to the folder
of documents), ``sha256``, ``vendor``, ``tender`` and ``at`` (when it was submitted) from ``database_documents_database``.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from .base import Context, VerbError
from .database_cluster import Cluster

MOST_RECENT = 1000
COLUMNS = ("id", "path", "sha256", "vendor", "tender", "at")


def configured(ctx: Context) -> bool:
    """Tell whether the office says where its rows are."""
    return bool(ctx.config.get("database_documents_query") and ctx.config.get("database_documents_database"))


def recent(ctx: Context, cluster: Cluster) -> Optional[Dict[str, Any]]:
    """Return {newest: [unix time, ...]}, newest first, at most MOST_RECENT; None where it is not known. Never raises.

    Beside the moment of the last copy it tells how many documents a failover now would miss.
    """
    if not configured(ctx):
        return None
    statement = (
        "SELECT coalesce(json_agg(round(extract(epoch FROM at)::numeric, 3) ORDER BY at DESC), '[]')"
        " FROM (SELECT at FROM (%s) AS document ORDER BY at DESC LIMIT %d) AS newest"
        % (ctx.config["database_documents_query"], MOST_RECENT)
    )
    try:
        return {"newest": json.loads(cluster.ask(statement, 1.0, str(ctx.config["database_documents_database"])))}
    except (VerbError, ValueError):
        return None


def rows(ctx: Context, cluster: Cluster) -> List[Dict[str, Any]]:
    """Return every row that names a document, newest first."""
    # Two servers may be set to two zones; a moment is one.
    statement = (
        "SET timezone = 'UTC';"
        " SELECT coalesce(json_agg(json_build_object('id', id::text, 'path', path, 'sha256', sha256, 'vendor', vendor,"
        " 'tender', tender, 'at', at) ORDER BY at DESC), '[]') FROM (%s) AS document"
        % ctx.config["database_documents_query"]
    )
    found: List[Dict[str, Any]] = json.loads(
        cluster.ask(statement, ctx.remaining(), str(ctx.config["database_documents_database"]))
    )
    return found
