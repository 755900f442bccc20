#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What does a user of gantry-l2fwd see over AF_XDP, on this very machine, when it is killed, its netdev vanishes under traffic, or
# another program is in its way? test_af_xdp_programs.sh BUILD; needs root.
set -u
readonly BUILD=$1
readonly SUITE=af_xdp_programs PREFIX=gantry-programs-$$
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../../config/demo/lib-afxdp"
dir=$(mktemp -d)
out=$dir/out
readonly LOG=$dir/first     # what the first program says

clean_up()
{
    [ -z "${forwarder:-}" ] || kill -KILL "$forwarder" 2>/dev/null
    [ -z "${flood:-}" ] || kill -KILL $flood 2>/dev/null
    wait 2>/dev/null
    clear_wires
    rm -rf "$dir" "/var/run/dpdk/$PREFIX" "/var/run/dpdk/$PREFIX-2"
}

# The first program: in the background, until it forwards.
start()
{
    : >"$LOG"
    "${L2FWD[@]}" --file-prefix $PREFIX "${PORTS[@]}" >"$LOG" 2>&1 &
    forwarder=$!
    wait_until 60 forwards && kill -0 $forwarder
}

stops_well()
{
    kill -INT $forwarder
    wait $forwarder && grep -q '^final statistics' "$LOG"
}

# Many packets are on their way all the time from now on, until this is killed.
begin_flood()
{
    ip netns exec $LEFT ping -q -n -f -l 16 $RIGHT_IP >/dev/null 2>&1 &
    flood=$!
    wait_until 60 crosses
}

end_flood()
{
    kill -KILL $flood 2>/dev/null
    wait $flood 2>/dev/null
    flood=
}

is_clean()
{
    ! ip -n $MIDDLE link | grep -q xdp && [ "$(free_hugepages)" -eq "$free" ]
}

fails_at()
{
    { echo "not so: $*"; cat "$LOG"; } >"$out"
    return 1
}

killed_and_started_anew()
{
    local round
    for round in 1 2 3; do
        start || fails_at "start $round" || return 1
        begin_flood || fails_at "packets cross, round $round" || return 1
        kill -KILL $forwarder
        wait $forwarder 2>/dev/null
        # At once, on the same queues; what the kernel has still to free must not be in the way.
        start || fails_at "start after kill $round" || return 1
        end_flood
        all_cross || fails_at "all packets cross after kill $round" || return 1
        stops_well || fails_at "it ends well after kill $round" || return 1
    done
}

# With these arguments a second program ends with status 1 and says so in one line; in all, $1 is said once. The first goes on.
is_refused()
{
    local text=$1 status
    shift
    timeout 60 "${L2FWD[@]}" "$@" >"$out" 2>&1
    status=$?
    [ $status -eq 1 ] && [ "$(grep -c -e "$text" "$out")" -eq 1 ] && [ "$(grep -c '^gantry-l2fwd: ' "$out")" -eq 1 ] &&
        kill -0 $forwarder && all_cross
}

# The netdev goes while packets come: the program says it in a line, and ends in order.
vanishes()
{
    begin_flood && ip -n $MIDDLE link del p0 || fails_at "packets cross" || return 1
    wait $forwarder || fails_at "it ends well" || return 1
    end_flood
    cp "$LOG" "$out"
    [ "$(grep -c '^net_gantry_af_xdp: net_gantry_af_xdp0: netdev p0 has vanished' "$LOG")" -eq 1 ] &&
        [ "$(grep -c '^gantry-l2fwd: port 0 is being removed, so forwarding ends' "$LOG")" -eq 1 ] &&
        grep -q '^final statistics' "$LOG"
}

look_around
if ldd "$BUILD/drivers/libgantry_net_af_xdp.so" | grep -q libtsan; then
    echo "skipped $SUITE: forwarding under the thread sanitizer takes minutes"
    finish 1
fi
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
lay_wires >"$out"
judge "killed in mid-traffic, and started anew at once on the same queues, three times" killed_and_started_anew
free=$(free_hugepages)
judge "a program forwards" start
judge "its queues are refused to a second one" is_refused \
    '^net_gantry_af_xdp: net_gantry_af_xdp0: queue 0 of p0 is held by another AF_XDP socket; end the program' \
    --file-prefix $PREFIX-2 "${PORTS[@]}"
judge "its file prefix too" is_refused 'Is another primary process running?' --file-prefix $PREFIX "${PORTS[@]}"
judge "and it ends well" stops_well
judge "a third one forwards" start
judge "a netdev vanishes under traffic" vanishes
judge "nothing is left of all these" wait_until 60 is_clean
finish
