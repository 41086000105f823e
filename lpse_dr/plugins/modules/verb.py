#!/usr/bin/python
"""Run one verb on the host this task runs on."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lpse_dr_host import everything  # noqa: F401 - so that Ansible packs all verbs
from ansible.module_utils.lpse_dr_host.base import Context, VerbError
from ansible.module_utils.lpse_dr_host.registry import READING, perform

DOCUMENTATION = r"""
module: verb
short_description: Run one verb on the host this task runs on
description:
  - The same functions that the conductor drives over open connections, as a task of a role.
options:
  name:
    description: The verb, as C(noun.verb).
    type: str
    required: true
  args:
    description: Arguments of the verb.
    type: dict
    default: {}
  config:
    description: The host's role variables by their public names.
    type: dict
    required: true
  site:
    description: The site that the host belongs to.
    type: str
    default: ""
  host:
    description: The host's inventory name.
    type: str
    required: true
  operation:
    description: Number and run of the operation this belongs to.
    type: dict
  timeout_seconds:
    description: After this many seconds the verb gives up, and does not begin a change.
    type: float
    default: 30
author:
  - lpse-dr developers
"""

RETURN = r"""
reading:
  description: What a status verb saw.
  type: dict
  returned: for status verbs
result:
  description: The verb's whole answer.
  type: dict
  returned: success
"""


def main() -> None:
    """Run the verb; a failure carries its id, what was expected and what was found."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "args": {"type": "dict", "default": {}},
            "config": {"type": "dict", "required": True},
            "site": {"type": "str", "default": ""},
            "host": {"type": "str", "required": True},
            "operation": {"type": "dict"},
            "timeout_seconds": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    if module.check_mode and name not in READING:
        module.exit_json(changed=True, skipped=True, msg="would run " + name)
    ctx = Context(
        module.params["host"],
        module.params["site"],
        module.params["config"],
        module.params["operation"],
        module.params["timeout_seconds"],
    )
    try:
        result = perform(name, ctx, module.params["args"])
    except VerbError as error:
        module.fail_json(
            msg=str(error),
            error=error.as_dict(),
            lpse_dr={"kind": "error", "verb": name, "error": error.as_dict()},
        )
    report = {"lpse_dr": {"kind": "reading", "reading": result["reading"]}} if "reading" in result else {}
    module.exit_json(
        changed=bool(result.get("changed")),
        result=result,
        **({"reading": result["reading"]} if "reading" in result else {}),
        **report,
    )


if __name__ == "__main__":
    main()
