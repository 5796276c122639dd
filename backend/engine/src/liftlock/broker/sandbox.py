"""A sandbox for the process that runs revisions: no network except the shadow, no other process.

It uses two features of Linux that need no privilege. Both hold for good, and for all programs that
the process starts.

- Landlock (https://docs.kernel.org/userspace-api/landlock.html) restricts TCP connections to some
  ports since Linux 6.7 (ABI 4). A restricted process can't read the memory or the environment of a
  process outside of its restriction. Since Linux 6.12 (ABI 6) it can't send signals to one either,
  nor connect to its abstract sockets.
- seccomp (https://docs.kernel.org/userspace-api/seccomp_filter.html) refuses what Landlock doesn't
  see: other protocols than TCP and UDP, such as MPTCP, which falls back to TCP; data that is sent
  with the first packet (``MSG_FASTOPEN``); and ``io_uring``, which makes connections on its own.

The numbers below are those of the kernel's headers.
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

# Landlock: linux/landlock.h, asm-generic/unistd.h.
_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_GET_ABI_VERSION = 1
_ABI_WITH_TCP = 4
_ABI_WITH_SCOPES = 6
_CONNECT_TCP = 2
_PORT_RULE = 2
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

# prctl: linux/prctl.h.
_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4
_SET_SECCOMP = 22
_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# System calls by architecture: linux/audit.h, asm/unistd.h.
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
_X32_CALLS = 0x40000000
"""The bit in the number of each call of the x32 ABI on x86_64."""

# Arguments of these calls: linux/socket.h, linux/net.h, linux/in.h.
_MSG_FASTOPEN = 0x20000000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_TYPE_MASK = 1, 2, 0xF
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17

# BPF instructions and seccomp's results: linux/bpf_common.h, linux/seccomp.h.
_LOAD, _AND, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
_RESULT_ALLOW = 0x7FFF0000
_RESULT_REFUSE = 0x00050000 | errno.EACCES
_OFFSET_OF_CALL, _OFFSET_OF_ARCHITECTURE, _OFFSET_OF_ARGUMENTS = 0, 4, 16

Instruction = tuple[int, int, int, int]
"""A BPF instruction: its code, the instructions to skip if it holds, and if not, and a value."""


class _Ruleset(ctypes.Structure):
    """The C structure ``landlock_ruleset_attr``."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PortRule(ctypes.Structure):
    """The C structure ``landlock_net_port_attr``."""

    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _Instruction(ctypes.Structure):
    """The C structure ``sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("skip_if_true", ctypes.c_uint8),
        ("skip_if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """The C structure ``sock_fprog``."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def confine(ports: Iterable[int]) -> bool:
    """Confine this process, and all that it starts, for good.

    It can still make TCP connections to some ports, resolve names, and use the sockets of this
    machine that are files. It can't read the memory or the environment of other processes.

    Parameters:
        ports: the TCP ports that stay reachable, on any host.

    Returns:
        Whether the process is confined. It isn't if the system lacks the features, or if it has
        several threads: the restrictions would hold for the calling thread only.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _CALLS or _thread_count() > 1:
        return False
    return _prctl(_SET_NO_NEW_PRIVS, 1) and _restrict(ports) and _filter_calls(_CALLS[machine])


def ports_of(server: Address | None) -> list[int]:
    """Return the TCP ports of the shadow's server.

    Parameters:
        server: the server; it has no port if it is reached by a socket file. None for the embedded
            server, for which free ports are chosen.
    """
    if server is None:
        return free_ports()
    if server.host.startswith("/"):
        return []
    return [int(port) for port in server.port.split(",") if port.isdecimal()]


def withdraw() -> None:
    """Hide the memory and the environment of this process; end it with its parent process."""
    if sys.platform == "linux":
        _prctl(_SET_DUMPABLE, 0)
        _prctl(_SET_PDEATHSIG, int(signal.SIGKILL))


def _thread_count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _restrict(ports: Iterable[int]) -> bool:
    """Restrict TCP connections, and access to other processes, by Landlock."""
    version = _system_call(_CREATE_RULESET, None, 0, _GET_ABI_VERSION)
    if version < _ABI_WITH_TCP:
        return False
    ruleset = _create_ruleset(has_scopes=version >= _ABI_WITH_SCOPES)
    if ruleset < 0:
        return False
    try:
        for port in ports:
            rule = _PortRule(_CONNECT_TCP, port)
            if _system_call(_ADD_RULE, ruleset, _PORT_RULE, ctypes.byref(rule), 0) != 0:
                return False
        return _system_call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _create_ruleset(*, has_scopes: bool) -> int:
    """Return the file descriptor of a Landlock ruleset; negative if it can't be created."""
    scopes = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if has_scopes else 0
    ruleset = _Ruleset(0, _CONNECT_TCP, scopes)
    # an older kernel refuses a structure with a field that it doesn't know
    size = ctypes.sizeof(ruleset) if has_scopes else _Ruleset.scoped.offset
    return _system_call(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)


