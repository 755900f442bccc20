#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests that an ordinary user can forward, with only the udev rule, the user and the limits of
# doc/guide_unprivileged_and_pods.md. Usage: test_ordinary_user.sh BUILD, in the emulated machine
# (profile default or iommufd). Installs BUILD there, and runs the service as systemd would, because
# the machine has no systemd.
set -u
readonly BUILD=$1
readonly SUITE=ordinary_user UNIT=gantry-l2fwd
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wires.sh"
. "$(dirname "$0")/service.sh"
out=$(mktemp)

files_are_the_groups() # after udev has seen them
{
    local file
    # Only this rule is installed: other rules are not under test.
    mkdir -p /run/udev/rules.d
    cp /usr/local/lib/udev/rules.d/70-gantry.rules /run/udev/rules.d/
    /lib/systemd/systemd-udevd --daemon >"$out" 2>&1
    udevadm trigger --action=add --subsystem-match=vfio --subsystem-match=vfio-dev --subsystem-match=misc >>"$out" 2>&1
    udevadm settle >>"$out" 2>&1
    ls -l /dev/vfio /dev/vfio/devices /dev/iommu >>"$out" 2>&1
    for file in /dev/vfio/[0-9]* /dev/vfio/devices/vfio* /dev/iommu; do
        [ ! -e "$file" ] || [ "$(stat -c '%G %a' "$file")" = "gantry 660" ] || return 1
    done
    compgen -G '/dev/vfio/[0-9]*' >/dev/null || compgen -G '/dev/vfio/devices/vfio*' >/dev/null
}

packets_cross()
{
    wait_until 60 begins && comes_up && pings
}

judge "it is installed" install_all
judge "systemd finds no fault with the service" unit_holds
judge "sysusers makes the user" user_is_made
judge "udev gives the group its files" files_are_the_groups
judge "a NIC of the kernel at the other end of each wire" wires
cat >$CONF <<'END'
DEVICES="0000:01:00.0 0000:02:00.0"
OPTIONS="-l 0-1 -a vfio_pci:0000:01:00.0 -a vfio_pci:0000:02:00.0 -- -p 0x3 -T 0 -P --no-mac-updating"
END
backend=type1
[ "$GANTRY_RUNNER" != vm:iommufd ] || backend=iommufd
limit=$(numfmt --from=iec "$(of_service LimitMEMLOCK)")
as_service gantry "$limit" &
pid=$!
judge "packets cross" packets_cross
judge "it is an ordinary user without capabilities" runs_as gantry
judge "SIGTERM ends it well" ends_well default
judge "it was $backend, with both devices" grep -q "^container default: $backend, 1 domain, 2 groups, 2 devices" "$out"
judge "no hugepage is left" nothing_is_left

as_service gantry $((1 << 20))
judge "a limit that is too low is reported, with the value needed" refused $? "RLIMIT_MEMLOCK of [0-9]* KiB"
as_service nobody "$limit"
judge "a user without the group is told which file" refused $? "no permission for /dev/"
judge "no hugepage is left by those" nothing_is_left

rm -f "$out"
finish
