#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests the error messages of gantry-l2fwd for mistakes of its user, and that a killed program
# leaves nothing. Runs in the emulated machine, with the build folder as its argument. The cases
# depend on the profile (default, shared-group or noiommu).
set -u

readonly BUILD=$1
readonly PORT=0000:01:00.0 OTHER_PORT=0000:02:00.0              # assigned
readonly HUGEPAGES=/sys/kernel/mm/hugepages/hugepages-2048kB
readonly LOG=/tmp/l2fwd.log
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wires.sh"

# Runs the command after $1, and prints $1 as passed or failed. In this script a failure does not
# end the tests.
must()
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok      bad_input_programs: $name"
    else
        failed=$((failed + 1))
        echo "FAILED  bad_input_programs: $name"
    fi
}

l2fwd()
{
    timeout 60 /run/gantry-build/examples/l2fwd/gantry-l2fwd -l 1 --no-pci --huge-unlink --file-prefix "$prefix" \
        -d /run/gantry-build/drivers "$@"
}
prefix=bad

# Runs l2fwd with the arguments after $1. Succeeds if it ends with status 1, exactly one line
# matches $1, and no hugepage is leaked.
refuses()
{
    local pattern=$1 status free=$(free_hugepages)
    shift
    l2fwd "$@" >$LOG 2>&1
    status=$?
    [ $status -eq 1 ] && [ "$(grep -c -e "$pattern" $LOG)" -eq 1 ] && grep -q '^gantry-l2fwd: ' $LOG &&
        [ "$(free_hugepages)" -eq "$free" ] && [ -z "$(ls /dev/hugepages 2>/dev/null)" ] && return
    echo "  wanted status 1 and one line '$pattern', got $status; $free hugepages were free, $(free_hugepages) are now; output:"
    sed 's/^/  | /' $LOG
    return 1
}

# Starts l2fwd in the background and waits until it forwards; its process id is $forwarder.
start()
{
    : >$LOG
    /run/gantry-build/examples/l2fwd/gantry-l2fwd -l 1 --no-pci --huge-unlink --file-prefix running \
        -d /run/gantry-build/drivers "$@" >$LOG 2>&1 &
    forwarder=$!
    wait_until 60 forwards && kill -0 $forwarder && return
    sed 's/^/  | /' $LOG
    return 1
}

stops_well()
{
    kill -INT $forwarder
    wait $forwarder
}

# Kills l2fwd under load. Its resources must be free, and the next start must forward.
killed_in_mid_traffic()
{
    local free=$(free_hugepages) round flood
    local both=(-a vfio_pci:$PORT -a vfio_pci:$OTHER_PORT -- -p 0x3 -q 2 -P -T 0 --no-mac-updating)
    for round in 1 2; do
        start "${both[@]}" && wait_until 60 crosses || return 1
        ip netns exec left ping -q -n -f $RIGHT_IP >/dev/null &
        flood=$!
        wait_until 60 crosses || echo "  nothing crosses beside the flood"
        kill -KILL $forwarder
        wait $forwarder 2>/dev/null
        kill $flood
        [ "$(free_hugepages)" -eq "$free" ] || { echo "  $free hugepages were free, $(free_hugepages) are"; return 1; }
        ! crosses || { echo "  packets still cross"; return 1; }
    done
    start "${both[@]}" && wait_until 60 crosses && stops_well && [ "$(free_hugepages)" -eq "$free" ]
}

# Runs the command after $1 with $1 hugepages.
with_hugepages()
{
    local n=$1 before rc
    shift
    before=$(cat $HUGEPAGES/nr_hugepages)
    echo "$n" >$HUGEPAGES/nr_hugepages
    "$@"
    rc=$?
    echo "$before" >$HUGEPAGES/nr_hugepages
    return $rc
}

# Runs a function of this script with RLIMIT_MEMLOCK of 1 MiB and without CAP_IPC_LOCK.
with_low_memlock()
{
    (ulimit -l 1024 && exec setpriv --bounding-set=-ipc_lock bash "$0" "$BUILD" only "$@")
}

busy()
{
    local rc
    start -a vfio_pci:$PORT -- -p 1 -T 0 || return 1
    refuses "^dmamap: $PORT: its group [0-9]* is in use by another process" -a vfio_pci:$PORT -- -p 1
    rc=$?
    grep -q 'vfio_pci' /proc/$forwarder/maps && kill -INT $forwarder && wait $forwarder && return $rc
}

any_machine()
{
    must "no such device" refuses '^vfio_pci: 0000:7f:1f.7: no such device: see lspci -D' -a vfio_pci:0000:7f:1f.7 -- -p 1
    must "no address" refuses 'failed to parse device "vfio_pci:eth0"' -a vfio_pci:eth0 -- -p 1
    must "no options" refuses '^gantry-l2fwd: the program.s options come after "--"' -a vfio_pci:$PORT
    must "no port mask" refuses '^gantry-l2fwd: .*-p' -- -T 1
}

default_machine()
{
    must "held by a driver of the host" refuses \
        "^dmamap: $LEFT_NIC: held by driver e1000e; bind it: gantry-bind vfio-pci $LEFT_NIC" \
        -a vfio_pci:$LEFT_NIC -- -p 1
    must "an unknown argument" refuses "^vfio_pci: $PORT: .*\"containers\"" -a vfio_pci:$PORT,containers=x -- -p 1
    must "a wrong value" refuses "^vfio_pci: $PORT: invalid argument isolate=2: " -a vfio_pci:$PORT,isolate=2 -- -p 1
    must "a port that is not there" refuses '^gantry-l2fwd: -p 0x3: there is no port 1' -a vfio_pci:$PORT -- -p 3
    must "group busy" busy
    must "too few hugepages" with_hugepages 4 refuses \
        '^dmamap: .*: needs [0-9]* pages of 2 MiB, [0-3] are free: echo [0-9]* > /sys' -a vfio_pci:$PORT -- -p 1
    must "no hugepages" with_hugepages 0 refuses 'No free 2048 kB hugepages' -a vfio_pci:$PORT -- -p 1
    must "RLIMIT_MEMLOCK too low" with_low_memlock refuses \
        '^dmamap: .*: locking [0-9]* KiB needs RLIMIT_MEMLOCK of [0-9]* KiB, it is 1024 KiB' -a vfio_pci:$PORT -- -p 1

    wires
    must "killed in mid-traffic, twice; then a new start" killed_in_mid_traffic
}

mkdir -p /run/gantry-build /var/run/dpdk
mountpoint -q /run/gantry-build || mount --bind "$BUILD" /run/gantry-build || exit 1
if [ "${2:-}" = only ]; then
    shift 2
    "$@"
    exit
fi

any_machine
case $GANTRY_RUNNER in
vm:default) default_machine ;;
vm:shared-group)
    must "group not viable" refuses "^dmamap: $PORT: its group [0-9]* is not viable.*0000:01:00.1 .*e1000e" -a vfio_pci:$PORT -- -p 1
    ;;
vm:noiommu) must "no IOMMU" refuses "^dmamap: $PORT: no IOMMU is on: .*intel_iommu=on" -a vfio_pci:$PORT -- -p 1 ;;
esac
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
