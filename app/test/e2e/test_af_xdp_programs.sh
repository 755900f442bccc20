#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests gantry-l2fwd over AF_XDP on this machine. Cases: it is killed and restarted under load, its
# netdev vanishes, another program holds its queues or file prefix.
# Usage: test_af_xdp_programs.sh BUILD, as root. Run by Meson.
set -u
readonly BUILD=$1
readonly SUITE=af_xdp_programs PREFIX=gantry-programs-$$
. "$(dirname "$0")/lib.sh"
WANTED_HUGEPAGES=32         # two programs run at once
. "$(dirname "$0")/../../../devtools/demo/lib-afxdp"
dir=$(mktemp -d)
out=$dir/out
readonly LOG=$dir/first     # output of the first program

clean_up()
{
    [ -z "${forwarder:-}" ] || kill -KILL "$forwarder" 2>/dev/null
    [ -z "${flood:-}" ] || kill -KILL $flood 2>/dev/null
    wait 2>/dev/null
    clear_wires
    rm -rf "$dir" "/var/run/dpdk/$PREFIX" "/var/run/dpdk/$PREFIX-2"
}

# Starts the first program in the background, and waits until it forwards.
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

# Starts a flood of pings, which lasts until end_flood.
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
    ! ip -n $MIDDLE link | grep -q xdp && leaves_no_hugepages
}

fails_at()
{
    { echo "failed: $*"; cat "$LOG"; } >"$out"
    return 1
}

killed_and_restarted()
{
    local round
    for round in 1 2 3; do
        start || fails_at "start $round" || return 1
        begin_flood || fails_at "packets cross, round $round" || return 1
        kill -KILL $forwarder
        wait $forwarder 2>/dev/null
        # Start at once on the same queues, while the kernel may still be freeing the former
        # sockets.
        start || fails_at "start after kill $round" || return 1
        end_flood
        all_cross || fails_at "all packets cross after kill $round" || return 1
        stops_well || fails_at "it ends well after kill $round" || return 1
    done
}

# Runs a second program with the arguments after $1. Succeeds if it ends with status 1 and one line
# of its own, its output has $1 once, and the first program goes on.
is_refused()
{
    local text=$1 status
    shift
    timeout 60 "${L2FWD[@]}" "$@" >"$out" 2>&1
    status=$?
    [ $status -eq 1 ] && [ "$(grep -c -e "$text" "$out")" -eq 1 ] && [ "$(grep -c '^gantry-l2fwd: ' "$out")" -eq 1 ] &&
        kill -0 $forwarder && all_cross
}

# Deletes the netdev under load. The program must report that in one line and end with status 0.
vanishes()
{
    begin_flood && ip -n $MIDDLE link del p0 || fails_at "packets cross" || return 1
    wait $forwarder || fails_at "it ends well" || return 1
    end_flood
    cp "$LOG" "$out"
    [ "$(grep -c '^net_gantry_af_xdp: net_gantry_af_xdp0: netdev p0 was removed' "$LOG")" -eq 1 ] &&
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
judge "killed under load and restarted at once on the same queues, three times" killed_and_restarted
judge "a program forwards" start
judge "its queues are refused to a second one" is_refused \
    '^net_gantry_af_xdp: net_gantry_af_xdp0: queue 0 of p0 is held by another AF_XDP socket: end the program' \
    --file-prefix $PREFIX-2 "${PORTS[@]}"
judge "its file prefix too" is_refused 'Is another primary process running?' --file-prefix $PREFIX "${PORTS[@]}"
judge "and it ends well" stops_well
judge "a third one forwards" start
judge "a netdev vanishes under traffic" vanishes
judge "nothing is left of all these" wait_until 60 is_clean
finish
