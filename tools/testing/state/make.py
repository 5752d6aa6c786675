#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""make.py DIR [NAME...] - have QEMU write state files of guests, NAME.state each.

The guests run under TCG, and mostly are saved before their first instruction: the state of
an idle device has the same form as that of a busy one. $QEMU is the binary. NAME.json,
beside each file, has what was asked for, for the tests to compare with.
"""

import glob
import json
import os
import re
import socket
import subprocess
import sys
import time

QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
# How long a start or a save may take.
PATIENCE_S = 120 * int(os.environ.get("CPR_TIMEOUT_SCALE", "1"))

DISK = ["-blockdev", "null-co,node-name={0},size=1048576,read-zeroes=on"]


def disk(*names):
    """Empty block nodes, for devices that need a disk."""
    return [word.format(name) for name in names for word in DISK]


def shared(path, size="64M"):
    return ["-m", size, "-machine", "memory-backend=cpr-ram0", "-object",
            f"memory-backend-file,id=cpr-ram0,size={size},mem-path={path},share=on"]


def devices(*names):
    return [word for name in names for word in ("-device", name)]


RICH_Q35 = disk("d0", "d1", "d2", "d3", "d4", "d5") + [
    "-netdev", "user,id=n0", "-netdev", "hubport,id=n1,hubid=0",
    "-netdev", "hubport,id=n2,hubid=1", "-netdev", "hubport,id=n3,hubid=2",
    "-audiodev", "none,id=a0", "-chardev", "null,id=c0", "-chardev", "null,id=c1",
    "-object", "rng-random,id=r0,filename=/dev/urandom",
] + devices(
    "intel-iommu", "pcie-root-port,id=rp0,chassis=1", "pcie-root-port,id=rp1,chassis=2",
    "x3130-upstream,bus=rp1,id=up0", "xio3130-downstream,bus=up0,chassis=3,id=dn0",
    "pcie-pci-bridge,id=pp0", "pci-bridge,bus=pp0,chassis_nr=4,id=pb0",
    "virtio-net-pci,netdev=n0,mq=off", "e1000e,netdev=n1", "igb,netdev=n2,bus=rp0",
    "vmxnet3,netdev=n3", "virtio-blk-pci,drive=d0,num-queues=4", "virtio-scsi-pci,id=vs0",
    "scsi-hd,bus=vs0.0,drive=d1", "ich9-ahci,id=ah0", "ide-hd,bus=ah0.0,drive=d2",
    "pvscsi,id=ps0", "scsi-cd,bus=ps0.0,drive=d3", "virtio-balloon-pci",
    "virtio-rng-pci,rng=r0", "virtio-serial-pci,id=vser0",
    "virtserialport,bus=vser0.0,chardev=c0",
    "virtio-keyboard-pci", "virtio-tablet-pci", "virtio-gpu-pci,bus=dn0",
    "qemu-xhci,id=xh0", "usb-kbd,bus=xh0.0", "usb-tablet,bus=xh0.0", "usb-hub,bus=xh0.0",
    "usb-storage,bus=xh0.0,drive=d4", "usb-ehci,id=eh0", "usb-mouse,bus=eh0.0",
    "piix3-usb-uhci", "pci-ohci", "intel-hda", "hda-duplex,audiodev=a0", "pvpanic-pci",
    "pci-serial,chardev=c1", "sdhci-pci", "vmcoreinfo", "isa-debug-exit", "i6300esb")

RICH_PC = disk("d0", "d1", "d2") + [
    "-netdev", "user,id=n0", "-netdev", "hubport,id=n1,hubid=0", "-netdev", "hubport,id=n2,hubid=1",
    "-netdev", "hubport,id=n3,hubid=2", "-audiodev", "none,id=a0", "-chardev", "null,id=c0",
] + devices(
    "cirrus-vga", "e1000,netdev=n0", "rtl8139,netdev=n1", "pcnet,netdev=n2", "ne2k_pci,netdev=n3",
    "lsi53c895a,id=ls0", "scsi-hd,bus=ls0.0,drive=d0", "megasas,id=ms0", "am53c974", "mptsas1068",
    "piix4-ide,id=pi0", "ide-cd,bus=ide.0,drive=d1", "AC97,audiodev=a0", "ES1370,audiodev=a0",
    "sb16,audiodev=a0", "virtio-blk-pci,drive=d2,disable-modern=on", "virtio-balloon-pci",
    "isa-serial,chardev=c0", "piix3-usb-uhci", "usb-tablet", "ipmi-bmc-sim,id=bmc0",
    "isa-ipmi-kcs,bmc=bmc0", "pvpanic", "hyperv-testdev", "i82551,netdev=nx0") + [
    "-netdev", "hubport,id=nx0,hubid=5", "-rtc", "base=utc", "-parallel", "null"]

CPR = {"mode": "cpr-reboot"}
SHARE = ["x-ignore-shared"]


# QEMU ends a section as soon as it has flushed more than this allows in 100 ms, which is
# less than one flush: RAM takes several sections on any machine, as on a slow one without
# a limit.
SLOW = {"max-bandwidth": 64 << 10, "downtime-limit": 1}


def spec(argv, caps=(), params=None, run=0.0, plug=(), rounds=0):
    """What to start, and how to save.

    @run: seconds that the guest runs before the save; how far it gets does not matter
    @rounds: how often QEMU goes through RAM under the limits in @params, before the
        limits are lifted; 0 if they apply to the end
    """
    return {"argv": argv, "caps": list(caps), "params": params or {}, "run": run,
            "plug": list(plug), "rounds": rounds}


def specs(ram):
    """All guests, by name; @ram is the path of files with shared memory."""
    numa = ["-smp", "4", "-m", "64M", "-object", "memory-backend-ram,id=m0,size=32M", "-object",
            "memory-backend-ram,id=m1,size=32M", "-numa", "node,memdev=m0", "-numa",
            "node,memdev=m1"]
    files = ["-smp", "4", "-m", "64M"]
    for i in range(2):
        files += ["-object", f"memory-backend-file,id=cpr-ram{i},size=32M,mem-path={ram}{i},"
                  "share=on", "-numa", f"node,memdev=cpr-ram{i}"]
    plug = [("object-add", {"qom-type": "memory-backend-ram", "id": "pm0", "size": 32 << 20}),
            ("device_add", {"driver": "pc-dimm", "memdev": "pm0", "id": "dimm0"}),
            ("device_add", {"driver": "qemu64-x86_64-cpu", "socket-id": 2, "core-id": 0,
                            "thread-id": 0}),
            ("device_add", {"driver": "virtio-net-pci", "bus": "rp0", "id": "hp0"}),
            ("device_add", {"driver": "usb-mouse", "bus": "xh0.0", "id": "hp1"})]
    hot = ["-smp", "2,maxcpus=4,sockets=4,cores=1,threads=1", "-m", "64M,slots=4,maxmem=1G",
           "-cpu", "qemu64"]
    q35 = ["-M", "q35"]
    return {
        "q35-cpr": spec(q35 + shared(ram) + ["-smp", "4", "-vga", "std"] + RICH_Q35, SHARE, CPR),
        "q35-numa-cpr": spec(q35 + files, SHARE, CPR),
        "q35-cpr-copied": spec(q35 + numa, (), CPR),
        "q35-small-cpr": spec(q35 + shared(ram, "16M") + ["-vga", "none"], SHARE, CPR),
        "q35-run-cpr": spec(q35 + shared(ram), SHARE, CPR, run=2.0),
        "q35-normal": spec(q35 + numa + RICH_Q35),
        "q35-run-normal": spec(q35 + ["-m", "64M"], run=2.0),
        "q35-slow": spec(q35 + ["-m", "16M"], (), SLOW),
        "q35-slow-cpr": spec(q35 + shared(ram, "16M") + ["-vga", "std"], SHARE, {**CPR, **SLOW}),
        "q35-slow-run": spec(q35 + ["-m", "16M"], (), SLOW, run=2.0, rounds=3),
        "q35-hotplug-cpr": spec(q35 + hot + devices(
            "pcie-root-port,id=rp0,chassis=1", "qemu-xhci,id=xh0"), (), CPR, plug=plug),
        "q35-mapped": spec(q35 + ["-m", "64M"] + RICH_Q35, ["mapped-ram"]),
        "q35-mapped-run": spec(q35 + ["-m", "32M"], ["mapped-ram"], run=2.0),
        "q35-mapped-multifd": spec(q35 + ["-m", "32M", "-smp", "2"], ["mapped-ram", "multifd"],
                                   {**CPR, "multifd-channels": 4, "direct-io": True}, run=2.0),
        "q35-iommu-virtio": spec(q35 + ["-m", "16M"] + devices("virtio-iommu-pci"), (), CPR),
        "q35-9.2": spec(["-M", "pc-q35-9.2", "-m", "16M"], (), CPR),
        "q35-6.0": spec(["-M", "pc-q35-6.0"] + shared(ram, "16M"), SHARE, CPR),
        "pc-cpr": spec(["-M", "pc"] + shared(ram) + ["-smp", "2"] + RICH_PC, SHARE, CPR),
        "pc-normal": spec(["-M", "pc", "-m", "16M"]),
        "pc-mapped": spec(["-M", "pc", "-m", "16M"], ["mapped-ram"], CPR),
        "microvm-cpr": spec(["-M", "microvm"] + shared(ram) + disk("d0") + devices(
            "virtio-blk-device,drive=d0", "virtio-rng-device", "virtio-balloon-device"),
            SHARE, CPR),
        "microvm-normal": spec(["-M", "microvm,pcie=on", "-m", "16M", "-smp", "2"]),
    }


class Qmp:
    """A client for QMP."""

    def __init__(self, sock):
        self.stream = sock.makefile("rw")
        self.read()
        self.call("qmp_capabilities")

    def read(self):
        line = self.stream.readline()
        if not line:
            raise RuntimeError("QEMU is gone")
        return json.loads(line)

    def call(self, command, arguments=None):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
        self.stream.flush()
        while True:
            reply = self.read()
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]


def connect(path, qemu, log):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if qemu.poll() is not None:
            raise RuntimeError(open(log, encoding="utf-8").read().strip())
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(path)
            return Qmp(sock)
        except OSError:
            sock.close()
            time.sleep(0.05)
    raise RuntimeError("QEMU does not answer")


FAST = {"max-bandwidth": 1 << 40, "downtime-limit": 300}


def save(qmp, spec_, path):
    qmp.call("migrate-set-capabilities", {"capabilities": [
        {"capability": name, "state": True} for name in spec_["caps"]]})
    qmp.call("migrate-set-parameters", {**FAST, **spec_["params"]})
    qmp.call("migrate", {"uri": "file:" + path})
    until = time.monotonic() + PATIENCE_S
    rounds = spec_["rounds"]
    while time.monotonic() < until:
        info = qmp.call("query-migrate")
        if rounds and info.get("ram", {}).get("dirty-sync-count", 0) > rounds:
            qmp.call("migrate-set-parameters", FAST)
            rounds = 0
        if info.get("status") == "completed":
            return
        if info.get("status") == "failed":
            raise RuntimeError(info.get("error-desc", "the migration failed"))
        time.sleep(0.05)
    raise RuntimeError("the migration does not end")


def in_place(spec_):
    """IDs of the memory that stays in files of its own."""
    return [re.search("id=([^,]*)", word).group(1) for word in spec_["argv"]
            if word.startswith("memory-backend-file,") and "x-ignore-shared" in spec_["caps"]]


def without(argv, device):
    """@argv without a device that this QEMU does not have, or has in a module elsewhere."""
    for i, word in enumerate(argv):
        if word.split(",")[0] == device and argv[i - 1] == "-device":
            return argv[:i - 1] + argv[i + 1:]
    raise RuntimeError(f"no device {device}")


def make(directory, name, spec_):
    base = os.path.join(directory, name)
    argv = [QEMU, "-accel", "tcg", "-nodefaults", "-display", "none", "-qmp",
            f"unix:{base}.qmp,server=on,wait=off"] + spec_["argv"]
    if not spec_["run"]:
        argv.append("-S")
    for stale in glob.glob(base + ".qmp") + glob.glob(os.path.join(directory, "ram*")):
        os.unlink(stale)
    with open(base + ".log", "w", encoding="utf-8") as log, \
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as qemu:
        try:
            qmp = connect(base + ".qmp", qemu, base + ".log")
            for command, arguments in spec_["plug"]:
                qmp.call(command, arguments)
            time.sleep(spec_["run"])
            version = qmp.call("query-version")
            machine = [m for m in qmp.call("query-machines") if
                       m["name"] in spec_["argv"][1].split(",")[0] or m.get("alias") ==
                       spec_["argv"][1].split(",")[0]]
            save(qmp, spec_, base + ".state")
            # multifd changes how QEMU writes pages, not the stream.
            caps = [name for name in spec_["caps"] if name != "multifd"]
            tell = {"machine": machine[0]["name"], "qemu": version["qemu"], "caps": caps,
                    "running": spec_["run"] > 0, "in_place": in_place(spec_)}
            with open(base + ".json", "w", encoding="utf-8") as out:
                json.dump(tell, out)
        finally:
            qemu.kill()
    os.unlink(base + ".qmp")


def make_without(directory, name, spec_):
    """As make(), without the devices that this QEMU does not have."""
    while True:
        try:
            make(directory, name, spec_)
            return
        except RuntimeError as e:
            unknown = re.search("'([^']*)' is not a valid device model name", str(e))
            if not unknown:
                raise
            spec_ = dict(spec_, argv=without(spec_["argv"], unknown.group(1)))


def main():
    directory, wanted = sys.argv[1], sys.argv[2:]
    os.makedirs(directory, exist_ok=True)
    every = specs(os.path.join(directory, "ram"))
    failed = 0
    for name in wanted or every:
        try:
            make_without(directory, name, every[name])
        except (RuntimeError, OSError) as e:
            print(f"# {name}: {e}")
            failed += 1
    return failed > 0


sys.exit(main())
