#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Damage an image in random places, mend its checksums, and inspect it.

damage.py HELPER GOOD-IMAGE SCRATCH COUNT [SEED]

A crash is a failure: an exit status below 0, or a report of a sanitizer. Any other result
is right.
"""
import os
import random
import shutil
import struct
import subprocess
import sys

SUPER, COPY, SLOT, BLOCK = 0, 65536, 0x200000, 4096


def table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def mend(image, at):
    image.seek(at)
    block = image.read(BLOCK - 4)
    image.seek(at + BLOCK - 4)
    image.write(struct.pack("<I", crc32c(block)))


def mend_records(image):
    image.seek(SLOT + 16)
    length = struct.unpack("<Q", image.read(8))[0]
    image.seek(SLOT + BLOCK)
    records = image.read(min(length, 1 << 16))
    image.seek(SLOT + 8 + 8 + 8 + 4 + 4 + 8 + 8 + 64)
    image.write(struct.pack("<I", crc32c(records)))
    mend(image, SLOT)


INTERESTING = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x8000000000000000]


def hurt(image, rng, length):
    where, span = rng.choice([(SUPER, 140), (SLOT, 130), (SLOT + BLOCK, length)])
    for _ in range(rng.randint(1, 3)):
        image.seek(where + rng.randrange(span))
        value = rng.choice(INTERESTING + [rng.getrandbits(64)])
        image.write(struct.pack("<Q", value)[: rng.choice([1, 2, 4, 8])])
    if rng.random() < 0.9:
        mend_records(image)
        mend(image, SUPER)
        if rng.random() < 0.5:
            image.seek(SUPER)
            copy = image.read(BLOCK)
            image.seek(COPY)
            image.write(copy)


def main():
    helper, good, scratch, count = sys.argv[1:5]
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
    rng = random.Random(seed)
    shutil.copyfile(good, scratch)
    os.truncate(scratch, os.path.getsize(good))
    with open(good, "rb") as f:
        head = f.read(SLOT + BLOCK + 4096)
    length = struct.unpack_from("<Q", head, SLOT + 16)[0]
    for n in range(int(count)):
        with open(scratch, "r+b") as image:
            image.write(head)
            hurt(image, rng, length)
        check = ["--check"] if n % 2 else []
        run = subprocess.run([helper, "--json", "inspect", *check, scratch],
                             capture_output=True, check=False)
        if run.returncode not in (0, 1, 3, 4) or b"Sanitizer" in run.stderr or \
           b"runtime error" in run.stderr:
            print(f"seed {seed}, image {n}: status {run.returncode}")
            print(run.stderr.decode(errors="replace"))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
