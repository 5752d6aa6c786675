#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""map.py FILE - print where the sections of a state file are, and which bytes are free.

A byte is free if QEMU could also have written the file with another value there: only
a digest detects the change. This parser is independent of the one in cpr-helper, so
that the two can disagree.

	section START END	a section, from its type byte to the end of its footer
	repeatable START END	a section that may be there twice, as far as the parser can
				tell: it has pages of RAM, and QEMU sends pages once more
				if the guest runs in the meantime
	optional START END	a section that may also be missing: it has no pages, or only
				pages that were sent before
	continued START END	in addition: this section's first page belongs to the RAM
				block of the section before, which it does not name
	free START END		bytes of any value
"""

import json
import re
import struct
import sys


class Reader:
    """The file, and what has been found free."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.pos = 0
        self.free = []

    def take(self, form):
        v = struct.unpack_from(">" + form, self.data, self.pos)
        self.pos += struct.calcsize(">" + form)
        return v if len(v) > 1 else v[0]

    def name(self):
        n = self.take("B")
        self.pos += n
        return self.data[self.pos - n:self.pos].decode()

    def skip_free(self, n):
        if n:
            self.free.append((self.pos, self.pos + n))
        self.pos += n


def find_description(data):
    at = len(data)
    while True:
        at = data.rindex(b"\x06", 0, at)
        if at + 5 <= len(data) and struct.unpack_from(">I", data, at + 1)[0] == len(data) - at - 5:
            return at


def configuration(r):
    assert r.take("4sIB") == (b"QEVM", 3, 7)
    n = r.take("I")
    r.skip_free(n)
    caps = []
    while r.data[r.pos] == 5:
        r.pos += 1
        sub = r.name()
        r.pos += 4
        if sub.endswith("/uuid"):
            r.skip_free(16)
            continue
        caps += [r.name() for _ in range(r.take("I"))]
    return caps


def ram_list(r, left, caps, blocks):
    names = {}
    while left:
        start = r.pos + 1
        name = r.name()
        names[name] = (start, r.pos)
        size = r.take("Q")
        left -= size
        blocks[name] = 0
        if "x-ignore-shared" in caps:
            r.skip_free(8)
        if "mapped-ram" in caps:
            _, _, bitmap, pages = r.take("IQQQ")
            # The bits of the last word that stand for no page are not free.
            r.free.append((bitmap, bitmap + size // 4096 // 8))
            r.pos = pages
            r.skip_free(size)
    return names


def ram(r, state):
    """Records up to the end of the section; true if the first continues a RAM block.

    QEMU leaves the name of a RAM block out as long as the pages are of that block,
    over the end of a section, too (RAM_SAVE_FLAG_CONTINUE).
    """
    blocks, first, continued = state["blocks"], True, False
    while True:
        at = r.pos
        v = r.take("Q")
        flags, addr = v & 4095, v & ~4095
        if flags == 4:
            state["names"].update(ram_list(r, addr, state["caps"], blocks))
            continue
        if flags == 16:
            return continued
        continued |= first and bool(flags & 32)
        first = False
        if not flags & 32:
            state["block"] = r.name()
        last = state["block"]
        # A page that comes again could be any of those that have been.
        if addr // 4096 < blocks[last]:
            r.free.append((at, at + 8))
        blocks[last] = max(blocks[last], addr // 4096 + 1)
        if flags & 8:
            r.skip_free(4096)
        else:
            r.pos += 1


def fields(r, vmsd):
    for field in vmsd["fields"]:
        inner = field.get("struct") or (field if "fields" in field else None)
        for _ in range(field.get("array_len", 1)):
            if inner:
                fields(r, inner)
            elif field["type"] in ("unused_buffer", "nullptr"):
                r.pos += field["size"]
            else:
                r.skip_free(field["size"])
    for sub in vmsd.get("subsections", ()):
        r.pos += 1
        assert r.name() == sub["vmsd_name"]
        r.pos += 4
        fields(r, sub)


def description(r, at):
    """What nothing but people read, and what only the text itself has."""
    text = r.data[at:].decode()
    for m in re.finditer(r'"(?:name|type|vmsd_name)": "([^"]*)"|"version": (\d+)', text):
        group = 1 if m.group(1) is not None else 2
        before = text[max(0, m.start() - 3):m.start()]
        if m.group(0).startswith('"version"'):
            before = text[max(0, text.rindex('"vmsd_name"', 0, m.start()) - 3):
                          text.rindex('"vmsd_name"', 0, m.start())]
        subsection = before.endswith("[{") or before.endswith(", {")
        device = text[m.end():m.end() + 16].startswith(', "instance_id"')
        if not device and not (subsection and '"name"' not in m.group(0)[:6]):
            r.free.append((at + m.start(group), at + m.end(group)))


def item(r, kind, state):
    """A section's head and content; true if it continues a RAM block."""
    if kind in (1, 4):
        state["id"] = r.take("I")
        name = r.name()
        r.take("II")
    else:
        state["id"] = r.take("I")
    if kind != 4:
        return ram(r, state)
    device = next(state["devices"])
    assert device["name"] == name
    if "version" not in device:
        r.free.append((r.pos - 4, r.pos))
    fields(r, device)
    return False


def walk(r):
    at = find_description(r.data)
    desc = json.loads(r.data[at + 5:])
    state = {"caps": configuration(r), "blocks": {}, "names": {}, "block": None,
             "devices": iter(desc["devices"])}
    while True:
        start, kind = r.pos, r.take("B")
        sent, block, continued = sum(state["blocks"].values()), state["block"], False
        if kind == 0:
            break
        if kind == 8:
            assert r.take("HH") == (11, 0)
        else:
            continued = item(r, kind, state)
            assert r.take("BI") == (0x7e, state["id"])
        if kind == 2 and sent == sum(state["blocks"].values()):
            print("optional", start, r.pos)
        elif kind == 2 and (not continued or block == state["block"]):
            print("repeatable", start, r.pos)
        else:
            print("section", start, r.pos)
        if continued:
            print("continued", start, r.pos)
    assert r.pos == at
    # A block that is elsewhere is named but once.
    r.free += [state["names"][name] for name, pages in state["blocks"].items() if not pages]
    description(r, at + 5)
    for start, end in sorted(r.free):
        print("free", start, end)


walk(Reader(sys.argv[1]))
