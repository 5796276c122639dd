"""Keeps a process from the network, and others from its memory: what Linux offers to anybody, root or not.

By Landlock, of which the part that bounds TCP connections came with Linux 6.7 (ABI 4); a thread that is
restricted, all that it starts, and all that these start, may also look into no process that isn't:
https://docs.kernel.org/userspace-api/landlock.html. The numbers are those of its header; the system
calls have the same ones on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_VERSION_WITH_TCP = 4
_CONNECT_TCP = 2
_RULE_OF_PORT = 2
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38


class _Ruleset(ctypes.Structure):
    """``landlock_ruleset_attr``, as far as it went with ABI 4."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _PortRule(ctypes.Structure):
    """``landlock_net_port_attr``."""

    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def confine(ports: Iterable[int]) -> bool:
    """Keep this process, and all that it starts, from TCP connections and from the memory and environment of other processes.

    It is for good. Threads that run already aren't bound, so there must be none.

    Parameters:
        ports: connections to these, of any host, are made nevertheless.

    Returns:
        Whether the system can do that.
    """
    if sys.platform != "linux" or _system(_CREATE_RULESET, None, 0, _ASK_VERSION) < _VERSION_WITH_TCP:
        return False
    bounded = _Ruleset(0, _CONNECT_TCP)
    rules = _system(_CREATE_RULESET, ctypes.byref(bounded), ctypes.sizeof(bounded), 0)
    if rules < 0:
        return False
    try:
        for port in ports:
            _system(_ADD_RULE, rules, _RULE_OF_PORT, ctypes.byref(_PortRule(_CONNECT_TCP, port)), 0)
        _libc().prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return _system(_RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def withdraw() -> None:
    """Let no process of this user look into the memory and the environment of this one, and end with the one that started it."""
    if sys.platform == "linux":
        _libc().prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        _libc().prctl(_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _system(number: int, *arguments: object) -> int:
    return int(_libc().syscall(ctypes.c_long(number), *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)))
