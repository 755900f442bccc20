#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests that the forwarding lcores of gantry-l2fwd make no system call and no allocator call while
# packets cross. Runs in the emulated machine (profile default), with the build folder as its
# argument.
#
# The guest's kernel counts, through tracefs. Each function of ALLOCATORS has a uprobe. Each probe,
# and raw_syscalls:sys_enter, has a histogram by thread id. A histogram loses no event, so the
# difference of two readings is what happened in between.
set -u

readonly BUILD=$1
HERE=$(cd "$(dirname "$0")" && pwd)
readonly HERE
. "$HERE/lib.sh"
. "$HERE/wires.sh"
readonly SUITE=datapath
# A traffic window: packets each way, and time-out in seconds.
readonly PACKETS=2000 LIMIT=120
readonly TRACING=/sys/kernel/tracing
readonly LOG=/tmp/l2fwd.log
readonly out=$LOG

# Functions that allocate, map or free memory or addresses, by library.
declare -A ALLOCATORS=(
    [libc]="malloc calloc realloc reallocarray free posix_memalign aligned_alloc valloc pvalloc mmap munmap mremap brk sbrk"
    [librte_eal]="rte_malloc rte_malloc_socket rte_zmalloc rte_zmalloc_socket rte_calloc rte_calloc_socket rte_realloc
        rte_realloc_socket rte_free rte_memzone_reserve rte_memzone_reserve_aligned rte_memzone_reserve_bounded
        rte_memzone_free"
    [libdmamap]="dmamap_map dmamap_unmap dmamap_map_sg dmamap_stream_map dmamap_stream_unmap
        dmamap_iova_reserve dmamap_iova_release dmamap_zone_alloc dmamap_zone_free
        dmamap_register dmamap_deregister dmamap_invalidate
        dm_map dm_unmap_range dm_mappings_unmap dm_register dm_registrations_reclaim dm_domain_map dm_domains_unmap
        dm_pin_plan dm_pin_populate dm_pin_free dm_iova_reserve dm_iova_reserve_fixed dm_iova_release
        dm_linear_reserve dm_linear_release dm_xlate_pool_alloc dm_xlate_pool_free"
)
readonly LIBS="libc librte_eal libdmamap"
declare -A path

# Prints the offset in ELF file $1 of the function at virtual address $2 (hexadecimal), which
# uprobe_events needs.
file_offset()
{
    local type offset va pa filesz rest
    while read -r type offset va pa filesz rest; do
        [ "$type" = LOAD ] && (($2 >= va && $2 < va + filesz)) && printf '0x%x\n' $(($2 - va + offset)) && return
    done < <(readelf -lW "$1")
    return 1
}

# Adds a histogram by thread to event $1 (GROUP/NAME). $2 adds keys or a condition.
count()
{
    echo "hist:keys=common_pid${2:-:size=8192}" >"$TRACING/events/$1/trigger"
}

# Adds a probe with a histogram to each function of library $1. A probe has the name of its
# function.
probe_library()
{
    local lib=$1 name va
    nm --defined-only "${path[$lib]}" >/tmp/symbols 2>/dev/null
    nm -D --defined-only "${path[$lib]}" | sed 's/@.*//' >>/tmp/symbols
    for name in ${ALLOCATORS[$lib]}; do
        va=0x$(awk -v name="$name" '$3 == name { print $1; exit }' /tmp/symbols)
        [ "$va" != 0x ] || { echo "  ${path[$lib]} has no $name"; return 1; }
        echo "p:$lib/$name ${path[$lib]}:$(file_offset "${path[$lib]}" "$va")" >>$TRACING/uprobe_events &&
            count "$lib/$name" && echo "${path[$lib]} $lib/$name $va" >>/tmp/probes || return 1
    done
}

probe_all()
{
    local lib
    for lib in $LIBS; do
        path[$lib]=$(ldd "${L2FWD[0]}" | awk -v lib="$lib.so." 'index($1, lib) == 1 { print $3 }')
        path[$lib]=$(realpath "${path[$lib]}") && probe_library "$lib" || return 1
    done
    # Only threads of these programs: each pair of thread and call needs a row of the histogram, and
    # rows are limited.
    count raw_syscalls/sys_enter ",id.syscall:size=8192 if comm ~ \"gantry*\" || comm ~ \"*worker*\"" || return 1
    seen="$(wc -l </tmp/probes) functions of $LIBS"
}

