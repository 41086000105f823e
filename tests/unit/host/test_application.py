"""The application is believed only where it is clear, stops for good, and proves what it promises."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host.application import VERBS, read_application
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.health import read_health

# Keeps the unit's state in a file; a start is skipped, and succeeds, while the flag exists.
SYSTEMCTL = """#!/bin/sh
case "$1" in
  show) echo "ActiveState=$(cat {folder}/unit)"; [ "$(cat {folder}/unit)" = active ] && echo MainPID=1 || echo MainPID=0;;
  stop) [ -e {folder}/stuck ] || echo inactive >{folder}/unit; ls {folder}/flag >>{folder}/seen;;
  start) [ -e {folder}/refuse ] || echo active >{folder}/unit;;
esac
"""


class Site(http.server.BaseHTTPRequestHandler):
    """Answers what the test has put into ``server.answer``."""

    server: Any

    def do_GET(self) -> None:
        """Answer."""
        status, body = self.server.answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815 - the base class asks for this name

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a server with ``answer`` and ``ctx``, beside a pretended systemctl."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "unit").write_text("active")
    program = tmp_path / "bin/systemctl"
    program.write_text(SYSTEMCTL.replace("{folder}", str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.answer = (200, {"state": "serving", "epoch": 3, "in_flight": 2, "uploads": []})
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    config = {
        "application_unit": "spse.service", "application_start_command": [], "application_stop_command": [],
        "application_health_url": url, "application_prove_url": url, "application_flag": str(tmp_path / "flag"),
    }  # fmt: skip
    server.ctx = Context("pdc-app", "pdc", config, None, 3.0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        ((200, {"state": "serving", "in_flight": 0}), "serving"),
        ((503, {"state": "standby", "in_flight": 0}), "standby"),
        ((503, {"state": "failed", "detail": "no database"}), "failed"),
        ((503, {"state": "serving"}), "failed"),
        ((200, {"state": "standby"}), "failed"),
        ((200, b"<html>It works</html>"), "failed"),
        ((200, b"[]"), "failed"),
        ((502, b""), "failed"),
    ],
)
def test_health_is_believed_only_where_status_and_words_agree(site: Any, answer: Any, health: str) -> None:
    site.answer = answer
    reading = read_application(site.ctx)
    assert (reading["health"], reading["http_status"], reading["unit_active"]) == (health, answer[0], True)


def test_no_answer_is_not_a_failure_of_the_application() -> None:
    reading = read_health("http://127.0.0.1:9/health", 0.5)
    assert (reading["health"], reading["http_status"], reading["in_flight"]) == ("unreachable", None, None)


def test_a_stop_is_sticky_before_it_is_a_stop_and_start_takes_it_back(site: Any, tmp_path: Path) -> None:
    assert VERBS["stop"](site.ctx, {})["changed"] is True
    assert str(tmp_path / "flag") in (tmp_path / "seen").read_text()
    assert (tmp_path / "unit").read_text().strip() == "inactive"
    assert VERBS["stop"](site.ctx, {})["changed"] is False
    assert VERBS["start"](site.ctx, {})["changed"] is True
    assert not (tmp_path / "flag").exists()
    assert VERBS["start"](site.ctx, {})["changed"] is False


def test_what_does_not_stop_or_start_is_said(site: Any, tmp_path: Path) -> None:
    (tmp_path / "stuck").write_text("")
    with pytest.raises(VerbError) as error:
        VERBS["stop"](site.ctx, {})
    assert error.value.id == "application.still_running"
    (tmp_path / "unit").write_text("inactive")
    (tmp_path / "refuse").write_text("")
    with pytest.raises(VerbError) as error:
        VERBS["start"](site.ctx, {})
    assert error.value.id == "application.not_started"


def test_commands_are_used_instead_of_the_unit(site: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    site.ctx.config["application_stop_command"] = ["sh", "-c", f"echo stop >>{trace}"]
    site.ctx.config["application_start_command"] = ["sh", "-c", f"echo start >>{trace}"]
    site.ctx.config["application_health_url"] = "http://127.0.0.1:9/health"
    assert VERBS["stop"](site.ctx, {})["changed"] is True
    assert VERBS["stop"](site.ctx, {})["changed"] is False
    assert VERBS["start"](site.ctx, {})["changed"] is True
    assert trace.read_text() == "stop\nstart\n"


def test_waiting_for_a_state_ends_with_what_was_found(site: Any) -> None:
    VERBS["await_health"](site.ctx, {"state": "serving"})
    site.ctx.deadline -= 2.8
    with pytest.raises(VerbError) as error:
        VERBS["await_health"](site.ctx, {"state": "standby"})
    assert error.value.data["health"] == "serving"


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ((200, {"connections": 4, "proven": 4}), True),
        ((200, {"connections": 0, "proven": 0}), False),
        ((503, {"connections": 4, "proven": 3}), False),
        ((503, {"connections": 4, "proven": 4}), False),
        ((200, {"proven": 4}), False),
        ((200, b"fine"), False),
        ((200, b"[1]"), False),
    ],
)
def test_all_connections_prove_a_write_and_at_least_one(site: Any, answer: Any, good: bool) -> None:
    site.answer = answer
    if good:
        assert VERBS["prove_write"](site.ctx, {})["proven"] == 4
    else:
        with pytest.raises(VerbError) as error:
            VERBS["prove_write"](site.ctx, {})
        assert error.value.id == "application.prove_write"
