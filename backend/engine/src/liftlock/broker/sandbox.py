"""Keeps a process from the network, and from other processes: what Linux offers to anybody, without a privilege.

Landlock bounds TCP connections since Linux 6.7 (ABI 4), and what is confined may look into no process that isn't; since 6.12
(ABI 6) neither end one nor reach its abstract sockets: https://docs.kernel.org/userspace-api/landlock.html. It doesn't see
MPTCP, which falls back to TCP, nor data that is sent with the first packet (``MSG_FASTOPEN``). So seccomp leaves the sockets
that need no such thing: https://docs.kernel.org/userspace-api/seccomp_filter.html. Numbers are those of the kernel's headers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from liftlock.settings import Address
from liftlock.shadow.embedded import free_ports

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_TCP_VERSION, _SCOPE_VERSION = 4, 6
_CONNECT_TCP = 2
_RULE_OF_PORT = 2
_ABSTRACT_SOCKETS_AND_SIGNALS = 3
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 4, 22, 38
_FILTER = 2

_CALLS = {
    "x86_64": {
        "arch": 0xC000003E,
        "socket": 41,
        "sendto": 44,
        "sendmsg": 46,
        "sendmmsg": 307,
        "io_uring_setup": 425,
    },
    "aarch64": {
        "arch": 0xC00000B7,
        "socket": 198,
        "sendto": 206,
        "sendmsg": 211,
        "sendmmsg": 269,
        "io_uring_setup": 425,
    },
}
_FOREIGN_CALLS = 0x40000000
"""The bit of those of x32 on x86_64."""
_FAST_OPEN = 0x20000000
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _DATAGRAM, _KIND = 1, 2, 0xF
_TCP, _UDP = 6, 17
_LOAD, _AND, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES


class _Ruleset(ctypes.Structure):
    """``landlock_ruleset_attr``."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PortRule(ctypes.Structure):
    """``landlock_net_port_attr``."""

    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Instruction(ctypes.Structure):
    """``sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """``sock_fprog``."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def confine(ports: Iterable[int]) -> bool:
    """Keep this process, and all that it starts, from the network, and from the memory and the environment of other processes.

    What is left are TCP connections to some ports, name resolution, and the sockets of this machine that are files. It is for good.

    Parameters:
        ports: connections to these, of any host, are made nevertheless.

    Returns:
        Whether it is confined; not where the system can't, nor where threads run, which wouldn't be.
    """
    if (
        sys.platform != "linux"
        or platform.machine() not in _CALLS
        or len(list(Path("/proc/self/task").iterdir())) > 1
    ):
        return False
    return _prctl(_SET_NO_NEW_PRIVS, 1) and _bound(ports) and _filtered(_CALLS[platform.machine()])


def ports_of(server: Address | None) -> list[int]:
    """Where revisions may be tried: the ports of a server, which has none when it is reached by a file; else some that are free."""
    if server is None:
        return free_ports()
    return (
        []
        if server.host.startswith("/")
        else [int(one) for one in server.port.split(",") if one.isdecimal()]
    )


def withdraw() -> None:
    """Let no process of this user look into the memory and the environment of this one, and end with the one that started it."""
    if sys.platform == "linux":
        _prctl(_SET_DUMPABLE, 0)
        _prctl(_SET_PDEATHSIG, int(signal.SIGKILL))


def _bound(ports: Iterable[int]) -> bool:
    """By Landlock."""
    version = _system(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < _TCP_VERSION:
        return False
    scoped = version >= _SCOPE_VERSION
    bounded = _Ruleset(0, _CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS if scoped else 0)
    rules = _system(
        _CREATE_RULESET,
        ctypes.byref(bounded),
        ctypes.sizeof(bounded) if scoped else _Ruleset.scoped.offset,
        0,
    )
    if rules < 0:
        return False
    try:
        added = [
            _system(_ADD_RULE, rules, _RULE_OF_PORT, ctypes.byref(_PortRule(_CONNECT_TCP, port)), 0)
            for port in ports
        ]
        return not any(added) and _system(_RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def _filtered(calls: dict[str, int]) -> bool:
    """By seccomp."""
    lines = _instructions(calls)
    program = _Program(
        len(lines), (_Instruction * len(lines))(*(_Instruction(*line) for line in lines))
    )
    return _prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program))


def _instructions(calls: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """Each is an operation, how many to pass over where it holds and where it doesn't, and its value."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)
    call, architecture = (_LOAD, 0, 0, 0), (_LOAD, 0, 0, 4)
    return [
        # Calls by other numbers, and rings, whose work isn't seen here.
        *(architecture, (_EQUAL, 1, 0, calls["arch"]), refuse),
        *(
            call,
            (_ANY_BIT, 0, 1, _FOREIGN_CALLS),
            refuse,
            (_EQUAL, 0, 1, calls["io_uring_setup"]),
            refuse,
        ),
        # Data with the first packet.
        *(
            call,
            (_EQUAL, 0, 3, calls["sendto"]),
            _argument(3),
            (_ANY_BIT, 0, 1, _FAST_OPEN),
            refuse,
        ),
        *(
            call,
            (_EQUAL, 0, 3, calls["sendmsg"]),
            _argument(2),
            (_ANY_BIT, 0, 1, _FAST_OPEN),
            refuse,
        ),
        *(
            call,
            (_EQUAL, 0, 3, calls["sendmmsg"]),
            _argument(3),
            (_ANY_BIT, 0, 1, _FAST_OPEN),
            refuse,
        ),
        # Of sockets, those of files, of the kernel's own talk, and of the internet's two ordinary protocols.
        *(call, (_EQUAL, 1, 0, calls["socket"]), allow),
        *(
            _argument(0),
            (_EQUAL, 0, 1, _UNIX),
            allow,
            (_EQUAL, 0, 1, _NETLINK),
            allow,
            (_EQUAL, 2, 0, _INET),
            (_EQUAL, 1, 0, _INET6),
            refuse,
        ),
        *(
            _argument(1),
            (_AND, 0, 0, _KIND),
            (_EQUAL, 2, 0, _STREAM),
            (_EQUAL, 1, 0, _DATAGRAM),
            refuse,
        ),
        *(
            _argument(2),
            (_EQUAL, 2, 0, 0),
            (_EQUAL, 1, 0, _TCP),
            (_EQUAL, 0, 1, _UDP),
            allow,
            refuse,
        ),
    ]


def _argument(number: int) -> tuple[int, int, int, int]:
    """Load one, of which the lower half comes first: both kinds of machines are little-endian."""
    return _LOAD, 0, 0, 16 + 8 * number


def _prctl(option: int, *arguments: object) -> bool:
    given = [*arguments, 0, 0, 0, 0][:4]
    return (
        int(
            _libc().prctl(
                option, *(ctypes.c_ulong(one) if isinstance(one, int) else one for one in given)
            )
        )
        == 0
    )


def _system(number: int, *arguments: object) -> int:
    return int(
        _libc().syscall(
            ctypes.c_long(number),
            *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments),
        )
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
