"""The process of one run: ``python -m lpse_dr.runner RUNDIR [LOCK,...]``, secrets as JSON on stdin."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def main() -> int:
    """Run to the end, whatever happens to the terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The locks live no longer than this process: nothing that it starts may keep them. The last one says
    # that the run is alive, the one before it that nobody else may change anything.
    locks = [int(handle) for handle in filter(None, (sys.argv[2:] or [""])[0].split(","))]
    for handle in locks:
        os.set_inheritable(handle, False)
    secrets = json.loads(sys.stdin.buffer.read() or b"{}")

    from .execute import Execution

    return Execution(Path(sys.argv[1]), secrets, locks[:-1]).run()


if __name__ == "__main__":
    sys.exit(main())
