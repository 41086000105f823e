"""Make seven sets on the vault, of seven days, each with its own fate; and the record of what was taken.

Runs on the vault, as root. The rows come from a real server and go through a real pg_dump.
"""

import hashlib
import io
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tarfile
import time

VAULT = pathlib.Path("/var/lib/lpse-dr/vault")
OWN = pathlib.Path("/var/lib/lpse-dr/backup")
BIN = next(pathlib.Path("/usr/lib/postgresql").iterdir()) / "bin"
ACCOUNT = pwd.getpwnam("lpse-dr-quarantine")
WORK = pathlib.Path("/run/make-sets")
# In two pieces, so that no scanner takes this file for what it makes.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
WORM = b"LPSE-DR-LAB-" + b"WORM-1"


def run(*argv, **more):
    plain = ["setpriv", f"--reuid={ACCOUNT.pw_uid}", f"--regid={ACCOUNT.pw_gid}", "--clear-groups", "--"]
    return subprocess.run([*plain, *map(str, argv)], check=True, capture_output=True, cwd="/", **more).stdout


def sql(statement):
    run(BIN / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", WORK, "-d", "postgres", input=statement.encode())


def documents(count):
    """Bids are cipher text: nothing tells one from another, or from noise."""
    return {f"2020/{n:04d}/bid.enc": hashlib.sha256(b"%d" % n).digest() * 64 for n in range(count)}


def rows(held):
    return [(path, hashlib.sha256(content).hexdigest()) for path, content in held.items()]


def make(day, held, named, statements="", after=None):
    """Write a set; `after` harms it when it is complete."""
    name = f"202009{day:02d}T000000Z-pdc"
    folder = VAULT / name
    folder.mkdir(mode=0o700)
    values = ",".join(
        f"(gen_random_uuid(), 't{n % 3}', 'v', '{path}', 1, '{digest}', now())"
        for n, (path, digest) in enumerate(named)
    )
    sql("TRUNCATE bid; INSERT INTO bid VALUES " + values + ";" + statements)
    (folder / "database.dump").write_bytes(run(BIN / "pg_dump", "-Fc", "-h", WORK, "-d", "postgres"))
    lines = []
    with tarfile.open(folder / "files.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(held):
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(held[path]), 1598918400
            archive.addfile(member, io.BytesIO(held[path]))
            digest = hashlib.sha256(held[path]).hexdigest()
            lines.append(
                json.dumps({"path": path, "bytes": member.size, "at": member.mtime, "sha256": digest}) + "\n"
            )
    (folder / "documents.jsonl").write_text("".join(lines))
    manifest(folder, day, len(held))
    with (OWN / "record.jsonl").open("a") as record:
        digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        record.write(json.dumps({"set": name, "manifest_sha256": digest}) + "\n")
    if after:
        after(folder)


def manifest(folder, day, count):
    parts = []
    for part in ("database.dump", "files.tar", "documents.jsonl"):
        data = (folder / part).read_bytes()
        parts.append({"name": part, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    found = {
        "schema": 1,
        "set": folder.name,
        "taken_at": f"2020-09-{day:02d}T00:00:00.000Z",
        "files_at": f"2020-09-{day:02d}T00:00:01.000Z",
        "ended_at": f"2020-09-{day:02d}T00:00:02.000Z",
        "source": {"site": "pdc"},
        "database": "postgres",
        "epoch": {"number": 1, "site": "pdc"},
        "medium": "disk",
        "label": f"day {day}",
        "keeper": "molecule",
        "documents": {"count": count, "bytes": 0},
        "parts": parts,
    }
    (folder / "manifest.json").write_text(json.dumps(found))


def truncate(folder):
    with (folder / "files.tar").open("r+b") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) // 2)


def rewrite(folder):
    """What somebody does who knows the format: another content, and a manifest that fits."""
    data = bytearray((folder / "files.tar").read_bytes())
    data[600:616] = b"0123456789abcdef"
    (folder / "files.tar").write_bytes(data)
    manifest(folder, 7, 52)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(mode=0o700)
    os.chown(WORK, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
    OWN.mkdir(mode=0o700, exist_ok=True)
    run(BIN / "initdb", "-D", WORK / "data", "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync")
    server = subprocess.Popen(
        [
            "setpriv",
            f"--reuid={ACCOUNT.pw_uid}",
            f"--regid={ACCOUNT.pw_gid}",
            "--clear-groups",
            "--",
            str(BIN / "postgres"),
            "-D",
            str(WORK / "data"),
            "-k",
            str(WORK),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
        ],
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        while subprocess.run([BIN / "pg_isready", "-q", "-h", WORK]).returncode:
            time.sleep(0.1)
        sql(
            "CREATE TABLE bid (id uuid PRIMARY KEY, tender text, vendor text, path text, size bigint, sha256 text, submitted_at timestamptz);"
            "CREATE TABLE attachment (id int, content bytea);"
            "CREATE FUNCTION price(int) RETURNS int LANGUAGE sql AS 'SELECT $1';"
        )
        make(1, documents(40), rows(documents(40)))
        make(2, documents(44), rows(documents(44)), "INSERT INTO attachment VALUES (1, 'harmless');")
        make(3, documents(46), rows(documents(46)), after=truncate)
        held = documents(48)
        held["2020/0005/bid.enc"] = EICAR
        make(4, held, rows(held))
        hidden = f"INSERT INTO attachment VALUES (2, '\\x{(b'a' * 9000 + WORM).hex()}'); SELECT lo_from_bytea(0, '\\x{(b'b' * 40000 + WORM).hex()}');"
        make(
            5,
            documents(50),
            rows(documents(50)),
            hidden + "CREATE OR REPLACE FUNCTION price(int) RETURNS int LANGUAGE sql AS 'SELECT 0';",
        )
        sql("DELETE FROM attachment WHERE id = 2; SELECT lo_unlink(oid) FROM pg_largeobject_metadata;")
        locked = {path + ".locked": bytes(255 - byte for byte in content) for path, content in documents(52).items()}
        make(6, locked, rows(documents(52)))
        make(7, documents(52), rows(documents(52)), after=rewrite)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(WORK)
    (VAULT / "made").touch()


main()
