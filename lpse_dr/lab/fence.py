"""The lab's power fence, as an office would configure one: a command that ends with 0 only when the host is off.

    python -m lpse_dr.lab.fence LAB HOST

Where the lab's containers cannot be seen (on its own jump hosts), it ends with 1: that nothing was found to switch off
is no proof that nothing runs.
"""

from __future__ import annotations

import sys

from ..errors import LpseDrError
from . import docker, power
from .model import load_lab


def main(words: list[str]) -> int:
    """Switch the host off, and look whether it is."""
    if len(words) != 2:
        sys.stderr.write("usage: python -m lpse_dr.lab.fence LAB HOST\n")
        return 2
    name, host = words
    try:
        lab = load_lab(name)
        if host not in lab.hosts:
            sys.stderr.write(f"lab {name} has no host {host}\n")
            return 1
        power.power_off(lab, host)
        # Asked for in so many words: an error is no proof of being off.
        state = docker.run("inspect", "--format", "{{.State.Running}}", lab.hosts[host].container).strip()
    except (LpseDrError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"{host}: running: {state}\n")
    return 0 if state == "false" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
