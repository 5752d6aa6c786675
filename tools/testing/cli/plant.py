#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Plant one kind of damage in an image of devimage.

plant.py IMAGE KIND	damages IMAGE
plant.py --kinds	prints all kinds

Checksums are mended, so that only the damage itself can be found. The image has slot 0 as
its current catalog.
"""
import struct
import sys

from damage import BLOCK, COPY, SLOT, SUPER, crc32c

OTHER = 0x400000
RECORDS = SLOT + BLOCK
# Fields of the superblock and of the header of a slot.
MAJOR, FRAME_SHIFT, INCOMPAT, SUPER_SIZE, DATA_OFFSET, SUPER_RESERVED = 8, 12, 16, 48, 80, 128
GENERATION, LENGTH, NODES, NEXT_INO, RECORDS_CRC, INVERSE, HEADER_RESERVED = \
    8, 16, 24, 32, 112, 120, 128
# Fields of records.
NODE_PARENT, NODE_MODE, NODE_INO, NODE_SIZE, NODE_NSEC, NODE_NAME_LEN, NODE_EXTENTS, NODE_NAME = \
    8, 12, 24, 32, 48, 76, 80, 88
VM_NODE, VM_STATE, VM_KERNEL, VM_MANIFEST = 8, 12, 32, 96
DEVICE_DMA = 28
BAD_SECOND = 32
NODE, VM, DMA, DEVICE, BAD = 1, 2, 3, 4, 5


class Image:
    """An image in memory; changes are written by save()."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.head = bytearray(f.read(OTHER + BLOCK + 4096))

    def save(self):
        with open(self.path, "r+b") as f:
            f.write(self.head)

    def put(self, at, form, value):
        struct.pack_into("<" + form, self.head, at, value)

    def get(self, at, form):
        return struct.unpack_from("<" + form, self.head, at)[0]

    def flip(self, at):
        self.head[at] ^= 1

    def mend(self, at):
        self.put(at + BLOCK - 4, "I", crc32c(self.head[at:at + BLOCK - 4]))

    def mend_slot(self, slot=SLOT):
        length = min(self.get(slot + LENGTH, "Q"), 1 << 16)
        self.put(slot + RECORDS_CRC, "I",
                 crc32c(self.head[slot + BLOCK:slot + BLOCK + length]))
        self.mend(slot)

    def record(self, kind, number=0):
        """The offset of a record."""
        at = RECORDS
        while True:
            if self.get(at, "H") == kind:
                if not number:
                    return at
                number -= 1
            at += self.get(at + 4, "I")

    def supers(self, field, form, value):
        for at in (SUPER, COPY):
            self.put(at + field, form, value)
            self.mend(at)

    def slot(self, field, form, value):
        self.put(SLOT + field, form, value)
        self.mend(SLOT)

    def of(self, kind, number, field, form, value):
        self.put(self.record(kind, number) + field, form, value)
        self.mend_slot()

    def extent(self):
        """Of the only file; its name has 8 bytes with the padding."""
        return self.record(NODE, 3) + NODE_NAME + 8


def share_a_frame(i):
    # One extent becomes two, of the same frame; 16 bytes more, with the padding.
    node, at = i.record(NODE, 3), i.extent()
    end = RECORDS + i.get(SLOT + LENGTH, "Q")
    tail = i.head[at + 16:end]
    i.head[at:at + 24] = struct.pack("<IIIIII", 0, 3, 1, 1, 3, 1)
    i.head[at + 24:at + 24 + len(tail)] = tail
    i.put(node + NODE_EXTENTS, "I", 2)
    i.put(node + 4, "I", NODE_NAME + 8 + 24)
    i.put(SLOT + LENGTH, "Q", i.get(SLOT + LENGTH, "Q") + 8)
    i.mend_slot()


def long_names(i):
    # A root and ten memory files in it, each with a name of 200 bytes.
    root = bytes(i.head[i.record(NODE):i.record(NODE, 1)])
    files = b""
    for n in range(10):
        rec = bytearray(i.head[i.record(NODE, 3):i.record(NODE, 3) + NODE_NAME])
        struct.pack_into("<HHII", rec, 0, NODE, 1, NODE_NAME + 200, 0)
        struct.pack_into("<Q", rec, NODE_INO, 10 + n)
        struct.pack_into("<HHI", rec, NODE_NAME_LEN, 200, 0, 0)
        files += bytes(rec) + b"%0200d" % n
    records = root + files
    i.head[RECORDS:RECORDS + len(records)] = records
    i.put(SLOT + LENGTH, "Q", len(records))
    i.put(SLOT + NODES, "Q", 11)
    i.put(SLOT + NEXT_INO, "Q", 20)
    i.mend_slot()


def foreign_memory(i):
    # The first extent of the first table leads to the frame after the VM's own.
    at = i.record(DMA) + 16
    i.put(at + 8, "Q", i.get(at + 8, "Q") + 0x200000)
    i.mend_slot()


