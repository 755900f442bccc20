#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# First program of a Linux guest in a QEMU of the emulated machine. The guest has an assigned NIC
# behind a virtual IOMMU and drives it with Linux's own e1000e. It sends /data to the echo server at
# the other end of the wire, compares what comes back, and switches itself off.
# app/test/e2e/test_vfio_front_programs.py packs it into an initrd and reads what it says.

say()
{
    echo "guest: $*"
}

fail()
{
    say "failed: $*"
    poweroff -f
}

/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
say "up"
insmod /e1000e.ko || fail "e1000e does not load"
# "DMA": each buffer is mapped when it is given to the NIC, and unmapped when it comes back (strict).
say "iommu group type $(cat /sys/class/net/eth0/device/iommu_group/type)"
ip link set lo up
ip addr add GUEST/24 dev eth0
ip link set eth0 up
tries=0
until ping -c 1 -W 1 PEER >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || fail "no answer from the other end"
done
ping -c 3 -q PEER | sed -n 's/^\([0-9]* packets .*\)/guest: \1/p'
nc PEER PORT </data >/back
cmp /data /back || fail "other data came back"
say "$(wc -c </back) bytes came back"
ip link set eth0 down
rmmod e1000e
say "end"
poweroff -f
