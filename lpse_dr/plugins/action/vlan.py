"""Judge an isolation step by step, and hand the role what it needs to go on. Runs on the jump host; changes nothing."""

from __future__ import annotations

import os
import sys
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import action_loader, connection_loader
from ansible.utils.path import unfrackpath

# Plugins of one folder are no package, so the loader finds the one that knows how hosts are reached and guards are loaded.
guard: Any = sys.modules[action_loader.get("guard", class_only=True).__module__]

# A connection of its own: one that was open before the change proves nothing about those that come after it.
FRESH = "-o ControlMaster=no -o ControlPath=none"


class ActionModule(guard.ActionModule):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """``ask`` names the question; ``border`` is what the inventory says, ``level`` and ``names`` what was typed.

    - order: judge what was typed; returns ``isolated``.
    - reach: how hosts are reached and what they try; ``acting`` gateways, ``fresh`` connections. Its result is hidden.
    - plan: judge the gateways by ``read`` and ``left`` of the conductor; returns ``plan``, ``todo``, ``silent``, ``cells``.
    - show: hand the exact rules of a provider to who asked for a plan.
    - prove: judge an isolation by what was read after it; fails where it cut what should stay.
    - ended: the verdict, of everything that was registered on the way.
    - look, confirm: the verdict of a look, and of what a person did by hand.
    """

    _VALID_ARGS = frozenset(
        ("ask", "border", "level", "names", "purpose", "statement", "acting", "fresh", "isolated", "read", "left", "plan", "before", "provider",
         "rules", "judged", "acted", "proof", "proven", "confirmed", "restored", "plan_only", "failure")
    )  # fmt: skip

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge; change nothing, also under --check."""
        super(guard.ActionModule, self).run(tmp, task_vars)
        self._known = task_vars or {}
        args = {key: guard.plain(value) for key, value in self._task.args.items()}
        guard.guards_package()
        from ansible.module_utils.lpse_dr_guards import vlan, vlan_verdict
        from ansible.module_utils.lpse_dr_guards.vlan_model import read_border

        self._vlan: Any = vlan
        self._verdict: Any = vlan_verdict
        ask = getattr(self, f"_ask_{args['ask']}", None)
        if ask is None:
            raise AnsibleActionFail(f"{args['ask']} is nothing that can be asked.")
        hosts = list((self._known.get("groups") or {}).get("all") or [])
        result: dict[str, Any] = {
            "changed": False,
            **ask(read_border({**args.get("border", {}), "hosts": hosts}), args),
        }
        return result

    # --- what can be asked

    def _ask_order(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        level, names = args.get("level") or "", args.get("names") or []
        found = self._vlan.order(border, level, names)
        if args.get("purpose") not in ("isolate", "confirm"):
            found = [item for item in found if item.guard_id == "vlan.inventory"]
        return {**_judged(found), "isolated": border.isolated(level, names)}

    def _ask_reach(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        isolated = args.get("isolated") or []
        probes = border.probes(isolated, args.get("acting") or [])
        if args.get("purpose") == "release":
            probes = {}
        elif args.get("purpose") == "isolate":
            # Before an isolation only that is of interest which it must not cut; what it shall cut waits for it.
            probes = {
                host: [path for path in paths if not {path["from"], path["to"]} & set(isolated)]
                for host, paths in probes.items()
            }
            probes = {host: paths for host, paths in probes.items() if paths}
        gateways = [name for name in _driven(border) if name in self._known["hostvars"]]
        probers = [host for host in sorted(probes) if host in self._known["hostvars"]]
        conduct = {}
        for host in sorted({*gateways, *probers}):
            reading = {"config": {"vlan_targets": probes.get(host, [])}}
            conduct[host] = self._connection_of(host, reading, self._known, True)
            if args.get("fresh") is True and host in gateways:
                conduct[host]["ssh_args"] = f"{FRESH} {conduct[host]['ssh_args']}"
        # Ansible makes the folder of its sockets at its first connection; here the conductor may come first.
        ssh = connection_loader.get("ssh", self._play_context)
        os.makedirs(unfrackpath(ssh.get_option("control_path_dir")), mode=0o700, exist_ok=True)
        passwords = {host: item.pop("become_password") for host, item in conduct.items() if "become_password" in item}
        found = {"conduct": conduct, "passwords": passwords, "gateways": gateways, "probers": probers}
        return {**found, "_ansible_no_log": True}

    def _ask_plan(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        vlan, isolating = self._vlan, args.get("purpose") == "isolate"
        readings, silent, measured = _seen(border, args)
        level, names = args.get("level") or "", args.get("names") or []
        found = vlan.gateways(border, readings, silent)
        if isolating:
            statement = str(args.get("statement") or "")
            found += vlan.management(border, border.isolated(level, names), readings, statement)
        judged = _judged(found)
        plan = vlan.plan(border, level, names, readings) if isolating else {}
        done = [name for name, reading in readings.items() if (vlan.is_isolated(reading, plan["id"]) if isolating else vlan.is_released(reading))]  # fmt: skip
        return {
            **judged, "plan": plan, "silent": silent, "readings": readings,
            "claimed": [{"reading": reading} for reading in readings.values()],
            "todo": [name for name in readings if name not in done],
            "manual": [name for name, provider in border.gateways.items() if provider == "manual"],
            "cells": vlan.matrix(border, vlan.what_holds(border, readings)[1], measured),
        }  # fmt: skip

    def _ask_show(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        at = [name for name, provider in border.gateways.items() if provider == args["provider"]]
        shown = {"kind": "vlan", "provider": args["provider"], "gateways": at, "rules": str(args["rules"])}
        return {"msg": str(args["rules"]).splitlines(), "lpse_dr": shown}

    def _ask_prove(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        readings, silent, measured = _seen(border, args)
        isolated = args.get("isolated") or []
        acting = [name for name, reading in readings.items() if _loaded(reading) == args["plan"]["id"]]
        left = {name: silent.get(name, "not isolated") for name in _driven(border) if name not in acting}
        cells = self._vlan.matrix(border, isolated, measured)
        needed, _wished = self._vlan.judge_isolation(border, isolated, acting, left, args.get("before") or [], cells)
        result = {**_judged(needed), "acting": acting, "cells": cells}
        if _driven(border) and not acting:
            errors = [error for error in (args.get("left") or {}).values() if isinstance(error, dict)]
            result.update(failed=True, msg="no gateway was isolated", error=errors[0] if errors else None)
        return result

    def _ask_ended(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        return dict(self._verdict.ended(border, args))

    def _ask_look(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        shown, verdict, error = self._verdict.look(border, *_seen(border, args))
        told = {"segments": args["border"]["segments"], "levels": args["border"]["levels"]}
        return {"verdict": verdict, "error": error, "lpse_dr": {"kind": "vlan", **shown, **told}}

    def _ask_confirm(self, border: Any, args: dict[str, Any]) -> dict[str, Any]:
        isolated = border.isolated(args.get("level") or "", args.get("names") or [])
        statement = str(args.get("statement") or "")
        verdict, error = self._verdict.confirm(border, isolated, statement, *_seen(border, args))
        return {"verdict": verdict, "error": error}


def _driven(border: Any) -> list[str]:
    return [name for name, provider in border.gateways.items() if provider != "manual"]


def _loaded(reading: dict[str, Any]) -> str | None:
    """Return the id of the rules that a gateway has now."""
    nft = (reading.get("vlan") or {}).get("nftables") or {}
    identity: str | None = (nft.get("isolation") or {}).get("id")
    return identity


def _judged(found: list[Any]) -> dict[str, Any]:
    """Return guards as they travel in events; failed where one does not hold."""
    guards = [item.as_dict() for item in found]
    refused = [item for item in guards if not item["ok"]]
    result: dict[str, Any] = {"refused": refused, "lpse_dr": {"kind": "guards", "stage": None, "guards": guards}}
    if refused:
        lines = [
            f"{g['guard_id']} {g['host']}: expected {g['expected']}; found {g['found']}. {g['todo']}" for g in refused
        ]
        result.update(failed=True, msg="\n".join(lines))
    return result


def _seen(border: Any, args: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """Return (readings of gateways, gateways that gave none and why, paths measured by host)."""
    answers, left = args.get("read") or {}, args.get("left") or {}
    readings = {
        host: answer["reading"] for host, answer in (answers.get("read") or {}).items() if host in border.gateways
    }
    silent = {
        name: str((left.get(name) or {}).get("found") or "no reading")
        for name in _driven(border)
        if name not in readings
    }
    measured = {host: answer.get("paths") or [] for host, answer in (answers.get("probe") or {}).items()}
    return readings, silent, measured
