"""The sentences of guards about segments; joined to the others in ``texts``."""

from __future__ import annotations

from typing import Dict, Tuple

# id: title, expected, found, what to do.
SENTENCES: Dict[str, Tuple[str, str, str, str]] = {
    "vlan.inventory": ("The inventory of segments can be used", "segments, gateways and levels without contradiction", "{problems}", "Correct vlan_segments, vlan_gateways, vlan_levels, vlan_always or vlan_paths in inventory/group_vars/all/vlan.yml."),
    "vlan.level_known": ("The level is known", "one of {levels}", "{level}", "See the levels: lpse-dr vlan status"),
    "vlan.segments_named": ("Segments are named where the level wants them", "segments named for level segment, and for no other", "{level}, segments: {found_names}", "lpse-dr vlan isolate segment NAME..."),
    "vlan.segment_known": ("The segments are known", "some of {segments}", "{strangers}", "See the segments: lpse-dr vlan status"),
    "vlan.gateway_reachable": ("A gateway answers", "at least one of {gateways}", "{answer}", "Look at power, network and SSH of the gateways. Cables can be pulled by hand."),
    "vlan.nftables_present": ("The gateway has nftables", "nft on {host}", "missing", "Install nftables on {host}, or give it provider manual in vlan_gateways."),
    "vlan.undo_possible": ("The gateway can undo by itself", "systemd-run on {host}", "missing", "Without it a mistake could cut you off for good: give {host} provider manual in vlan_gateways."),
    "vlan.table_free": ("Our table is ours", "no table lpse_dr_isolation of somebody else on {host}", "a table with comment: {comment}", "Find out whose it is: nft list table inet lpse_dr_isolation on {host}. Rename or delete it by hand."),
    "vlan.management_kept": ("You stay connected", "your address, as {host} sees it, in vlan_always ({kept})", "{client}, in isolated segment: {segment}", "Type it at a host in the management network, or add this address to vlan_always. Who knows that the path stays open says so: --path-stays TEXT"),
    "vlan.kept_open": ("What should stay open stays open", "every path outside the isolated segments open as before", "closed: {paths}", "See who can talk to whom: lpse-dr vlan status"),
    "vlan.gateway_isolated": ("Every gateway is isolated", "every gateway to keep the segments apart", "{gateways}; open paths: {paths}", "Isolate it, or pull its cables; then type the same command again."),
    "vlan.path_closed": ("Every path is closed", "no packet between the segments", "still open: {paths}", "There is a way around the gateways. Find it (a host in two segments, a cable), then lpse-dr vlan status"),
    "vlan.path_proven": ("Every path was tried", "a probe on every path", "nobody tried: {paths}", "Switch the probing hosts on, or accept it; then lpse-dr vlan status"),
    "vlan.gateway_released": ("Every gateway is released", "no isolation on any gateway", "{gateways}", "Type the same command again when it answers."),
    "vlan.as_expected": ("Who can talk to whom is as expected", "every measured path as expected", "{paths}", "Look at the rules of the gateways, then lpse-dr vlan isolate or lpse-dr vlan release"),
    "vlan.done_by_hand": ("What is done by hand is confirmed", "the configuration of {gateways} changed by hand, and confirmed", "nobody has confirmed it", "lpse-dr vlan confirm RUN"),
    "vlan.stated": ("A person says that it was done", "who changed {gateways} by hand, and how he knows", "nothing was said", "lpse-dr vlan confirm RUN --reason TEXT"),
}  # fmt: skip
