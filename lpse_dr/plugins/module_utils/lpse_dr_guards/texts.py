"""The sentences of guards and reports: English here, translated by id on the Python side."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

from .texts_backup import BACKUP_REPORTS
from .texts_failover import FAILOVER, FAILOVER_REPORTS, FAILOVER_WORDS
from .texts_standby import STANDBY, STANDBY_REPORTS
from .vlan_texts import SENTENCES as _VLAN


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
    # In what roles found, between commas.
    "read-only", "fenced", "not fenced", "no reading", "no answer", "two", "no epoch", "nothing was said", "it does not run", "no such folder",
    "the active site", "application_warm is false", "unit running", "unit not running", "kept from starting", "free to start",
    "serving", "health serving", "health standby", "health failed", "health stopped", "health unreachable", "health unknown",
    *FAILOVER_WORDS,
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
    "host.state": Text("The state file is readable", "operation, epoch, prepared, fired and halted in /var/lib/lpse-dr/state.json of {host}", "{keys}", "Compare it with the file of the other hosts before you mend it."),
    "operation.free": Text("No other operation is at work", "no other operation at work on {host}", "operation {number}, run {run} of {holder}: {condition}", "Follow it: lpse-dr runs show {run} --follow. It can be taken over when its holder is gone or its lease has run out."),
    "replication.halted": Text("Replication is not halted", "no halt of replication on {host}", "halted at {at} by {by}: {reason}", "Find out whether the danger is over. Only then, by order of the Koordinator: lpse-dr replication resume --at {site}"),
    # --- who is active
    "site.not_split": Text("One site accepts writes", "at most one writable site", "{from_site}: {from_mode}, {to_site}: {to_mode}", "Both sites accept writes. Take clients away from one now (lpse-dr status shows the epochs); neither copy may be thrown away before a person has compared them."),
    "site.not_both_read_only": Text("One site was active", "one writable site, or the traces of a planned stop", "{from_site}: {from_mode}, {to_site}: {to_mode}", "Nobody accepts writes and no planned switch-over says why. The fence may wait for an answer: lpse-dr fence status. Else find out which site was active last (lpse-dr status), start it; only if it is gone: lpse-dr failover"),
    "epoch.agree": Text("Hosts agree about the epoch", "one site for epoch {number}", "{sites}", "Two sites were active under one number. Compare /var/lib/lpse-dr/state.json of all hosts; let no client in before that."),
    "epoch.newest": Text("Nobody knows a newer epoch", "no epoch above {number} on {host}", "epoch {found_number} of {found_site}", "{host} has seen a later change of the active site than the database has. Find out which site was active last: lpse-dr status"),
    "epoch.active": Text("The epoch is the active site's", "an epoch of {site}", "epoch {number} of {found_site}", "The site that accepts writes is not the one that was made active last. Find out why: lpse-dr journal show"),
    # --- databases
    "database.source_writable": Text("The active database accepts writes", "{host} writable", "{mode}", "Start the database of {from_site}." + _AGAIN),
    "database.target_standby": Text("The standby runs", "{host} running as standby", "{mode}", "Start the database of {to_site}. " + _SEED),
    # What is said where nothing more telling was.
    "site.clear": Text("It is clear where the switch-over stands", "a writable {from_site} with its standby {to_site}, or one half-way through", "{from_site}: {from_mode}, {to_site}: {to_mode}", "See which site is active and what is open: lpse-dr status. Start what is down; a lost active site is a case for lpse-dr failover."),
    "database.source_stopped_clean": Text("The old database was stopped cleanly", "{host} shut down, or read-only", "{mode}, control file: {control}", "Start the database of {from_site}: it comes up read-only." + _AGAIN),
    "database.source_fenced": Text("The old database cannot start writable", "standby.signal in the data directory of {host}", "{signal}", "Start the database of {from_site} again; the switch-over can then begin anew."),
    "database.target_has_all": Text("The target has everything", "{host} past {end}, the end of {from_site}", "{replay}", "Wait some seconds and run the same command again. If it stays so: lpse-dr database start --at {from_site}, begin anew."),
    "database.streaming": Text("The standby is streaming", "{to_site} streaming from {from_site}", "receiver: {receiver}, sender: {sender}", _SEED),
    "database.lag_bytes": Text("The standby keeps up (bytes)", "at most {limit_bytes} bytes behind", "{lag_bytes} bytes", "Wait until it has caught up: lpse-dr replication verify --wait"),
    "database.lag_seconds": Text("The standby keeps up (seconds)", "at most {limit_seconds} s behind", "{lag_seconds} s", "Wait until it has caught up: lpse-dr replication verify --wait"),
    "database.slot": Text("The standby's slot is in use", "slot {slot} on {host} active", "{slot_state}", "Look: lpse-dr replication status. A missing slot: SELECT pg_create_physical_replication_slot('{slot}', true) on {host}."),
    "database.foreign_senders": Text("Nobody else reads the log", "only {to_site} receives from {host}", "also: {senders}", "Stop them first: they would follow the wrong site."),
    "database.archiver": Text("The log is archived", "the archiver of {host} working or off", "{archiver}", "Mend archive_command on {host}: a fast stop waits for it."),
    "database.system_identifier": Text("Both databases are of one origin", "the same system identifier", "{from_site}: {from_value}, {to_site}: {to_value}", "These are not copies of each other. lpse-dr replication seed --to {to_site}"),
    "database.timeline": Text("Both databases are on one timeline", "the same timeline", "{from_site}: {from_value}, {to_site}: {to_value}", _SEED),
    "database.no_divergence": Text("The old database has not gone its own way", "{host} not past {fork}, where timeline {timeline} ended", "{position}", "It holds changes that {to_site} has not. They are salvaged before it is rebuilt: lpse-dr failback --to {from_site} --prepare-only"),
    "database.major": Text("Both databases have one major version", "the same major version", "{from_site}: {from_value}, {to_site}: {to_value}", "Upgrade one of them; streaming replication does not cross versions."),
    "database.major_tested": Text("This major version is tested", "PostgreSQL {tested} on {host}", "PostgreSQL {major}", "Set database_accept_untested: true in the inventory, if you accept that nobody has tried it."),
    "database.settings": Text("The standby is not set weaker", "settings of {to_site} not below those of {from_site}", "{weaker}", "Raise them at {to_site} and restart its database."),
    "database.way_back": Text("The active database can become a standby", "primary_conninfo and primary_slot_name = {slot} on {host}", "host {conninfo_host}, slot {found_slot}", "Set both on {host} (role database writes them); they do nothing while it is active."),
    "database.prepared_transactions": Text("No prepared transactions", "0 on {host}", "{count}", "COMMIT PREPARED or ROLLBACK PREPARED them on {host}."),
    "database.long_transactions": Text("No long transactions", "none over {limit_seconds} s on {host}", "{transactions}", "Let them end, or end them: SELECT pg_terminate_backend(PID)."),
    "database.replay_not_paused": Text("The standby replays", "replay not paused on {host}", "paused: {paused}", "Find out who paused it and why (it may be an open malware incident), then on {host}: SELECT pg_wal_replay_resume()"),
    "database.no_backup": Text("No backup is running", "no running base backup on {host}", "running: {running}", "Let it end." + _AGAIN),
    "database.disk": Text("There is room at the target database", "at least {limit_bytes} bytes free on {host}", "{free_bytes} bytes", "Make room on {host}, not by hand in pg_wal."),
    # --- application and files
    "application.source": Text("The active application serves", "{host} serving, or stopped by an interrupted switch-over", "{health}", "Start the application of {from_site}, or see what is wrong: lpse-dr status"),
    "application.target": Text("The target application is ready", "{host} healthy as standby", "{health}", "Start or mend the application of {to_site}; it must be warm before clients wait for it."),
    "files.root": Text("The document folder is there", "{root} on {host}", "{exists}", "Mount it. An empty folder in its place would look like lost bids."),
    "files.peer": Text("Documents can be fetched", "{host} reaching the other site's documents", "{reached}", "Look: ssh with /etc/lpse-dr/files_key from {host}; key, known_hosts, network."),
    "files.conflicts": Text("No document differs", "no conflicts on {host}", "{count}: {paths}", "A person must compare both versions: lpse-dr replication status shows where they lie."),
    "files.last_sync": Text("Documents were copied lately", "a good copy within {limit_seconds} s on {host}", "{result}, {age_seconds} s ago", "Look: journalctl -u lpse-dr-files on {host}, lpse-dr replication status"),
    "files.timer": Text("Copying is not halted", "the copying of {host} {wanted}", "{timer}", "Find out who halted it and why (it may be an open malware incident), then lpse-dr files resume"),
    "files.disk": Text("There is room for documents at the target", "at least {limit_bytes} bytes free on {host}", "{free_bytes} bytes", "Make room on {host}; never delete bids."),
    # --- traffic
    "gateway.running": Text("The gateway runs", "the front door of {host} running", "running: {running}", "Start it: systemctl start haproxy on {host}"),
    "gateway.consistent": Text("The gateway leads to the active site", "{wanted} on {host}", "{state} to {target}", "See which site is active: lpse-dr status. Correct the gateway before the switch-over."),
    "dns.answers": Text("The name leads to the active site", "the name to lead to {site}, asked from {host}", "{found_site}", "Look at the name server and the zone: lpse-dr traffic status"),
    "dns.update": Text("The name can be changed", "the name server to accept an update from {host}", "accepted: {accepted} ({error})", "Look at the TSIG key, its name and the update rules of the zone: lpse-dr traffic status"),
    **{identity: Text(*words) for identity, words in {**FAILOVER, **STANDBY}.items()},
    **{guard_id: Text(*sentences) for guard_id, sentences in _VLAN.items()},
}  # fmt: skip

# Everything else that arrives by an id: what a role expects of its host, how a run ended, what a verb says on a host. Their
# sentences are made where they arise and hold free values (a file, an address, PostgreSQL's own words). So one way for all:
# the title is translated; a part that is always the same is translated whole; "" stands for the words as they came. A
# title goes before such an `expected`, so that nobody has to understand the English behind it (see `report`).
REPORTS: Dict[str, Text] = {
    # --- what a role's guards say (roles/*/vars, roles/*/tasks)
    "application.epoch_known": Text("The epoch is known", "an epoch that names the active site", "none", ""),
    "application.may_stand_by": Text("The application may stand by here", "a standby site, and an application that can run against a read-only database", "", ""),
    "application.not_kept_stopped": Text("The application is free to start", "an application that is free to start", "", ""),
    "application.readable": Text("The application can be read", "an application whose unit can be read", "", ""),
    "application.started": Text("The application has started", "", "", ""),
    "application.stopped": Text("The application stays stopped", "stopped, and kept from starting", "", ""),
    "application.undisturbed": Text("The application was not disturbed", "the application as it was", "", ""),
    "application.warm": Text("The application stands by", "standby", "", ""),
    "database.epoch_known": Text("The epoch is known", "an epoch that names the active site", "", ""),
    "database.follows": Text("The database follows the other site", "a standby that receives", "", ""),
    "database.is_standby": Text("The database is a standby", "", "", ""),
    "database.no_clients": Text("Nobody uses the database", "nobody connected to a database that takes writes", "", ""),
    "database.not_ahead": Text("Nothing was written here alone", "", "", ""),
    "database.not_writable_here": Text("This side does not accept writes", "this side not to take writes", "", ""),
    "database.one_writable": Text("One side accepts writes", "", "", ""),
    "database.peer_answers": Text("The other database answers", "", "", ""),
    "database.peer_down": Text("The other database is down, and cannot start writable", "", "", ""),
    "database.peer_writable": Text("The other database is the active one", "", "", ""),
    "database.promoted": Text("The database was made active", "writable, and named by the epoch", "", ""),
    "database.readable": Text("The data directory can be read", "a data directory that can be read", "", ""),
    "database.role_as_ordered": Text("The role is the one that the epoch orders", "", "", ""),
    "database.same_system": Text("Both databases are of one origin", "the same system identifier at both sides", "", ""),
    "database.sends_nothing": Text("Nothing comes from it any more", "", "it still receives", ""),
    "database.slot_in_use": Text("The slot is in use", "", "", ""),
    "database.started": Text("The database runs in its role", "", "", ""),
    "database.stopped": Text("The database is stopped for good", "shut down, and fenced", "", ""),
    "dns.name_leads": Text("The name leads to the active site", "", "", ""),
    "dns.update_permitted": Text("The name can be changed", "", "", ""),
    "files.epoch_known": Text("The epoch is known", "an epoch that names the active site", "none", ""),
    "files.halted": Text("Copying is halted", "", "", ""),
    "files.no_conflict": Text("No document differs", "no document that differs", "", ""),
    "files.not_halted": Text("Nobody has halted the copying", "copying not to be halted", "a person has halted it", ""),
    "files.peer_answers": Text("The other site lets documents be fetched", "", "", ""),
    "files.readable": Text("The document folder is there", "", "", ""),
    "files.resumed": Text("Copying is at work", "an active timer", "", ""),
    "files.reversed": Text("Documents flow from the active site", "an active timer, and a pull that ended well at the standby", "", ""),
    "files.same_content": Text("Documents are equal", "the same content at both sides", "", ""),
    "files.standby_here": Text("This is a standby site", "a standby site", "the epoch names this site as the active one", ""),
    "files.synced": Text("Documents were copied", "a pull that ended well", "", ""),
    "replication.active_known": Text("The active site is read", "", "", ""),
    "replication.all_answer": Text("Every host of the side answers", "", "", ""),
    "replication.not_active": Text("The side to halt is a standby", "", "", ""),
    "replication.reason_given": Text("Somebody says why, and who ordered it", "a reason, and who ordered it", "", ""),
    "replication.site_answers": Text("A host of the side answers", "", "", ""),
    "replication.slot_kept": Text("The active site has kept what the standby lacks", "", "", ""),
    "replication.both_sides_known": Text("Both sides are known", "an active site and another one", "", ""),
    "traffic.gateway_leads": Text("The gateway leads to the active site", "", "", ""),
    "traffic.gateway_runs": Text("The gateway runs", "", "", ""),
    "traffic.held": Text("Clients wait at the gateway", "clients held", "", ""),
    "traffic.ordered_by_hand": Text("A person leads clients", "a person to lead clients", "asked for", ""),
    "traffic.readable": Text("The gateway can be read", "a gateway that runs", "", ""),
    "traffic.released": Text("Clients go on", "", "", ""),
    "traffic.removed": Text("The front door was taken away", "", "", ""),
    "traffic.stated": Text("A person says that clients are led", "who led clients by hand, and how he knows", "", ""),
    "traffic.target_current": Text("The target is the active site", "", "", ""),
    "traffic.target_up": Text("The active site's application serves", "", "", ""),
    # --- how a role or a conductor says that it ended
    "dns.not_expired": Text("Nobody believes the old address any more", "", "", ""),
    "host.failed": Text("The host does what it is asked", "", "", ""),
    "host.lost": Text("The host stays in contact", "", "", ""),
    "host.unreachable": Text("The host can be reached", "", "", ""),
    "journal.unwritable": Text("The journal can be written", "the journal to take the record", "", ""),
    "replication.behind": Text("The other site is up to date", "", "", ""),
    "replication.cannot": Text("Data can reach the other site", "", "", ""),
    "replication.left_open": Text("Replication is halted on every host of the side", "", "", ""),
    "run.cancelled": Text("The run goes on", "the run to go on", "somebody ended it", ""),
    "run.failed": Text("Every task succeeds", "", "", ""),
    "site.left_open": Text("Nothing is left open", "everything in its final place", "", ""),
    "site.unknown": Text("The site is known", "a site of the inventory", "", ""),
    "traffic.manual_open": Text("Clients are led by hand", "", "nobody has confirmed it", ""),
    "verb.bug": Text("The program has no fault", "", "", ""),
    # --- what a verb says on a host (lpse_dr_host)
    "application.health": Text("The application is healthy", "", "", ""),
    "application.no_command": Text("The inventory says how the application starts and stops", "", "none", "Set it in the inventory."),
    "application.not_started": Text("The application starts", "", "", ""),
    "application.prove_write": Text("The application can write", "every pooled connection to prove a write", "", ""),
    "application.still_running": Text("The application ends", "the application to be stopped", "", ""),
    "command.failed": Text("A command on the host succeeds", "", "", ""),
    "command.missing": Text("A program is installed on the host", "", "", "Install what is missing on this host."),
    "command.timeout": Text("A command on the host ends in time", "", "still running; ended", ""),
    "database.control_unreadable": Text("The control file can be read", "pg_controldata to be readable", "", ""),
    "database.epoch_elsewhere": Text("The epoch permits writes here", "", "", ""),
    "database.lsn_unreadable": Text("A position can be read", "a position like 0/3000060", "", ""),
    "database.marker_missing": Text("The marker row arrives", "the marker row to arrive", "", ""),
    "database.not_fired": Text("The promotion is recorded before it is ordered", "", "", ""),
    "database.not_paused": Text("Replay stands still", "replay to stand still", "", ""),
    "database.not_pinned": Text("A restart finds what was ordered", "", "", ""),
    "database.not_still": Text("Replay stays where it was halted", "", "", ""),
    "database.receiver_alive": Text("Nothing receives any more", "", "", ""),
    "database.not_streaming": Text("The standby receives and replays", "", "", ""),
    "database.promotion_slow": Text("The standby is made active in time", "the standby to be promoted in time", "it is still in recovery; the promotion was ordered and may yet come", ""),
    "database.replay_behind": Text("The standby has replayed everything", "", "", ""),
    "database.service_missing": Text("The tool's own tables are there", "", "", "Apply the role database to this site."),
    "database.setting_stuck": Text("The server takes a setting over", "", "it goes on with another value", "Look for the setting on the server's command line, and for errors in pg_file_settings."),
    "database.slot_active": Text("The slot is unused", "", "a standby reads from it", ""),
    "database.slot_name": Text("The slot's name can be used", "", "", ""),
    "database.start_failed": Text("The database starts", "the server to start and to answer", "", ""),
    "database.stop_timeout": Text("The database stops in time", "the server to end in time", "", ""),
    "database.unclean_stop": Text("The database was stopped cleanly", "the control file to say that the server was shut down", "", "Start it, let it recover, and stop it again."),
    "dns.configuration": Text("The inventory's names and addresses can be used", "plain names and addresses", "", "Correct the inventory."),
    "dns.no_answer": Text("The name server answers", "", "", ""),
    "dns.no_key": Text("There is a key for changing the name", "a key for updates", "", ""),
    "dns.not_moved": Text("The name has its new address", "", "", ""),
    "dns.update_refused": Text("The name server accepts the change", "", "", "Check key, zone and the server's access rules."),
    "epoch.older": Text("The epoch is the newest", "", "", ""),
    "fence.armed": Text("The fence is armed", "standby.signal in the data directory", "", ""),
    "fence.epoch_known": Text("The epoch is known", "an epoch that names the active site", "none", ""),
    "fence.epoch_over": Text("A lift is for the epoch that is", "", "", ""),
    "fence.granted": Text("Nobody may still open the old site", "", "", ""),
    "fence.guard_runs": Text("The guard is at work", "a guard at work", "", ""),
    "fence.installed": Text("The host has a guard of a database", "a database host with a guard", "", ""),
    "fence.key": Text("The office has a key for its guards", "a key of 32 characters or more in the vault", "", ""),
    "fence.lifted": Text("The lift is written down", "", "", ""),
    "fence.needed": Text("There is something to lift", "a database that does not take writes", "", ""),
    "fence.no_newer_epoch": Text("Nobody knows a newer epoch", "", "", ""),
    "fence.other_not_writable": Text("The other side does not accept writes", "", "", ""),
    "fence.own_epoch": Text("This site is the active one", "", "", ""),
    "fence.permitters": Text("Somebody of the other site can be asked", "a gateway or database host of the other site with a fence_address", "none", "Give every host its fence_address in the inventory."),
    "fence.person": Text("A person answers for the lift", "a named person and a reason", "", ""),
    "fence.removed": Text("The guard is gone", "no guard", "", ""),
    "files.busy": Text("No other copying is at work", "no other pull at work", "", "Wait for it."),
    "files.epoch_unknown": Text("The host knows the epoch", "an epoch known to this host", "none", ""),
    "files.hash_differs": Text("Documents are equal on both sides", "", "", ""),
    "files.marker_late": Text("The marker document arrives in time", "the marker to arrive in time", "it has not", ""),
    "files.marker_name": Text("The marker's name can be used", "letters, digits and - as a marker's name", "", ""),
    "files.not_standby": Text("Documents are fetched at the standby site only", "", "", ""),
    "files.path_outside": Text("A path is inside the document folder", "", "", ""),
    "files.peer_stale": Text("The other site is the active one", "", "", ""),
    "files.peer_unreachable": Text("The other site lets this host in", "", "", ""),
    "files.root_missing": Text("The document folder is there", "", "nothing there", "Mount it or create it."),
    "files.rsync_failed": Text("Documents can be copied", "", "", ""),
    "files.still_copying": Text("Nothing copies documents any more", "", "", ""),
    "files.watch_failed": Text("Every folder is watched for changes", "every folder to be watched", "", ""),
    "files.watch_lost": Text("No change of a document was missed", "", "", "Run the same command again: it looks at all documents anew."),
    "operation.deadline": Text("The order reaches the host in time", "", "", ""),
    "operation.lock_free": Text("No other operation is at work", "", "", ""),
    "operation.superseded": Text("The host obeys this operation", "", "", ""),
    "replication.foreign_table": Text("The table that blocks the path is lpse-dr's own", "", "somebody else's", ""),
    "replication.not_blocked": Text("The path is blocked", "the path to be blocked, over a restart too", "it is not", ""),
    "replication.not_marked": Text("The halt is written down first", "the halt to be written down on this host first", "it is not", ""),
    "replication.path_open": Text("No way leads to the other side", "", "", "Does the stream of the standby pass its own gateway? lpse-dr replication status"),
    "replication.path_unknown": Text("It is known where the stream comes from", "to know where this host's stream comes from", "no address of the other side", ""),
    "service.bid_refused": Text("The service takes a trial bid", "the service to take a synthetic bid", "", ""),
    "service.receipt_wrong": Text("The receipt is right", "the receipt to name what was sent", "", ""),
    "service.unreachable": Text("The service can be reached", "", "", ""),
    "state.unreadable": Text("The state file is readable", "", "", "Compare it with the other hosts' file before mending it."),
    "traffic.map_unknown": Text("The gateway knows its choice", "", "", "Install the gateway's configuration."),
    "traffic.map_unreadable": Text("The gateway's choice can be read", "", "", ""),
    "traffic.map_value": Text("The gateway's choice can be written", "", "", ""),
    "traffic.not_cut": Text("Open connections end", "", "", ""),
    "traffic.not_running": Text("The gateway runs", "", "", ""),
    "traffic.not_taken": Text("The gateway takes its choice over", "", "", ""),
    "traffic.site_unknown": Text("The site is known to the gateway", "", "", "Correct the inventory."),
    "vlan.foreign_table": Text("Our table is ours", "", "", ""),
    "vlan.not_released": Text("The gateway is released", "no isolation on this gateway", "", ""),
    "vlan.rules_differ": Text("The gateway has just these rules", "", "", ""),
    "vlan.undo_alive": Text("The undo is dead", "no undo that is armed", "", ""),
    "vlan.undo_not_armed": Text("The undo is armed before the change", "an undo that is armed", "none", ""),
    "vlan.unit_failed": Text("A restart would bring the rules back", "", "it does not", ""),
    "traffic.upload_too_long": Text("Uploads end before the limit", "", "", "Try again later, or lpse-dr switchover --cut-uploads"),
    "verb.unknown": Text("All jump hosts have one version of lpse-dr", "a verb of lpse-dr", "", "Give all jump hosts one version of lpse-dr."),
    "database.no_answer": Text("The database answers in time", "", "none in time; the session was ended", ""),
    "database.connection_lost": Text("The database stays in contact", "", "", ""),
    "database.sql_failed": Text("The database performs a statement", "", "", ""),
    **{identity: Text(*words) for identity, words in {**FAILOVER_REPORTS, **STANDBY_REPORTS, **BACKUP_REPORTS}.items()},
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


def report(
    identity: str, said: Mapping[str, Any], translate: Callable[[str, str], str] = _identity
) -> Tuple[str, str, str, str]:
    """Return title, expected, found and todo of what came by an id of REPORTS, its free values as they were ``said``."""
    text = REPORTS[identity]
    title = translate(identity, text.title)
    expected, found, todo = (
        translate(identity, known) if known else _worded(said.get(key), translate)
        for key, known in zip(("expected", "found", "todo"), text[1:])
    )
    if not text.expected and title != text.title:
        expected = "%s (%s)" % (title, expected) if expected else title
    return title, expected, found, todo


def _worded(value: Any, translate: Callable[[str, str], str]) -> str:
    """Return words as they came, those translated that are known."""
    parts = str(value or "").strip().split(", ")
    return ", ".join(translate("guard.word", part) if part in WORDS else part for part in parts)


class _Names(Dict[str, Any]):
    """Values for a template; one that was not read shows as a question mark instead of breaking the sentence."""

    def __missing__(self, key: str) -> str:
        return "?"
