"""Tests of the seccomp program, which is run here by an interpreter; and of the shadow's ports."""

from __future__ import annotations

import socket

import pytest

from liftlock.broker.sandbox import _CALLS, _instructions, ports_of
from liftlock.settings import Address

CALLS = _CALLS["x86_64"]
ARCHITECTURE = CALLS["arch"]
LOAD, AND, RETURN, JUMP_IF_EQUAL, JUMP_IF_ANY_BIT = 0x20, 0x54, 0x06, 0x15, 0x45
ALLOW = 0x7FFF0000
MPTCP, FAST_OPEN = 262, 0x20000000


def is_allowed(call: int, *arguments: int, architecture: int = ARCHITECTURE) -> bool:
    """Run the program for one system call."""
    data = {0: call, 4: architecture} | {16 + 8 * n: value for n, value in enumerate(arguments)}
    program = _instructions(CALLS)
    position, register = 0, 0
    while True:
        code, skip_if_true, skip_if_false, value = program[position]
        position += 1
        if code == LOAD:
            register = data.get(value, 0)
        elif code == AND:
            register &= value
        elif code == JUMP_IF_EQUAL:
            position += skip_if_true if register == value else skip_if_false
        elif code == JUMP_IF_ANY_BIT:
            position += skip_if_true if register & value else skip_if_false
        else:
            assert code == RETURN
            return value == ALLOW


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "allowed"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, 0, True),
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, True),
        (socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, socket.IPPROTO_TCP, True),
        (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, True),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, True),
        (socket.AF_NETLINK, socket.SOCK_RAW, 0, True),
        (socket.AF_INET, socket.SOCK_STREAM, MPTCP, False),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP, False),
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP, False),
        (socket.AF_PACKET, socket.SOCK_RAW, 0, False),
        (socket.AF_VSOCK, socket.SOCK_STREAM, 0, False),
    ],
)
def test_sockets(family: int, kind: int, protocol: int, *, allowed: bool) -> None:
    """TCP, UDP, files and the kernel's messages are allowed; Landlock restricts TCP further."""
    assert is_allowed(CALLS["socket"], family, kind, protocol) is allowed


@pytest.mark.parametrize(("name", "argument"), [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)])
def test_data_with_the_first_packet_is_refused(name: str, argument: int) -> None:
    """MSG_FASTOPEN connects without a call of connect(), which Landlock would see."""
    others = [0] * argument
    assert is_allowed(CALLS[name], *others, 0x4000)
    assert not is_allowed(CALLS[name], *others, FAST_OPEN)
    assert not is_allowed(CALLS[name], *others, FAST_OPEN | 0x4000)


def test_other_calls_are_allowed() -> None:
    """Such as read()."""
    assert is_allowed(0)


def test_io_uring_is_refused() -> None:
    """The calls of a ring aren't seen by seccomp."""
    assert not is_allowed(CALLS["io_uring_setup"])


def test_calls_of_another_abi_are_refused() -> None:
    """Their numbers mean other calls: x32 on x86_64, and i386."""
    assert not is_allowed(CALLS["socket"] | 0x40000000, socket.AF_INET, socket.SOCK_STREAM, 0)
    assert not is_allowed(CALLS["socket"], socket.AF_UNIX, architecture=0x40000003)


@pytest.mark.parametrize(
    ("host", "port", "ports"),
    [
        ("db", "5432", [5432]),
        ("a,b", "5432,5433", [5432, 5433]),
        ("/var/run/postgresql", "5432", []),
        ("db", "", []),
    ],
)
def test_ports_of_a_server(host: str, port: str, ports: list[int]) -> None:
    """A socket file needs none."""
    assert ports_of(Address(host=host, port=port, user="u", password=None, dbname="d")) == ports


def test_embedded_server_gets_free_ports() -> None:
    """They are chosen before the process is confined."""
    assert all(port > 0 for port in ports_of(None))