def _filter_calls(calls: dict[str, int]) -> bool:
    """Refuse system calls by seccomp."""
    filters = [_Instruction(*instruction) for instruction in _instructions(calls)]
    program = _Program(len(filters), (_Instruction * len(filters))(*filters))
    return _prctl(_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))


def _instructions(calls: dict[str, int]) -> list[Instruction]:
    """Return the BPF program that decides on each system call.

    Parameters:
        calls: the numbers of the system calls of this architecture.
    """
    allow: Instruction = (_RETURN, 0, 0, _RESULT_ALLOW)
    refuse: Instruction = (_RETURN, 0, 0, _RESULT_REFUSE)
    load_call: Instruction = (_LOAD, 0, 0, _OFFSET_OF_CALL)
    return [
        # Calls of another ABI have other numbers; the calls of a ring aren't seen by seccomp.
        (_LOAD, 0, 0, _OFFSET_OF_ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, calls["arch"]),
        refuse,
        load_call,
        (_JUMP_IF_ANY_BIT, 0, 1, _X32_CALLS),
        refuse,
        (_JUMP_IF_EQUAL, 0, 1, calls["io_uring_setup"]),
        refuse,
        # Data with the first packet, by the argument `flags` of the three calls.
        *_refuse_fast_open(calls["sendto"], argument=3),
        *_refuse_fast_open(calls["sendmsg"], argument=2),
        *_refuse_fast_open(calls["sendmmsg"], argument=3),
        # All further calls are allowed, except some of `socket(family, type, protocol)`.
        load_call,
        (_JUMP_IF_EQUAL, 1, 0, calls["socket"]),
        allow,
        # Family: files and the kernel's own messages are allowed; of others, only the internet.
        _load_argument(0),
        (_JUMP_IF_EQUAL, 0, 1, _AF_UNIX),
        allow,
        (_JUMP_IF_EQUAL, 0, 1, _AF_NETLINK),
        allow,
        (_JUMP_IF_EQUAL, 2, 0, _AF_INET),
        (_JUMP_IF_EQUAL, 1, 0, _AF_INET6),
        refuse,
        # Type: streams and datagrams.
        _load_argument(1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JUMP_IF_EQUAL, 2, 0, _SOCK_STREAM),
        (_JUMP_IF_EQUAL, 1, 0, _SOCK_DGRAM),
        refuse,
        # Protocol: the default of the type, TCP and UDP.
        _load_argument(2),
        (_JUMP_IF_EQUAL, 2, 0, 0),
        (_JUMP_IF_EQUAL, 1, 0, _IPPROTO_TCP),
        (_JUMP_IF_EQUAL, 0, 1, _IPPROTO_UDP),
        allow,
        refuse,
    ]


def _refuse_fast_open(call: int, *, argument: int) -> list[Instruction]:
    """Return the instructions that refuse a call with ``MSG_FASTOPEN``.

    Parameters:
        call: the number of the system call.
        argument: the number of its argument ``flags``, from 0.
    """
    return [
        (_LOAD, 0, 0, _OFFSET_OF_CALL),
        (_JUMP_IF_EQUAL, 0, 3, call),
        _load_argument(argument),
        (_JUMP_IF_ANY_BIT, 0, 1, _MSG_FASTOPEN),
        (_RETURN, 0, 0, _RESULT_REFUSE),
    ]


def _load_argument(number: int) -> Instruction:
    """Load the lower half of an argument, which comes first: both architectures are little-endian.

    Parameters:
        number: the number of the argument, from 0.
    """
    return _LOAD, 0, 0, _OFFSET_OF_ARGUMENTS + 8 * number


def _prctl(option: int, *arguments: object) -> bool:
    """Call ``prctl``, which takes four arguments besides the option."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in padded]
    return int(_libc().prctl(option, *words)) == 0


def _system_call(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *words))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
