#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests gantry-l2fwd: forwarding, ending, refused options, restart and move of ports. Run by Meson.
#   test_l2fwd.sh PROGRAM           on any host, with ports that need no device (net_null)
#   test_l2fwd.sh PROGRAM PLUGINS   in the emulated machine (default or iommufd), with assigned NICs
set -u
readonly PROGRAM=$1 PLUGINS=${2:-}
readonly EAL="--no-pci --no-telemetry"
HERE=$(cd "$(dirname "$0")" && pwd)
readonly HERE
. "$HERE/lib.sh"
. "$HERE/wires.sh"
readonly SUITE=l2fwd
out=$(mktemp)
trap 'rm -f "$out"' EXIT

one_line() # status, text: whether the status is 1, and the program printed one line, with the text
{
    [ "$1" -eq 1 ] && [ "$(grep -c '^gantry-l2fwd: ' "$out")" -eq 1 ] && grep -q "^gantry-l2fwd: .*$2" "$out"
}

refused() # name, text, arguments
{
    local name=$1 text=$2
    shift 2
    timeout 60 "$PROGRAM" "$@" >"$out" 2>&1
    judge "$name" one_line $? "$text"
}

wait_for() # a condition, while the program runs
{
    for _ in $(seq 600); do
        "$@" && return 0
        kill -0 $pid 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

forwarded_by() # number of ports that received and sent packets, by the tables in the output
{
    [ "$(awk '/net_null/ && $3 > 0 && $4 > 0 {print $1}' "$out" | sort -u | wc -l)" -eq "$1" ]
}

stopped() # signal: whether the program ends with status 0
{
    kill -"$1" $pid
    wait $pid
}

ends_while_polled() # prefix, signal: whether the program ends with status 0 while pollers read its ports
{
    local polled
    polled=$(mktemp)
    "$HERE/l2fwd_poll.py" "$1" 4 >"$polled" 2>&1 &
    local pollers=$!
    wait_for grep -q polling "$polled"
    sleep 0.2
    stopped "$2"
    local rc=$?
    wait $pollers || rc=1
    [ $rc -eq 0 ] || cat "$polled"
    rm -f "$polled"
    return $rc
}

ethdev_is_guarded() # whether the dynamic linker gives ethdev the program's function to register commands
{
    LD_DEBUG=bindings "$PROGRAM" --help 2>&1 |
        grep -q "librte_ethdev[^ ]* .* to [^ ]*l2fwd .*rte_telemetry_register_cmd"
}

# Telemetry is on, and each port is read all the time.
polled_on_host()
{
    local null="--no-pci --no-huge -m 128 -l 0 --vdev=net_null0 --vdev=net_null1" prefix=l2fwd$$ round

    judge "ethdev's telemetry takes the ports' lock" ethdev_is_guarded
    for round in 1 2 3; do
        : >"$out" # before the program starts: wait_for shall not find a line of the last one
        "$PROGRAM" $null --file-prefix=$prefix -- -p 3 -q 2 -T 0 >"$out" 2>&1 &
        pid=$!
        wait_for grep -q "forwarding; stop" "$out"
        judge "ports restart while telemetry reads them, round $round" \
            "$HERE/l2fwd_poll.py" $prefix 4 /l2fwd/restart,0 /l2fwd/restart,1 /l2fwd/restart,0 /l2fwd/restart,1
        judge "it ends well while telemetry reads its ports, round $round" ends_while_polled $prefix TERM
    done
    rm -rf "/var/run/dpdk/$prefix"
}

on_host()
{
    local null="$EAL --no-huge --no-shconf -m 128 -l 0 --vdev=net_null0 --vdev=net_null1"

    "$PROGRAM" $null -- -p 3 -q 2 -T 1 >"$out" 2>&1 &
    pid=$!
    judge "both ports forward" wait_for forwarded_by 2
    judge "a signal ends it well" stopped INT
    judge "with a table, in which both received" awk '/^final/ {f = 1} f && /net_null/ && $3 > 0 && $4 > 0 {n++} END {exit n != 2}' "$out"
    refused "no options" 'come after "--"' $EAL
    refused "no mask" "no ports given" $null --
    refused "a mask of nothing" "-p 0" $null -- -p 0
    refused "a port that is not there" "there is no port 2" $null -- -p 7 -q 3
    refused "too few lcores" "need 2 lcores" $null -- -p 3
    refused "a port in no pair" "is in no pair" $null -- -p 3 -q 2 "--portmap=(0,0)"
    refused "half a pair" "is not of the form" $null -- -p 3 -q 2 "--portmap=(0,1"
    refused "no ports at all" "there is no Ethernet port" $EAL --no-huge --no-shconf -m 128 -l 0 -- -p 1
    polled_on_host
}

start() # device arguments for each port, the program's options
{
    : >"$out"
    LD_LIBRARY_PATH=$PLUGINS "$PROGRAM" -d libgantry_bus_vfio_pci.so -d libgantry_net_e1000e.so --no-pci -l 0-1 \
        -a "vfio_pci:0000:01:00.0$1" -a "vfio_pci:0000:02:00.0$2" -- -p 3 -T 0 -P ${3:---no-mac-updating} >"$out" 2>&1 &
    pid=$!
    wait_for grep -q "forwarding" "$out"
}

tells() # telemetry command, text that its answer must contain
{
    echo "$1" | dpdk-telemetry.py | tee -a "$out" | grep -q "$2"
}

ask() # a telemetry command
{
    echo "$1" | dpdk-telemetry.py >"$answer"
}

restarted() # port
{
    ask "/l2fwd/restart,$1" && grep -q "\"port\": $1" "$answer"
}

not_restarted() # parameters, text of the error
{
    ask "/l2fwd/restart$1" && grep -q "\"error\": \".*$2" "$answer"
}

moved() # port, container
{
    ask "/l2fwd/move,$1,$2" && grep -q "\"port\": $1, \"container\": \"$2\"" "$answer"
}

not_moved() # parameters, text of the error
{
    ask "/l2fwd/move$1" && grep -q "\"error\": \".*$2" "$answer"
}

is_in() # port, container
{
    ask /l2fwd/ports && python3 -c "
import json, sys
sys.exit(json.load(open('$answer'))['/l2fwd/ports']['$1']['container'] != '$2')"
}

says() # text after "container" in the output of the program
{
    grep -q "^container $1" "$out"
}

two_domains()
{
    judge "a NIC in each of two domains of a container" start ",container=pair,isolate=1" ",container=pair,isolate=1"
    comes_up
    judge "packets cross from domain to domain" pings
    judge "it ends well" stopped TERM
    judge "there were two domains" says "pair: $1, 2 domains, 2 groups, 2 devices"
}

moves()
{
    answer=$(mktemp)
    judge "two NICs in a container" start "" ""
    comes_up
    judge "packets cross before a move" pings
    judge "a port moves to another container" moved 1 b
    judge "it says that it is there" is_in 1 b
    judge "the other says that it stayed" is_in 0 default
    comes_up
    judge "packets cross from container to container" pings
    judge "and back" moved 1 default
    judge "it says that it is back" is_in 1 default
    comes_up
    judge "packets cross after a move" pings
    judge "a port restarts" restarted 1
    comes_up
    judge "packets cross after that" pings
    judge "no port to start anew" not_restarted ",7" "port 7 is not forwarding"
    judge "no number of a port" not_restarted ",1,b" "expected a port"
    judge "no port" not_moved ",7,b" "port 7 is not forwarding"
    judge "no container" not_moved "" "expected a port and a container"
    judge "no name" not_moved ",1,a=b" "invalid container name"
    judge "where it is" not_moved ",1,default" "is in container default already"
    judge "the first port moves too" moved 0 b
    judge "the last port stays in the container with the packet buffers" not_moved ",1,b" "holds the packet buffers"
    comes_up
    judge "packets still cross" pings
    judge "it ends well in two containers" stopped TERM
    judge "one was the first port's" says "b: $1, 1 domain, 1 group, 1 device"
    judge "the other the second's" says "default: $1, 1 domain, 1 group, 1 device"

    ip netns exec left ip link set eth0 promisc on
    judge "each port for itself" start "" "" "--portmap=(0,0),(1,1)"
    judge "one forwards while the other moves, there and back" eval \
        'ip netns exec left "$HERE/l2fwd_reflect.py" eth0 /l2fwd/move,1,b /l2fwd/move,1,default >"$answer" 2>&1'
    cat "$answer"
    judge "it ends well after both moves" stopped TERM
    judge "both are where they were" says "default: $1, 1 domain, 2 groups, 2 devices"

    judge "two NICs again" start "" ""
    judge "a port moves while telemetry reads it" "$HERE/l2fwd_poll.py" rte 4 \
        $(printf '/l2fwd/move,1,%s ' b default b default b default) /l2fwd/restart,1 /l2fwd/ports
    judge "a move logs no error" eval '! grep -q "Invalid port_id" "$out"'
    comes_up
    judge "packets cross after that" pings
    judge "it ends well while telemetry reads its ports" ends_while_polled rte TERM
    judge "both are where they were" says "default: $1, 1 domain, 2 groups, 2 devices"
    rm -f "$answer"
}

on_iommufd()
{
    judge "two NICs in an address space of iommufd" start "" ""
    comes_up
    judge "packets cross" pings
    judge "it ends well" stopped TERM
    judge "there was one" says "default: iommufd, 1 domain, 2 groups, 2 devices"
    two_domains iommufd
    moves iommufd
}

in_machine()
{
    judge "a NIC of the kernel at the other end of each wire" wires
    if [ "$GANTRY_RUNNER" = vm:iommufd ]; then
        on_iommufd
        return
    fi
    judge "two NICs in a container" start "" ""
    comes_up
    judge "packets cross" pings
    judge "telemetry tells of the container" tells /dmamap/container,default '"backend": "type1", "domains": 1'
    judge "telemetry tells whose the memory is" tells /dmamap/owners '"owner": "pool '
    judge "telemetry tells where the memory is" tells /dmamap/memory '"node0": {"hugetlb_2MiB": '
    ip netns exec left ping -f -q $RIGHT_IP >/dev/null 2>&1 &
    local flood=$!
    sleep 1
    kill -KILL $pid
    wait $pid 2>/dev/null
    judge "it starts again after SIGKILL in traffic" start "" ""
    kill $flood
    judge "packets cross again" pings
    judge "SIGTERM ends it well" stopped TERM
    judge "the table and the container are shown" grep -q "^container default: type1, 1 domain, 2 groups, 2 devices" "$out"

    judge "a NIC in each of two containers" start ",container=a" ",container=b"
    judge "packets cross from container to container" pings
    judge "SIGINT ends it well" stopped INT
    judge "both containers are shown" awk '/^container a: type1/ {a = 1} /^container b: type1/ {b = 1} END {exit !(a && b)}' "$out"
    two_domains type1
    moves type1
}

if [ -z "$PLUGINS" ]; then
    on_host
else
    in_machine
fi
finish
