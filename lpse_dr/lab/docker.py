"""The few things that the lab asks of Docker, through its command line."""

from __future__ import annotations

import subprocess

from ..errors import LabError
from ..i18n import _


def run(*arguments: str, stdin: bytes | None = None, timeout_seconds: float = 120) -> str:
    """Run ``docker ARGUMENTS`` and return its standard output. LabError carries what Docker said."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            input=stdin,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            # Ctrl-C belongs to `up`, which waits for what it asked for and then removes it; a client that dies
            # halfway leaves an engine that goes on creating.
            start_new_session=True,
        )
    except FileNotFoundError as problem:
        raise LabError(_("Docker is not installed."), hint="apt-get install docker.io") from problem
    except subprocess.TimeoutExpired as problem:
        raise LabError(
            _("Docker did not answer within {seconds:.0f} s.").format(seconds=timeout_seconds),
            detail="docker " + " ".join(arguments),
            hint="systemctl restart docker",
        ) from problem
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        if "daemon" in said and ("connect" in said or "running" in said):
            if "permission denied" in said:
                raise LabError(
                    _("This user may not talk to Docker."), detail=said, hint="sudo usermod -aG docker $USER"
                )
            raise LabError(_("The Docker engine is not running."), detail=said, hint="systemctl start docker")
        refused = _("Docker refused: docker {word}.").format(word=arguments[0])
        raise LabError(refused, detail=said or done.stdout.decode())
    return done.stdout.decode()


def listed(kind: str, label: str, value: str) -> list[str]:
    """Return the names of all containers (`kind` "ps") or networks or volumes that carry the label."""
    arguments = {"ps": ["ps", "-a"]}.get(kind, [kind, "ls"])
    field = {"ps": "{{.Names}}"}.get(kind, "{{.Name}}")
    return run(*arguments, "--filter", f"label={label}={value}", "--format", field).split()


def states(label: str, value: str) -> dict[str, str]:
    """Return container name -> running, exited, created, ..."""
    lines = run("ps", "-a", "--filter", f"label={label}={value}", "--format", "{{.Names}} {{.State}}")
    return dict(line.split(maxsplit=1) for line in lines.splitlines())
