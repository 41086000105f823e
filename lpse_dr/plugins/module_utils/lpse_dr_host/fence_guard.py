"""The guard of one host as a service: answers other guards, asks them, and watches what runs here.

Needs nothing but Python, this package and two files in /etc/lpse-dr: no database, no proxy, no name service.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from typing import Any, Dict, List, Optional

from . import fence_record, fence_wire
from . import fence_rules as rules
from .base import VerbError, now_iso, read_state
from .fence_application import ApplicationGuard
from .fence_database import DatabaseGuard

TICK_SECONDS = 0.5
# How often a person at the console is reminded.
REMIND_SECONDS = 300.0


class Guard:
    """One host's guard. ``role``: database, application, gateway, nameserver or jump; the last three only answer."""

    def __init__(self, settings: Dict[str, Any], key: bytes) -> None:
        self.settings = settings
        self.key = key
        self.me = {name: settings.get(name) for name in ("host", "site", "role")}
        self.answers: Dict[str, Dict[str, Any]] = {}
        self.asked_at = ""
        self.database = DatabaseGuard(settings, self.permission, self.say) if self.me["role"] == "database" else None
        self.application = ApplicationGuard(settings, self.say) if self.me["role"] == "application" else None
        self._next_news = 0.0
        self._heard = time.monotonic()
        self._alone_since: Optional[float] = None
        self._reminded = ("", 0.0)

    def say(self, words: str) -> None:
        """Say it in the journal of this service."""
        sys.stderr.write("lpse-dr-fence: %s\n" % words)
        sys.stderr.flush()

    # --- answering

    def answer(self, question: Dict[str, Any]) -> Dict[str, Any]:
        """Answer another guard; what is permitted is on disk before it is said."""
        asks = {name: question.get(name) for name in ("host", "site", "want", "epoch")}
        if self.settings.get("learns"):
            # Whoever may only forbid cannot be misled by what it learns.
            number, site = rules.epoch_of(asks)
            if site is not None:
                fence_record.adopt(number, site, str(asks["host"]))
        writable = False if self.database is None else self.database.facts.writable
        if asks["want"] == rules.PERMIT:
            return fence_record.grant(self.me, asks, writable, float(self.settings["grant_seconds"]))
        state = read_state()
        verdict = rules.answer(self.me, state, asks, time.time(), writable)
        return dict(fence_record.spoken(state), verdict=verdict.verdict, why=verdict.why)

    # --- asking

    def _ask(self, want: str, own: Any = None) -> Dict[str, Dict[str, Any]]:
        """Ask everybody, and take over a newer epoch."""
        number, site = own or rules.epoch_of(read_state())
        question = dict(self.me, want=want, epoch={"number": number, "site": site} if site else None)
        answers = fence_wire.ask_all(self.settings["witnesses"], self.key, question)
        number, site, host = rules.newest(answers)
        if site is not None and fence_record.adopt(number, site, host):
            self.say("%s says: epoch %d belongs to %s" % (host, number, site))
        beyond = [
            one["host"] for one in self.settings["witnesses"] if one.get("site") not in (None, "", self.me["site"])
        ]
        if any("error" not in answers[host] for host in beyond):
            self._heard, self._alone_since = time.monotonic(), None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        self.answers, self.asked_at = answers, now_iso()
        return answers

    def permission(self) -> rules.Verdict:
        """Ask whether this site may write now: the other site's word, else a person's, else a policy's."""
        state = read_state()
        own, held = self.database.standing(state) if self.database else (rules.epoch_of(state), False)
        verdict = rules.judge(own, self._ask(rules.PERMIT if held else "news", own))
        if not held and verdict.verdict == rules.NONE:
            verdict = rules.Verdict(
                rules.NONE, "this database was never seen to take writes in epoch %s; it may be an old copy" % own[0]
            )
        if verdict.verdict != rules.NONE:
            return verdict
        state = read_state()
        if rules.lift_holds(state, time.time()):
            return rules.Verdict(rules.PERMIT, "lifted by %s" % state["lift"].get("by"))
        minutes = float(self.settings.get("sole_survivor_minutes") or 0)
        alone = self._alone_since
        if held and minutes > 0 and alone is not None and time.monotonic() - alone > minutes * 60:
            return rules.Verdict(rules.PERMIT, "sole survivor for %d minutes" % minutes)
        return verdict

    def _news(self) -> None:
        if time.monotonic() < self._next_news:
            return
        self._next_news = time.monotonic() + float(self.settings["ask_seconds"])
        self._ask("news")
        lease = float(self.settings.get("lease_seconds") or 0)
        database = self.database
        if database is not None and lease > 0 and database.facts.writable and time.monotonic() - self._heard > lease:
            database.stop("nobody beyond the link has answered for %d s" % lease)
            database.start()

    # --- watching

    def tick(self) -> None:
        """Look once. What one look cannot do is tried again by the next: a guard does not end over a bad moment."""
        try:
            if self.settings["witnesses"] and (self.database or self.application):
                self._news()
            for watched in (self.database, self.application):
                if watched is not None:
                    watched.tick()
        except (VerbError, OSError) as error:
            self.say("could not look: %s" % error)
        self._report()

    def _report(self) -> None:
        watched: Any = self.database or self.application
        phase, why = (watched.phase, watched.why) if watched else ("answers", "")
        state = read_state()
        fence_record.write_status(
            {
                "at": time.time(), "pid": os.getpid(), "role": self.me["role"], "phase": phase, "why": why,
                "opening_until": self.database.opening_until() if self.database else None, "asked_at": self.asked_at or None, "lift": state.get("lift"), "grants": state.get("grants") or {},
                "answers": {host: in_words(said) for host, said in sorted(self.answers.items())},
            }
        )  # fmt: skip
        if phase == "read-only":
            self._remind(why)
        else:
            self._reminded = ("", 0.0)

    def _remind(self, why: str) -> None:
        """Say what a person before this machine can do, again when it changes or every five minutes."""
        told, at = self._reminded
        if why == told and time.monotonic() - at < REMIND_SECONDS:
            return
        self._reminded = (why, time.monotonic())
        words = (
            "Database %(site)s hanya-baca. Diharapkan: izin dari lokasi lain; ditemukan: %(why)s. Ia terus bertanya sendiri.\n"
            "The database of %(site)s is read-only. Expected: the other site's permission; found: %(why)s. It asks again by itself.\n"
            '-> lpse-dr status\n-> lpse-dr fence lift %(host)s --reason "..."\n'
        ) % {"site": self.me["site"], "why": why, "host": self.me["host"]}
        self.say(words)
        fence_record.tell_console(words)

    # --- serving

    def serve_starts(self) -> None:
        """Answer the drop-in of the database's unit: one connection, one line."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fence_record.SOCKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(fence_record.SOCKET)
        os.chmod(fence_record.SOCKET, 0o600)
        listener.listen(4)
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                try:
                    words = self.database.before_start() if self.database else "no database here"
                except (VerbError, OSError) as error:
                    words = "read-only: %s" % error
                connection.sendall(words.encode("utf-8") + b"\n")

    def run(self) -> None:
        """Serve for ever."""
        os.makedirs(fence_record.RUN_FOLDER, mode=0o755, exist_ok=True)
        listening = fence_wire.Server(
            self.settings.get("listen") or "", int(self.settings["port"]), str(self.me["host"]), self.key, self.answer
        )
        services: List[Any] = [listening.serve_forever]
        if self.database is not None:
            services.append(self.serve_starts)
        for service in services:
            threading.Thread(target=service, daemon=True).start()
        notify_systemd("READY=1")
        while True:
            began = time.monotonic()
            self.tick()
            time.sleep(max(0.05, TICK_SECONDS - (time.monotonic() - began)))


def in_words(said: Dict[str, Any]) -> str:
    """Return an answer for a person: what went wrong, or the verdict and the newest epoch that the witness knows."""
    if "error" in said:
        return str(said["error"])
    number, site = rules.epoch_of(said)
    known = "epoch %d of %s" % (number, site) if site else "no epoch"
    return known if said.get("verdict") == rules.NONE else "%s, %s" % (said.get("verdict"), known)


def notify_systemd(words: str) -> None:
    """Tell systemd, where it started this."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)


def main() -> int:
    """Read settings and key; serve."""
    with open(fence_record.SETTINGS_FILE, encoding="utf-8") as stream:
        settings = json.load(stream)
    with open(settings["key_file"], "rb") as stream:
        key = stream.read().strip()
    if len(key) < 16:
        sys.stderr.write("lpse-dr-fence: %s holds no key of 16 characters or more\n" % settings["key_file"])
        return 1
    Guard(settings, key).run()
    return 0
