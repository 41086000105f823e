"""Lay files on this host and take others away, in one round trip. Says on stdout what was changed, a path a line.

stdin: {"files": [{"path", "content", "mode" (octal text), "keep" (true: only where there is none), "validate" (words; %s is
the new file)}], "absent": [path], "alone": [folder]}. Of a folder in "alone" only the laid files stay. A file is written
whole or not at all.
"""

import json
import os
import shutil
import subprocess
import sys


def lay(path, content, mode="0644", keep=False, validate=()):
    """Return whether the file had to be written."""
    data, bits = content.encode("utf-8"), int(mode, 8)
    if os.path.lexists(path):
        with open(path, "rb") as stream:
            same = stream.read() == data
        if keep or (same and os.stat(path).st_mode & 0o7777 == bits):
            return False
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    new = path + ".lpse-dr-new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        os.fchmod(stream.fileno(), bits)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    if validate:
        done = subprocess.run(
            [word.replace("%s", new) for word in validate], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode != 0:
            os.unlink(new)
            sys.exit("%s: %s" % (path, done.stdout.decode("utf-8", "replace").strip()))
    os.replace(new, path)
    return True


def take(path):
    """Return whether there was anything to take away."""
    if not os.path.lexists(path):
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    return True


asked = json.load(sys.stdin)
laid = [item["path"] for item in asked["files"]]
changed = [item["path"] for item in asked["files"] if lay(**item)]
others = [
    os.path.join(folder, name)
    for folder in asked["alone"]
    for name in os.listdir(folder)
    if name != "__pycache__" and os.path.join(folder, name) not in laid
]
changed += [path for path in [*others, *asked["absent"]] if take(path)]
sys.stdout.write("".join(path + "\n" for path in changed))
