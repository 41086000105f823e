"""End what the kernel remembers of connections between segments, by its own interface (ctnetlink).

A drop ends a connection that passes the hooks. One that was handed to a flowtable does not pass them any more, and only
forgetting it brings its packets back to the rules.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any, Dict, Iterator, List, Optional, Tuple

_NETFILTER, _GET, _DELETE = 12, 0x0101, 0x0102
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_IP = 1, 1
_ADDRESS = {1: "src", 2: "dst", 3: "src", 4: "dst"}

Tuples = Tuple[str, str]


def forget(networks: List[str], spared: List[str]) -> int:
    """Forget connections from or to ``networks``, except those with an end in ``spared``; return how many.

    No networks means all of them. A kernel without the interface has nothing to forget: 0.
    """
    inside = [ipaddress.ip_network(network) for network in networks]
    outside = [ipaddress.ip_network(network) for network in spared]
    try:
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
    except OSError:
        return 0
    with channel:
        channel.settimeout(2.0)
        channel.bind((0, 0))
        count = 0
        for family in (socket.AF_INET, socket.AF_INET6):
            for ends, attribute in list(_entries(channel, family)):
                if concerned(ends, inside, outside):
                    count += _forget_one(channel, family, attribute)
    return count


def concerned(ends: Tuples, inside: List[Any], outside: List[Any]) -> bool:
    """Tell whether a connection ends with the isolation. This host's talk with itself does not."""
    found = [ipaddress.ip_address(end) for end in ends]
    if any(end.is_loopback for end in found) or any(end in network for end in found for network in outside):
        return False
    return not inside or any(end in network for end in found for network in inside)


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    payload = struct.pack(">BBH", family, 0, 0) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST | flags, 1, 0) + payload


def _entries(channel: socket.socket, family: int) -> Iterator[Tuple[Tuples, bytes]]:
    """Yield ((source, destination), the attribute that names the connection to the kernel)."""
    channel.sendall(_message(_GET, _DUMP, family, b""))
    while True:
        data = channel.recv(1 << 18)
        for kind, body in messages(data):
            if kind in (_DONE, _ERROR):
                return
            entry = read_entry(body[4:])
            if entry is not None:
                yield entry


def _forget_one(channel: socket.socket, family: int, attribute: bytes) -> int:
    channel.sendall(_message(_DELETE, _ACK, family, attribute))
    for kind, body in messages(channel.recv(1 << 16)):
        if kind == _ERROR:
            # Not there any more is what was wanted; it ended by itself.
            return int(struct.unpack("=i", body[:4])[0] == 0)
    return 0


def messages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """Yield (type, payload) of each netlink message."""
    while len(data) >= 16:
        length, kind = struct.unpack("=IH", data[:6])
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def read_entry(body: bytes) -> Optional[Tuple[Tuples, bytes]]:
    """Return source and destination of the original direction, and that attribute as it came; None where it lacks one."""
    for kind, whole, content in _attributes(body):
        if kind == _TUPLE_ORIG:
            ends: Dict[str, str] = {}
            for part, _whole, inner in _attributes(content):
                if part == _TUPLE_IP:
                    for name, _raw, value in _attributes(inner):
                        if name in _ADDRESS:
                            ends[_ADDRESS[name]] = str(ipaddress.ip_address(value))
            if len(ends) == 2:
                return (ends["src"], ends["dst"]), whole
    return None


def _attributes(data: bytes) -> Iterator[Tuple[int, bytes, bytes]]:
    """Yield (type, attribute with its head and padding, content)."""
    while len(data) >= 4:
        length, kind = struct.unpack("=HH", data[:4])
        if length < 4:
            return
        padded = (length + 3) & ~3
        yield kind & 0x3FFF, data[:length].ljust(padded, b"\0"), data[4:length]
        data = data[padded:]
