# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# How do the test scripts see packets cross in the emulated machine? Wires, and pings over them. To be sourced after lib.sh.

. "$(dirname "${BASH_SOURCE[0]}")/../../config/demo/lib-machine"

# The kernel's NICs, each in a namespace: left and right.
wires()
{
    make_side left $LEFT_NIC $LEFT_IP && make_side right $RIGHT_NIC $RIGHT_IP
}

crosses()
{
    ip netns exec left ping -q -n -c 1 -W 1 $RIGHT_IP >/dev/null
}

# After a port was started, its link takes a while.
comes_up()
{
    wait_until 30 crosses
}

pings()
{
    pings_at_once left $RIGHT_IP 20 | grep -q " 0% packet loss"
}
