"""Code that a revision runs to reach the real database and its password.

The test writes it into a revision, after the constants KNOWN (the database's address, as keywords
of psycopg) and SEEN (the path of a file to which the findings are appended).
"""

import gc
import glob
import os
import re
import socket
import subprocess
import sys
import threading

import psycopg

STEAL = "CREATE TABLE IF NOT EXISTS stolen (x integer)"


def passwords_in(data):
    return set(re.findall(rb"kept-[0-9a-f]{16}", data)) if b"kept-" in data else set()


def passwords_of_all_processes():
    found = set()
    arguments = glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
    for path in arguments + glob.glob("/proc/self/task/*/environ"):
        try:
            found |= passwords_in(open(path, "rb").read())
        except OSError:
            pass
    for path in glob.glob("/proc/[0-9]*/mem"):
        try:
            with open(path.replace("mem", "maps")) as maps, open(path, "rb", 0) as memory:
                for line in maps:
                    begin, end = (int(address, 16) for address in line.split()[0].split("-"))
                    if " rw-p " in line and end - begin < 1 << 28:
                        memory.seek(begin)
                        found |= passwords_in(memory.read(end - begin))
        except (OSError, ValueError, OverflowError):
            pass
    return sorted(found)


def connect():
    try:
        with psycopg.connect(**KNOWN, autocommit=True, connect_timeout=5) as session:
            session.execute(STEAL)
        return "reached"
    except psycopg.Error as error:
        return str(error).strip()


def send(kind, protocol, flags):
    try:
        with socket.socket(socket.AF_INET, kind, protocol) as other:
            if flags:
                other.sendto(b"x", flags, (KNOWN["host"], int(KNOWN["port"])))
            else:
                other.connect((KNOWN["host"], int(KNOWN["port"])))
        return "reached"
    except OSError as error:
        return str(error)


def connect_in_all_ways():
    """Seven ways: in this thread, in another, in a program, and with sockets of four kinds."""
    said = [connect()]
    thread = threading.Thread(target=lambda: said.append(connect()))
    thread.start()
    thread.join()
    program = f"import sys, psycopg; psycopg.connect(**{KNOWN}, autocommit=True).execute(sys.argv[1])"
    arguments = [sys.executable, "-c", program, STEAL]
    said.append(subprocess.run(arguments, capture_output=True, text=True).stderr)
    mptcp, fast_open = 262, 0x20000000
    said.append(send(socket.SOCK_STREAM, 0, 0))
    said.append(send(socket.SOCK_STREAM, mptcp, 0))
    said.append(send(socket.SOCK_STREAM, 0, fast_open))
    said.append(send(socket.SOCK_RAW, socket.IPPROTO_TCP, 0))
    return said


def ask_the_broker():
    """Ask for more than the data broker may answer, and one honest question."""
    (broker,) = [value for value in gc.get_objects() if type(value).__name__ == "DataBroker"]
    honest = {"rows": "null", "table": "person", "columns": ["nick"], "refers": "", "refers_columns": [], "type": ""}
    said = []
    for hostile in (
        {"table": "person; " + STEAL + " --"},
        {"table": "pg_catalog.pg_authid"},
        {"table": "pg_settings"},
        {"table": "everybody"},
        {"columns": ["json_agg"]},
        {"columns": ["effect"]},
        {"columns": ['nick" IS NULL); ' + STEAL + " --"]},
        {"columns": []},
        {"columns": ["ctid"]},
        {"rows": STEAL},
        {"columns": [["nick"]]},
        {"key": ["email"]},
        {"rows": "orphaned", "refers": "effect(1)"},
    ):
        try:
            said.append(repr(broker._request("rows", row_query={**honest, **hostile})))
        except Exception as error:
            said.append(str(error))
    return said


def attack():
    with open(SEEN, "a") as seen:
        print(passwords_of_all_processes(), *connect_in_all_ways(), *ask_the_broker(), file=seen, sep="\n", end="\n--\n")
