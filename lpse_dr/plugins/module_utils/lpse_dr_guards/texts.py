"""The sentences of the guards: English here, translated by guard id on the Python side."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Tuple


class Text(NamedTuple):
    """What a guard is called, what it expects, what it found and what to do; ``{names}`` are filled from its data."""

    title: str
    expected: str
    found: str
    todo: str


NO_READING = "no reading: {missing} of {missing_host}"
NO_READING_TODO = "A value that cannot be read counts as bad. Look at {missing_host}: lpse-dr status -v"
# Values that are words and not names: they are translated too, under the context "guard.word".
WORDS = (
    "none", "missing", "active", "inactive", "lost", "off", "on", "yes", "no", "ok", "failing", "working", "answered", "closed", "open",
    "expired", "holder gone", "writable", "standby", "stopped", "stopped_standby", "crashed", "read_only", "unknown", "never", "failed",
)  # fmt: skip
_SEED = "Mend or rebuild the standby: lpse-dr replication status, then lpse-dr replication seed --to {to_site}"
_INVENTORY = "Correct inventory/hosts.yml."
_AGAIN = " Then run the same command again."

GUARDS: Dict[str, Text] = {
    # --- the order and the inventory
    "site.known": Text("Both sites are known", "two of the sites {sites}", "from {from_site} to {to_site}", "Name sites of the inventory: lpse-dr switchover --from {first} --to {second}"),
    "site.differ": Text("The sites differ", "two different sites", "from {from_site} to {to_site}", "Name the site that takes over after --to."),
    "inventory.one_site": Text("Every host is in one site", "no host in both sites", "{hosts}", _INVENTORY),
    "inventory.database": Text("Each site has its database", "exactly one host of group database in site {site}", "{hosts}", _INVENTORY),
    "inventory.application": Text("Each site has its application", "a host of group application in site {site}", "{hosts}", _INVENTORY),
    "inventory.gateway": Text("Each site has its gateway", "a host of group gateway in site {site}", "{hosts}", _INVENTORY),
    # --- the hosts
    "host.reachable": Text("Hosts answer", "{host} to answer over SSH", "{answer}", "Look at power, network and SSH of {host}." + _AGAIN),
    "host.key": Text("Hosts are who they say", "the host key of {host} that known_hosts vouches for", "{answer}", "Compare the key on the console of {host} before you change known_hosts: another machine may be answering."),
    "host.sudo": Text("sudo works", "root by sudo on {host}", "{answer}", "Correct sudoers on {host}, or give the password with --ask-become-pass."),
    "host.read": Text("Hosts can be read", "a reading of {host}", "{answer}", "Look at the message; lpse-dr status -v shows more."),
    "host.site": Text("Hosts stand where the inventory says", "{host} in site {site}", "site {found_site}", "Another machine answers under this address, or the inventory is wrong: correct inventory/hosts.yml."),
    "host.clock": Text("Clocks agree", "at most {limit_seconds} s between {host} and this machine", "{skew_seconds} s, read to within {read_seconds} s", "Set the time of {host} (chronyc makestep), or of this machine." + _AGAIN),
    "host.state": Text("The state file is readable", "operation, epoch, prepared and fired in /var/lib/lpse-dr/state.json of {host}", "{keys}", "Compare it with the file of the other hosts before you mend it."),
    "operation.free": Text("No other operation is at work", "no other operation at work on {host}", "operation {number}, run {run} of {holder}: {condition}", "Follow it: lpse-dr runs show {run} --follow. It can be taken over when its holder is gone or its lease has run out."),
    # --- who is active
    "site.not_split": Text("One site accepts writes", "at most one writable site", "{from_site}: {from_mode}, {to_site}: {to_mode}", "Both sites accept writes. Take clients away from one now (lpse-dr status shows the epochs); neither copy may be thrown away before a person has compared them."),
    "site.not_both_read_only": Text("One site was active", "one writable site, or the traces of a planned stop", "{from_site}: {from_mode}, {to_site}: {to_mode}", "Nobody accepts writes and no planned switch-over says why. Find out which site was active last (lpse-dr status), start it; only if it is gone: lpse-dr failover"),
    "site.clear": Text("It is clear where the switch-over stands", "a writable {from_site} with its standby {to_site}, or one half-way through", "{from_site}: {from_mode}, {to_site}: {to_mode}", "See which site is active and what is open: lpse-dr status. Start what is down; a lost active site is a case for lpse-dr failover."),
    "epoch.agree": Text("Hosts agree about the epoch", "one site for epoch {number}", "{sites}", "Two sites were active under one number. Compare /var/lib/lpse-dr/state.json of all hosts; let no client in before that."),
    "epoch.newest": Text("Nobody knows a newer epoch", "no epoch above {number} on {host}", "epoch {found_number} of {found_site}", "{host} has seen a later change of the active site than the database has. Find out which site was active last: lpse-dr status"),
    "epoch.active": Text("The epoch is the active site's", "an epoch of {site}", "epoch {number} of {found_site}", "The site that accepts writes is not the one that was made active last. Find out why: lpse-dr journal show"),
    # --- databases
    "database.source_writable": Text("The active database accepts writes", "{host} writable", "{mode}", "Start the database of {from_site}." + _AGAIN),
    "database.target_standby": Text("The standby runs", "{host} running as standby", "{mode}", "Start the database of {to_site}. " + _SEED),
    "database.source_stopped_clean": Text("The old database was stopped cleanly", "{host} shut down, or read-only", "{mode}, control file: {control}", "Start the database of {from_site}: it comes up read-only." + _AGAIN),
    "database.source_fenced": Text("The old database cannot start writable", "standby.signal in the data directory of {host}", "{signal}", "Start the database of {from_site} again; the switch-over can then begin anew."),
    "database.target_has_all": Text("The target has everything", "{host} past {end}, the end of {from_site}", "{replay}", "Wait some seconds and run the same command again. If it stays so: remove standby.signal at {from_site}, start its database, begin anew."),
    "database.streaming": Text("The standby is streaming", "{to_site} streaming from {from_site}", "receiver: {receiver}, sender: {sender}", _SEED),
    "database.lag_bytes": Text("The standby keeps up (bytes)", "at most {limit_bytes} bytes behind", "{lag_bytes} bytes", "Wait until it has caught up: lpse-dr replication verify --wait"),
    "database.lag_seconds": Text("The standby keeps up (seconds)", "at most {limit_seconds} s behind", "{lag_seconds} s", "Wait until it has caught up: lpse-dr replication verify --wait"),
    "database.slot": Text("The standby's slot is in use", "slot {slot} on {host} active", "{slot_state}", "Look: lpse-dr replication status. A missing slot: SELECT pg_create_physical_replication_slot('{slot}', true) on {host}."),
    "database.foreign_senders": Text("Nobody else reads the log", "only {to_site} receives from {host}", "also: {senders}", "Stop them first: they would follow the wrong site."),
    "database.archiver": Text("The log is archived", "the archiver of {host} working or off", "{archiver}", "Mend archive_command on {host}: a fast stop waits for it."),
    "database.system_identifier": Text("Both databases are of one origin", "the same system identifier", "{from_site}: {from_value}, {to_site}: {to_value}", "These are not copies of each other. lpse-dr replication seed --to {to_site}"),
    "database.timeline": Text("Both databases are on one timeline", "the same timeline", "{from_site}: {from_value}, {to_site}: {to_value}", _SEED),
    "database.no_divergence": Text("The old database has not gone its own way", "{host} not past {fork}, where timeline {timeline} ended", "{position}", "It holds changes that {to_site} has not. Keep a copy, then lpse-dr replication seed --to {from_site}"),
    "database.major": Text("Both databases have one major version", "the same major version", "{from_site}: {from_value}, {to_site}: {to_value}", "Upgrade one of them; streaming replication does not cross versions."),
    "database.major_tested": Text("This major version is tested", "PostgreSQL {tested} on {host}", "PostgreSQL {major}", "Set database_accept_untested: true in the inventory, if you accept that nobody has tried it."),
    "database.settings": Text("The standby is not set weaker", "settings of {to_site} not below those of {from_site}", "{weaker}", "Raise them at {to_site} and restart its database."),
    "database.way_back": Text("The active database can become a standby", "primary_conninfo and primary_slot_name = {slot} on {host}", "host {conninfo_host}, slot {found_slot}", "Set both on {host} (role database writes them); they do nothing while it is active."),
    "database.prepared_transactions": Text("No prepared transactions", "0 on {host}", "{count}", "COMMIT PREPARED or ROLLBACK PREPARED them on {host}."),
    "database.long_transactions": Text("No long transactions", "none over {limit_seconds} s on {host}", "{transactions}", "Let them end, or end them: SELECT pg_terminate_backend(PID)."),
    "database.replay_not_paused": Text("The standby replays", "replay not paused on {host}", "paused: {paused}", "Find out who paused it and why (it may be an open malware incident), then lpse-dr replication resume"),
    "database.no_backup": Text("No backup is running", "no running base backup on {host}", "running: {running}", "Let it end." + _AGAIN),
    "database.disk": Text("There is room at the target database", "at least {limit_bytes} bytes free on {host}", "{free_bytes} bytes", "Make room on {host}, not by hand in pg_wal."),
    # --- application and files
    "application.source": Text("The active application serves", "{host} serving, or stopped by an interrupted switch-over", "{health}", "Start the application of {from_site}, or see what is wrong: lpse-dr status"),
    "application.target": Text("The target application is ready", "{host} healthy as standby", "{health}", "Start or mend the application of {to_site}; it must be warm before clients wait for it."),
    "files.root": Text("The document folder is there", "{root} on {host}", "{exists}", "Mount it. An empty folder in its place would look like lost bids."),
    "files.peer": Text("Documents can be fetched", "{host} reaching the other site's documents", "{reached}", "Look: ssh with /etc/lpse-dr/files_key from {host}; key, known_hosts, network."),
    "files.conflicts": Text("No document differs", "no conflicts on {host}", "{count}: {paths}", "A person must compare both versions: lpse-dr replication status shows where they lie."),
    "files.last_sync": Text("Documents were copied lately", "a good copy within {limit_seconds} s on {host}", "{result}, {age_seconds} s ago", "Look: journalctl -u lpse-dr-files on {host}, lpse-dr replication status"),
    "files.timer": Text("Copying is not halted", "the copying of {host} {wanted}", "{timer}", "Find out who halted it and why (it may be an open malware incident), then lpse-dr replication resume"),
    "files.disk": Text("There is room for documents at the target", "at least {limit_bytes} bytes free on {host}", "{free_bytes} bytes", "Make room on {host}; never delete bids."),
    # --- traffic
    "gateway.running": Text("The gateway runs", "the front door of {host} running", "running: {running}", "Start it: systemctl start haproxy on {host}"),
    "gateway.consistent": Text("The gateway leads to the active site", "{wanted} on {host}", "{state} to {target}", "See which site is active: lpse-dr status. Correct the gateway before the switch-over."),
    "dns.answers": Text("The name leads to the active site", "the name to lead to {site}, asked from {host}", "{found_site}", "Look at the name server and the zone: lpse-dr traffic status"),
    "dns.update": Text("The name can be changed", "the name server to accept an update from {host}", "accepted: {accepted} ({error})", "Look at the TSIG key, its name and the update rules of the zone: lpse-dr traffic status"),
}  # fmt: skip


def _identity(context: str, template: str) -> str:
    return template


def sentences(
    guard_id: str, data: Dict[str, Any], translate: Callable[[str, str], str] = _identity
) -> Tuple[str, str, str, str]:
    """Return title, expected, found and todo of a result, in English or by ``translate(context, template)`` (pgettext)."""
    text = GUARDS[guard_id]
    values = {
        key: translate("guard.word", value) if value in WORDS else value
        for key, value in data.items()
        if not isinstance(value, (dict, list))
    }
    missing = "missing" in data
    filler = _Names(values)
    found = translate("guard", NO_READING) if missing else translate(guard_id, text.found)
    todo = translate("guard", NO_READING_TODO) if missing else translate(guard_id, text.todo)
    return (
        translate(guard_id, text.title),
        translate(guard_id, text.expected).format_map(filler),
        found.format_map(filler),
        todo.format_map(filler),
    )


class _Names(Dict[str, Any]):
    """Values for a template; one that was not read shows as a question mark instead of breaking the sentence."""

    def __missing__(self, key: str) -> str:
        return "?"