# Writes lines of EVENT THREAD COUNT to file $1, one for each row of each histogram. Fails if a
# histogram dropped events.
read_counts()
{
    awk '/^{ common_pid:/ {
        n = split(FILENAME, part, "/")
        event = part[n - 2] "/" part[n - 1]
        if (match($0, /sys_[a-z0-9_]+/))
            event = event ":" substr($0, RSTART, RLENGTH)
        print event, $3 + 0, $NF
    }
    /Dropped: [1-9]/ {
        print "  " FILENAME ": events dropped: histogram full" >"/dev/stderr"
        exit 1
    }' $TRACING/events/raw_syscalls/sys_enter/hist \
        $(sed "s|.* \(.*\) .*|$TRACING/events/\1/hist|" /tmp/probes) >"$1" && [ -s "$1" ]
}

# Prints EVENT COUNT for each event whose name begins with $3, of threads $4 (separated by blanks),
# between readings $1 and $2.
what()
{
    awk -v begin="$3" -v tids=" $4 " 'index($1, begin) == 1 && index(tids, " " $2 " ") {
        n[$1] += FNR == NR ? -$3 : $3
    }
    END { for (event in n) if (n[event] != 0) print event, n[event] }' "$1" "$2"
}

# Prints the sum of the counts of what().
how_many()
{
    what "$@" | awk '{ n += $2 } END { print n + 0 }'
}

# Calls each probed function with zeros, in a separate process, because the call may crash. Prints
# EVENT PID. A crash does not matter: the kernel counts at the entry of the function.
call_each()
{
    /usr/bin/python3 - 2>/tmp/complaints <<'END'
import ctypes, os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for line in open('/tmp/probes'):
    path, event, address = line.split()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        ctypes.CDLL(path)
        base = next(int(row.split('-')[0], 16) for row in open('/proc/self/maps') if row.split()[-1] == path)
        ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 6)(base + int(address, 16))(0, 0, 0, 0, 0, 0)
        os._exit(0)
    os.waitpid(child, 0)
    print(event, child)
END
}

every_probe_fires()
{
    local event tid n=0 rc=0
    read_counts /tmp/before && call_each >/tmp/called && read_counts /tmp/after || { sed 's/^/  | /' /tmp/complaints; return 1; }
    while read -r event tid; do
        what /tmp/before /tmp/after "$event" "$tid" | grep -q "^$event [1-9]" || { echo "  $event did not fire"; rc=1; }
        n=$((n + 1))
    done </tmp/called
    seen="$n of $(wc -l </tmp/probes) were tried"
    [ $rc -eq 0 ] && [ $n -eq "$(wc -l </tmp/probes)" ]
}

# Prints the number of packets that the NIC in namespace $1 received. All of them came through
# l2fwd.
received()
{
    ip netns exec "$1" cat /sys/class/net/eth0/statistics/rx_packets
}

# Starts l2fwd with two lcores that poll one port each: the main lcore from left to right, the other
# one back. $1: seconds between tables.
start_l2fwd()
{
    local task
    : >$LOG
    "${L2FWD[0]}" -l 0,1 --no-pci --huge-unlink --file-prefix datapath -d /run/gantry-build/drivers \
        -a vfio_pci:$LEFT_PORT -a vfio_pci:$RIGHT_PORT -- -p 0x3 -q 1 -P -T "$1" --no-mac-updating >$LOG 2>&1 &
    forwarder=$!
    worker=
    wait_until 60 forwards && kill -0 $forwarder && comes_up || return 1
    for task in /proc/$forwarder/task/*; do
        grep -q worker "$task"/comm && worker=${task##*/}
    done
    seen="threads $forwarder and $worker"
    [ -n "$worker" ]
}

# Whether PACKETS packets crossed each way and the given command succeeds.
enough_packets()
{
    to_right=$(($(received right) - right_before)) to_left=$(($(received left) - left_before))
    [ $to_right -ge $PACKETS ] && [ $to_left -ge $PACKETS ] && "$@"
}

