// SPDX-License-Identifier: GPL-2.0-only
/* The QEMU of a rehearsal has nothing of its guest that shows outside. */
#define _GNU_SOURCE
#include "ktap.h"
#include "qemu/rehearsalargs.h"
#include "split.h"

#define PRIVATE "share=off,readonly=on,rom=off,prealloc=off,reserve=off"

/* Words without blanks; "-display none" comes at the end of each. */
static const struct { const char *in, *out; } turned[] = {
	{ "", "" },
	{ "-M q35,accel=kvm -m 1G --smp 4 -nodefaults", "-M q35,accel=kvm -m 1G --smp 4 -nodefaults" },
	{ "disk.img -S", NULL },
	{ "disk.img", "disk.img" },
	{ "-object memory-backend-file,id=m,size=1G,mem-path=/run/cpr/a/ram0,share=on,prealloc=on",
	  "-object memory-backend-file,id=m,size=1G,mem-path=/run/cpr/a/ram0,share=on,prealloc=on,"
	  PRIVATE },
	{ "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"m\",\"share\":true}",
	  "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"m\",\"share\":false,\"readonly\":true,"
	  "\"prealloc\":false,\"reserve\":false,\"rom\":\"off\"}" },
	{ "-object iothread,id=t -object secret,id=s,data=x", "-object iothread,id=t -object secret,id=s,data=x" },
	{ "-mem-prealloc -overcommit mem-lock=on -run-with async-teardown=on", "" },
	{ "-pidfile p -D log -d int -trace x -vnc :1 -spice port=1 -gdb tcp::1 -s -qmp unix:x "
	  "-mon chardev=c,mode=control -full-screen", "" },
	{ "-monitor stdio -display gtk,gl=on", "-monitor none -display none" },
	{ "-serial mon:stdio -serial chardev:c -serial none -parallel /dev/parport0 -debugcon file:x",
	  "-serial null -serial chardev:c -serial none -parallel null -debugcon null" },
	{ "-chardev socket,id=c,path=/x,server=on -chardev stdio,mux=on,id=d,signal=off "
	  "-chardev file,path=/y,id=e -chardev pty,id=f -chardev udp,id=g,host=h,port=1",
	  "-chardev null,id=c -chardev null,id=d,mux=on -chardev null,id=e -chardev null,id=f "
	  "-chardev null,id=g" },
	{ "-audiodev pa,id=a,out.frequency=44100 -audio pipewire,model=virtio",
	  "-audiodev none,id=a -audio none,model=virtio" },
	{ "-audiodev {\"driver\":\"pa\",\"id\":\"a\"}", "-audiodev none,id=a" },

	/* Networks. */
	{ "-netdev user,id=n,hostfwd=tcp::1-:2,hostfwd=tcp::3-:4,net=10.0.0.0/8",
	  "-netdev user,id=n,net=10.0.0.0/8" },
	{ "-netdev {\"type\":\"user\",\"id\":\"n\",\"hostfwd\":[{\"str\":\"x\"}]}",
	  "-netdev {\"id\":\"n\",\"type\":\"user\"}" },
	{ "-netdev tap,id=n,ifname=t0,script=/x,downscript=no,vhost=on,queues=4",
	  "-netdev tap,id=n,vhost=on,queues=4,script=no,downscript=no" },
	{ "-netdev type=bridge,br=br0,id=n,helper=/x", "-netdev tap,id=n,script=no,downscript=no" },
	{ "-netdev {\"type\":\"tap\",\"id\":\"n\",\"ifname\":\"t\"}",
	  "-netdev {\"id\":\"n\",\"type\":\"tap\",\"script\":\"no\",\"downscript\":\"no\"}" },
	{ "-nic bridge,br=br0,model=virtio,mac=52:54:00:12:34:56",
	  "-nic tap,model=virtio,mac=52:54:00:12:34:56,script=no,downscript=no" },
	{ "-nic none -net none -net nic,model=e1000", "-nic none -net none -net nic,model=e1000" },
	{ "-netdev socket,id=n,listen=:1 -netdev stream,id=m,addr.type=unix,addr.path=/x",
	  "-netdev hubport,id=n,hubid=770000 -netdev hubport,id=m,hubid=770002" },
	{ "-nic socket,listen=:1", NULL },
	{ "-netdev user,id=n,guestfwd=tcp:10.0.2.1:1-cmd:x", NULL },
	{ "-netdev vhost-user,id=n,chardev=c", NULL }, { "-netdev vhost-vdpa,id=n,vhostdev=/dev/x", NULL },
	{ "-netdev af-xdp,id=n,ifname=eth0", NULL }, { "-netdev netmap,id=n", NULL },
	{ "-netdev new-kind,id=n", NULL },

	/* Devices of the host, or that speak with somebody. */
	{ "-device virtio-blk-pci,drive=d -device e1000e,netdev=n",
	  "-device virtio-blk-pci,drive=d -device e1000e,netdev=n" },
	{ "-device vhost-user-fs-pci,chardev=c", NULL }, { "-device usb-host,hostbus=1", NULL },
	{ "-device {\"driver\":\"vhost-vsock-pci\",\"guest-cid\":3}", NULL },
	{ "-device virtio-mem-pci,memdev=m", NULL }, { "-device qxl-vga", NULL }, { "-vga qxl", NULL },
	{ "-vga std -usbdevice tablet", "-vga std -usbdevice tablet" }, { "-usbdevice disk:x", NULL },
	{ "-fsdev local,id=f,path=/x,security_model=none", "-fsdev local,id=f,path=/x,security_model=none" },
	{ "-fsdev proxy,id=f,socket=/x", NULL }, { "-tpmdev emulator,id=t,chardev=c", NULL },
	{ "-object input-linux,id=i,evdev=/dev/input/x", NULL },
	{ "-object filter-dump,id=f,netdev=n,file=/x", NULL }, { "-object new-kind,id=o", NULL },
	{ "-icount shift=1", "-icount shift=1" }, { "-icount shift=1,rr=record,rrfile=/x", NULL },
	{ "-set device.d.x=y", "-set device.d.x=y" }, { "-set object.m.share=on", NULL },
	{ "-plugin /x.so", NULL }, { "-iscsi user=x", NULL }, { "-new-option x", NULL },
	{ "-object {broken", NULL },
};

