"""From an operation and an office to a run: check, order, launch, follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..content import content_root
from ..office import Office
from ..runner.folder import Run
from ..runner.launch import Order, launch
from .inventory import Inventory, read_inventory
from .model import Operation

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Wish:
    """What the command line adds to an operation."""

    command: str
    argv: tuple[str, ...] = ()
    reason: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    secret_variables: dict[str, Any] = field(default_factory=dict)
    vault_password_file: Path | None = None
    verbosity: int = 0
    plan: bool = False
    # The open incident to which the run belongs, and the step of its instruction that it executes.
    record: Path | None = None
    step: str = ""


def check_inventory(office: Office, *sites: str | None) -> Inventory:
    """Read the inventory and refuse sites that it does not know."""
    inventory = read_inventory(office.inventory)
    for site in sites:
        if site is not None:
            inventory.require_site(site)
    return inventory


def installed(operation_id: str) -> bool:
    """Tell whether this installation can execute an operation: whether it has its playbook."""
    return Operation(operation_id).playbook(content_root()).is_file()


def begin(office: Office, operation: Operation, wish: Wish, *, started: Callable[[Run], None] | None = None) -> Run:
    """Launch the operation and return at once. A plan only reads, whatever the operation does."""
    check_inventory(office)
    variables = {**wish.variables, "lpse_dr_limits": asdict(office.limits), "lpse_dr_plan": wish.plan}
    order = Order(
        operation=operation.id,
        playbook=operation.playbook(content_root()),
        inventory=office.inventory,
        state=office.state,
        changes=operation.changes and not wish.plan,
        command=wish.command,
        argv=wish.argv,
        reason=wish.reason,
        office={"name": office.name, "folder": str(office.folder), "lab": office.lab},
        extra_vars=variables,
        secret_vars=wish.secret_variables,
        vault_password_file=wish.vault_password_file or office.vault_password_file,
        verbosity=wish.verbosity,
        record=None if wish.plan else wish.record,
        step=wish.step,
    )
    return launch(order, started=started)


def follow(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the run's events as they come, then return. Stopping to listen does not stop the run."""
    offset = 0
    while True:
        # The result is looked for first: what was written before it is then still read below.
        ended = run.result() is not None
        events, offset = run.events(offset)
        yield from events
        if ended:
            return
        time.sleep(_POLL_SECONDS)


def outcome(run: Run) -> dict[str, Any]:
    """Return the result of a run that has ended."""
    for _event in follow(run):
        pass
    result = run.result()
    assert result is not None
    return result
