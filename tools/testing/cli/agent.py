#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""agent.py SOCKET RAM MODE - a guest agent for the guest of module.sh, outside of the guest.

RAM is the file with the guest's memory, and MODE a file that says what the agent does about
a request to suspend: "willing" suspends the guest, "refuses" returns an error, and "idle"
does nothing.
"agent.py --suspend RAM" suspends the guest without a request, as its operator would.
"""
import json
import mmap
import socket
import sys
import threading

FLAG, VECTOR, WAKE_AT = 0x8008, 12, 0x7c20


def suspend(path):
    """Write the wake-up address for the firmware, and have the guest suspend."""
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as ram:
        facs = ram.find(b"FACS")
        while facs % 64:
            facs = ram.find(b"FACS", facs + 1)
        ram[facs + VECTOR:facs + VECTOR + 4] = WAKE_AT.to_bytes(4, "little")
        ram[FLAG] = 1


def answer(request, ram, mode):
    command = request["execute"]
    if command == "guest-sync":
        return {"return": request["arguments"]["id"]}
    if command != "guest-suspend-ram":
        return {"return": {}}
    if mode == "refuses":
        return {"error": {"class": "GenericError", "desc": "suspend-to-ram not supported by OS"}}
    if mode == "willing":
        suspend(ram)
    return None


def serve(connection, ram, mode):
    for line in connection.makefile("r"):
        with open(mode, encoding="ascii") as f:
            reply = answer(json.loads(line), ram, f.read().strip())
        if reply:
            connection.sendall(json.dumps(reply).encode() + b"\n")


def main():
    if sys.argv[1] == "--suspend":
        suspend(sys.argv[2])
        return
    path, ram, mode = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, ram, mode), daemon=True).start()


main()