TEST(command_lines)
{
	for (size_t i = 0; i < ARRAY_SIZE(turned); i++) {
		_cleanup_rehearsal_plan_ struct rehearsal_plan plan = { 0 };
		_cleanup_qemuopts_ struct qemuopts opts = { 0 };
		_cleanup_strv_ struct strv argv = { 0 };
		_cleanup_free_ char *got = NULL, *want = NULL;

		parse(turned[i].in, &argv, &opts);
		rehearsal_plan(&opts, &plan);
		CHECK_MSG(!plan.note == !!turned[i].out, "'%s': %s", turned[i].in,
			  plan.note ? plan.note : "no note");
		if (plan.note)
			continue;
		got = strv_join(&plan.argv, " ");
		want = xasprintf("%s%s-display none", turned[i].out, *turned[i].out ? " " : "");
		CHECK_STR(got, want);
		CHECK_EQ(plan.netless, strstr(got, "script=no") || strstr(got, "\"script\""));
	}
}

TEST(notes_name_the_option)
{
	_cleanup_rehearsal_plan_ struct rehearsal_plan plan = { 0 };
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	parse("-m 1G -tpmdev emulator,id=t,chardev=c -D x", &argv, &opts);
	rehearsal_plan(&opts, &plan);
	CHECK_STR(plan.note,
		  "the effect of -tpmdev emulator,id=t,chardev=c outside of QEMU is not known");
}

/* A value that is longer than any buffer. */
TEST(long_values)
{
	_cleanup_rehearsal_plan_ struct rehearsal_plan plan = { 0 };
	_cleanup_qemuopts_ struct qemuopts opts = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_free_ char *longish = xcalloc(1, 5001), *value = NULL;

	memset(longish, 'x', 5000);
	value = xasprintf("memory-backend-file,mem-path=/%s", longish);
	strv_push(&argv, "-object");
	strv_push(&argv, value);
	CHECK_EQ(qemuopts_parse(&argv, &opts, NULL), 0);
	rehearsal_plan(&opts, &plan);
	CHECK_EQ(plan.argv.n, 4);
	CHECK(strncmp(plan.argv.v[1], value, strlen(value)) == 0);
	CHECK_STR(plan.argv.v[1] + strlen(value), "," PRIVATE);
}

TEST(disks)
{
	CHECK(rehearsal_opens("qcow2") && rehearsal_opens("file") && rehearsal_opens("raw"));
	CHECK(!rehearsal_opens("nbd") && !rehearsal_opens("vvfat") && !rehearsal_opens("new"));
}

int main(void)
{
	return ktap_run();
}