# Writes readings $1.begin and $1.end, with enough_packets in between.
traffic_window()
{
    local window=$1 flood rc
    shift
    ip netns exec left ping -q -n -f -l 16 $RIGHT_IP >/dev/null &
    flood=$!
    read_counts "$window.begin" && right_before=$(received right) && left_before=$(received left) &&
        wait_until $LIMIT enough_packets "$@" && read_counts "$window.end"
    rc=$?
    kill $flood
    wait $flood
    seen="$to_right packets from left to right, $to_left back"
    return $rc
}

stop_l2fwd()
{
    kill -INT $forwarder && wait $forwarder && read_counts "$1"
}

# Counts the calls of threads $3 between readings $1 and $2. Sets n[] by kind, and seen.
tally()
{
    local kind
    declare -gA n
    for kind in raw_syscalls $LIBS; do
        n[$kind]=$(how_many "$1" "$2" "$kind/" "$3")
    done
    seen="${n[raw_syscalls]} system calls; allocator calls: ${n[libc]} in libc"
    seen+=", ${n[librte_eal]} in librte_eal, ${n[libdmamap]} in libdmamap"
}

# Whether between readings $1 and $2 the main lcore made calls of each kind, and the other lcore
# system calls.
calls_are_seen()
{
    local worker_calls
    worker_calls=$(how_many "$1" "$2" raw_syscalls/ "$worker")
    tally "$1" "$2" $forwarder
    seen="main lcore $seen; other lcore $worker_calls system calls"
    ((n[raw_syscalls] > 0 && n[libc] > 0 && n[librte_eal] > 0 && n[libdmamap] > 0 && worker_calls > 0))
}

# Whether the lcores made no system call in window $1.
no_system_call()
{
    tally "$1.begin" "$1.end" "$forwarder $worker"
    seen=${n[raw_syscalls]}
    what "$1.begin" "$1.end" raw_syscalls/ "$forwarder $worker" | sed 's/^/  /'
    [ "$seen" -eq 0 ]
}

no_allocator_call()
{
    tally "$1.begin" "$1.end" "$forwarder $worker"
    seen="$((n[libc] + n[librte_eal] + n[libdmamap])) (${seen##*: })"
    what "$1.begin" "$1.end" lib "$forwarder $worker" | sed 's/^/  /'
    ((n[libc] + n[librte_eal] + n[libdmamap] == 0))
}

has_table()
{
    [ "$(grep -c '^statistics' $LOG)" -gt "$tables_before" ]
}

tables_are_seen()
{
    tally "$1.begin" "$1.end" "$forwarder $worker"
    [ "${n[raw_syscalls]}" -gt 0 ]
}

main()
{
    mkdir -p /run/gantry-build /var/run/dpdk
    mountpoint -q /run/gantry-build || mount --bind "$BUILD" /run/gantry-build || exit 1
    if ldd "${L2FWD[0]}" | grep -Eq 'lib[a-z]+san\.so'; then
        echo "skipped datapath: sanitizers replace the allocator and make system calls"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
    cd /tmp && : >$LOG || exit 1
    judge "allocators are probed" probe_all
    judge "each probe counts a call of its function" every_probe_fires
    judge "a namespace for each end" wires
    [ $failed -eq 0 ] || finish

    read_counts idle
    judge "l2fwd forwards by two lcores" start_l2fwd 0
    [ $failed -eq 0 ] || finish
    judge "packets cross" traffic_window steady true
    judge "what the start calls is counted" calls_are_seen idle steady.begin
    judge "system calls of the forwarding lcores meanwhile" no_system_call steady
    judge "allocator calls of the forwarding lcores meanwhile" no_allocator_call steady
    judge "l2fwd ends well" stop_l2fwd stopped
    judge "what the end calls is counted" calls_are_seen steady.end stopped

    judge "l2fwd forwards, with a table each second" start_l2fwd 1
    [ -n "$worker" ] || finish
    tables_before=$(grep -c '^statistics' $LOG)
    judge "packets cross, until there is a table more" traffic_window talking has_table
    judge "what a table calls amid the traffic is counted" tables_are_seen talking
    judge "l2fwd ends well again" stop_l2fwd stopped
    finish
}

main
