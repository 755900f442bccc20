#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests that an ordinary user can forward over AF_XDP, with only the capabilities and the limit of
# the service of doc/guide_unprivileged_and_pods.md. Usage: test_ordinary_user_afxdp.sh BUILD, in the
# emulated machine, between veth pairs. Installs BUILD there.
set -u
readonly BUILD=$1
readonly SUITE=ordinary_user_afxdp UNIT=gantry-l2fwd-afxdp
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../../../devtools/demo/lib-afxdp"
readonly NETNS=$MIDDLE
. "$(dirname "$0")/service.sh"
out=$(mktemp)

packets_cross()
{
    wait_until 60 begins && all_cross
}

nothing_is_attached()
{
    nothing_is_left && ! ip -n $MIDDLE link | grep -q xdp
}

look_around
judge "it is installed" install_all
judge "systemd finds no fault with the service" unit_holds
judge "sysusers makes the user" user_is_made
lay_wires
cat >$CONF <<'END'
OPTIONS="-l 0-1 --vdev=net_gantry_af_xdp0,iface=p0 --vdev=net_gantry_af_xdp1,iface=p1 -- -p 0x3 -T 0 -P --no-mac-updating"
END
limit=$(numfmt --from=iec "$(of_service LimitMEMLOCK)")
as_service gantry "$limit" &
pid=$!
judge "packets cross" packets_cross
judge "it is an ordinary user with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF" runs_as gantry 8000003000
judge "SIGTERM ends it well" ends_well af_xdp
judge "no hugepage is left, and no program on a netdev" nothing_is_attached

as_service gantry $((1 << 20))
judge "a limit too low is said" refused $? "bytes of pool l2fwd exceed RLIMIT_MEMLOCK: raise it"
sed -i 's/^AmbientCapabilities=.*/AmbientCapabilities=CAP_NET_RAW/' "$service"
as_service gantry "$limit"
judge "missing capabilities are named" refused $? "run as root, or with CAP_BPF and CAP_NET_ADMIN"
judge "no hugepage is left by those" nothing_is_attached

clear_wires
rm -f "$out"
finish
