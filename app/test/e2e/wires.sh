# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Network set-up and pings for test scripts in the emulated machine, where l2fwd forwards between
# two wires. Sourced after lib.sh.

. "$(dirname "${BASH_SOURCE[0]}")/../../../devtools/demo/lib-machine"

# Moves the NICs of the kernel into the namespaces left and right.
wires()
{
    make_side left $LEFT_NIC $LEFT_IP && make_side right $RIGHT_NIC $RIGHT_IP
}

crosses()
{
    ip netns exec left ping -q -n -c 1 -W 1 $RIGHT_IP >/dev/null
}

# Waits for the links, which come up some time after the ports start.
comes_up()
{
    wait_until 30 crosses
}

pings()
{
    pings_at_once left $RIGHT_IP 20 | grep -q " 0% packet loss"
}