def same_device(i):
    one, two = i.record(DEVICE), i.record(DEVICE, 1)
    i.head[one + 8:one + 16] = i.head[two + 8:two + 16]
    i.head[one + 48:one + 56] = i.head[two + 8:two + 16]
    i.mend_slot()


def stray_device(i):
    at = i.record(DEVICE)
    i.head[at + 8 + 5] ^= 0x80
    i.mend_slot()


def same_generation(i):
    i.put(SLOT + INVERSE, "Q", ~2 & (1 << 64) - 1)
    i.slot(GENERATION, "Q", 2)


def cut_super_magic(i):
    i.flip(SUPER)


def bad_super_checksum(i):
    i.flip(COPY + 100)


def copies_differ(i):
    i.flip(COPY + 24)
    i.mend(COPY)


PLANTS = {
    "super-magic": cut_super_magic,
    "super-checksum": bad_super_checksum,
    "super-version": lambda i: i.supers(MAJOR, "H", 2),
    "super-features": lambda i: i.supers(INCOMPAT, "Q", 4),
    "super-size": lambda i: i.supers(SUPER_SIZE, "Q", 1 << 40),
    "super-layout": lambda i: i.supers(DATA_OFFSET, "Q", 0),
    "super-copies": copies_differ,
    "slot-magic": lambda i: i.flip(SLOT),
    "slot-unfinished": lambda i: i.put(OTHER, "8s", b"CPRWRITE"),
    "slot-checksum": lambda i: i.flip(SLOT + 50),
    "slot-range": lambda i: i.slot(NEXT_INO, "Q", 1 << 62),
    "slot-records": lambda i: i.flip(i.record(NODE, 3) + 16),
    "slot-generation": same_generation,
    "slot-inverse": lambda i: i.slot(INVERSE, "Q", 0),
    "slot-count": lambda i: i.slot(NODES, "I", 5),
    "record-size": lambda i: i.of(VM, 1, 4, "I", 120),
    "record-place": lambda i: i.of(DEVICE, 1, 0, "H", NODE),
    "record-type": lambda i: i.of(DEVICE, 1, 0, "H", 99),
    "reserved": lambda i: i.of(NODE, 3, 2, "H", 0x8001),
    "node-root": lambda i: i.of(NODE, 0, NODE_INO, "Q", 7),
    "node-parent": lambda i: i.of(NODE, 3, NODE_PARENT, "I", 9),
    "node-name": lambda i: i.of(NODE, 1, NODE_NAME, "2s", b"d/"),
    "node-order": lambda i: i.of(NODE, 1, NODE_NAME, "2s", b"zz"),
    "node-mode": lambda i: i.of(NODE, 3, NODE_MODE, "I", 0o120777),
    "node-size": lambda i: i.of(NODE, 1, NODE_SIZE, "Q", 1),
    "node-time": lambda i: i.of(NODE, 1, NODE_NSEC, "I", 1000000000),
    "node-ino": lambda i: i.of(NODE, 3, NODE_INO, "Q", 3),
    "node-names": long_names,
    "node-room": lambda i: i.of(NODE, 3, NODE_NAME_LEN + 2, "H", 9),
    "extent-order": lambda i: (i.put(i.extent() + 8, "I", 0), i.mend_slot()),
    "extent-outside": lambda i: (i.put(i.extent() + 4, "I", 2), i.mend_slot()),
    "extent-shared": share_a_frame,
    "vm-node": lambda i: i.of(VM, 0, VM_NODE, "I", 3),
    "vm-state": lambda i: i.of(VM, 0, VM_STATE, "I", 77),
    "vm-text": lambda i: i.of(VM, 0, VM_KERNEL + 63, "B", 65),
    "vm-flags": lambda i: i.of(VM, 0, 2, "H", 7),
    "vm-digest": lambda i: i.of(VM, 0, VM_MANIFEST, "16s", b""),
    "dma-extent": lambda i: i.of(DMA, 0, 16 + 16, "Q", 1),
    "dma-class": lambda i: i.of(DMA, 0, 16 + 24, "I", 9),
    "dma-owner": foreign_memory,
    "device-dma": lambda i: i.of(DEVICE, 0, DEVICE_DMA, "I", 2),
    "device-group": stray_device,
    "device-twice": same_device,
    "bad-order": lambda i: i.of(BAD, 0, BAD_SECOND, "Q", 17),
    "bad-outside": lambda i: i.of(BAD, 0, BAD_SECOND, "Q", 1 << 52),
}


def main():
    if sys.argv[1:] == ["--kinds"]:
        print("\n".join(sorted(PLANTS)))
        return
    image = Image(sys.argv[1])
    PLANTS[sys.argv[2]](image)
    image.save()


main()
