"""Try paths from this host: TCP and ICMP to many targets at the same moment, standard library only."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from typing import Any, Dict, List, Optional, Tuple

OPEN, CLOSED = "open", "closed"
# Whoever says "nobody listens here" was reached, and his answer came back: the path is open.
_REACHED = (0, errno.ECONNREFUSED)
_ECHO: Dict[int, Tuple[int, int]] = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}


def look(targets: List[Dict[str, Any]], seconds: float) -> List[Dict[str, Any]]:
    """Return each target with ``tcp`` and ``icmp``: open or closed. Takes ``seconds`` where anything is closed."""
    found = [{**target, "tcp": CLOSED, "icmp": CLOSED} for target in targets]
    waiting: Dict[int, Tuple[socket.socket, Dict[str, Any]]] = {}
    echoes = {family: _Echo.open(family) for family in {_family(target["address"]) for target in targets}}
    until = time.monotonic() + seconds
    try:
        for number, path in enumerate(found):
            channel = _connect(path)
            if channel is not None:
                waiting[channel.fileno()] = (channel, path)
            echo = echoes[_family(path["address"])]
            if echo is not None:
                echo.send(path["address"], number)
        _collect(found, waiting, [echo for echo in echoes.values() if echo is not None], until)
    finally:
        for channel, _path in waiting.values():
            channel.close()
        for echo in echoes.values():
            if echo is not None:
                echo.channel.close()
    return found


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _connect(path: Dict[str, Any]) -> Optional[socket.socket]:
    """Begin a connection; return what is to be waited for, None where the answer is there already."""
    channel = socket.socket(_family(path["address"]), socket.SOCK_STREAM)
    channel.setblocking(False)
    code = channel.connect_ex((path["address"], int(path["port"])))
    if code == errno.EINPROGRESS:
        return channel
    if code in _REACHED:
        path["tcp"] = OPEN
    channel.close()
    return None


def _collect(
    found: List[Dict[str, Any]], waiting: Dict[int, Tuple[socket.socket, Dict[str, Any]]], echoes: List["_Echo"], until: float
) -> None:  # fmt: skip
    """Take answers in until the time is up, or everybody has answered by both ways."""
    while time.monotonic() < until and any(CLOSED in (path["tcp"], path["icmp"]) for path in found):
        readers: List[Any] = [echo.channel for echo in echoes]
        writers = [channel for channel, _path in waiting.values()]
        ready, done, _ = select.select(readers, writers, [], max(0.0, until - time.monotonic()))
        for channel in done:
            _, path = waiting.pop(channel.fileno())
            if channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _REACHED:
                path["tcp"] = OPEN
            channel.close()
        for echo in echoes:
            if echo.channel in ready:
                number = echo.receive()
                if number is not None and number < len(found):
                    found[number]["icmp"] = OPEN


class _Echo:
    """A raw socket for echo requests and their answers."""

    def __init__(self, family: int, channel: socket.socket) -> None:
        self.family = family
        self.channel = channel
        self.identity = (os.getpid() ^ int(time.monotonic() * 1000)) & 0xFFFF

    @classmethod
    def open(cls, family: int) -> Optional["_Echo"]:
        """Return None where this host has no such protocol: then nothing comes through by it."""
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        try:
            channel = socket.socket(family, socket.SOCK_RAW, protocol)
        except OSError:
            return None
        channel.setblocking(False)
        return cls(family, channel)

    def send(self, address: str, number: int) -> None:
        """Send one request; a host without a route there has its answer: none."""
        body = b"lpse-dr probe"
        head = struct.pack(">BBHHH", _ECHO[self.family][0], 0, 0, self.identity, number)
        # The kernel fills in the checksum of ICMPv6, not that of ICMP.
        packet = struct.pack(">BBHHH", _ECHO[self.family][0], 0, checksum(head + body), self.identity, number) + body
        try:
            self.channel.sendto(packet, (address, 0))
        except OSError:
            return

    def receive(self) -> Optional[int]:
        """Return the number of an answer to one of our requests."""
        try:
            packet = self.channel.recv(2048)
        except OSError:
            return None
        if self.family == socket.AF_INET:
            packet = packet[(packet[0] & 0x0F) * 4 :]
        if len(packet) < 8:
            return None
        kind, _code, _sum, identity, number = struct.unpack(">BBHHH", packet[:8])
        return int(number) if (kind, identity) == (_ECHO[self.family][1], self.identity) else None


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
