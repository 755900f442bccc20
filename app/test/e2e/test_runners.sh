#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests the runners (devtools/vm/run, devtools/local/run) and gantry-bind: exit status, output, and
# that devices return to their drivers. Boots the emulated machine. There it runs with the
# argument "guest", and the local runner uses NICs of the kernel.
set -u

readonly TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
readonly BIND=$TREE/usertools/gantry-bind LOCAL=$TREE/devtools/local/run VM=$TREE/devtools/vm/run
readonly BORROWED=0000:03:00.0 OTHER=0000:04:00.0 ASSIGNED=0000:01:00.0
. "$TREE/app/test/e2e/lib.sh"
readonly SUITE=runners
folder=$(mktemp -d)
out=$folder/said
: >"$out"
trap 'rm -rf "$folder"' EXIT

# Runs the command after $2. Succeeds if its exit status is $1 and its output matches $2.
answers()
{
    local want=$1 pattern=$2 status
    shift 2
    "$@" >"$out" 2>&1
    status=$?
    [ $status -eq "$want" ] && grep -q -e "$pattern" "$out" && return
    echo "wanted: status $want and '$pattern'; got: status $status" >>"$out"
    return 1
}

held_by()
{
    answers 0 "driver $1," "$BIND" status "$2"
}

# Ends the local runner with signal $1 while its command runs. Succeeds if the device is bound to
# its former driver again.
gives_back_after()
{
    local runner
    "$LOCAL" --devices $BORROWED -- sleep 1000 &
    runner=$!
    while ! held_by vfio-pci $BORROWED >/dev/null || ! pidof sleep >/dev/null; do
        kill -0 $runner || return 1
    done
    kill -"$1" $runner
    wait $runner
    [ $? -gt 128 ] && held_by e1000e $BORROWED && ! pidof sleep
}

gives_files()
{
    "$LOCAL" --devices $BORROWED --out "$folder/o" -- sh -c 'echo x >"$GANTRY_OUT"/f' >"$out" 2>&1 && [ -s "$folder/o/f" ]
}

# $1 is a file in /tmp of the host. Succeeds if the guest does not see it.
hides()
{
    [ -n "$1" ] && [ ! -e "$1" ]
}

# Runs a command in the machine: it says "began" and $1 on the console, then the kernel panics.
panic()
{
    "$VM" -- bash -c 'echo began; echo "<0>$0" >/dev/kmsg; echo c >/proc/sysrq-trigger; sleep 100' "$1" >"$out" 2>&1
    [ $? -eq 125 ]
}

fault_repeats()
{
    panic "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI" && [ "$(grep -c '^began$' "$out")" -eq 2 ] &&
        [ "$(grep -c 'running the command again' "$out")" -eq 1 ] &&
        grep -q '^gantry-vm: the emulator ran a breakpoint' "$out"
}

panics_once()
{
    panic "Oops: 0000 [#1] PREEMPT SMP NOPTI" && [ "$(grep -c '^began$' "$out")" -eq 1 ] &&
        grep -q '^gantry-vm: the machine ended before its commands did$' "$out"
}

guest_part()
{
    local dev

    judge "of the host's /tmp only paths that the command names are visible" hides "$HIDDEN"
    judge "the assigned device is bound to vfio-pci" held_by vfio-pci $ASSIGNED
    judge "GANTRY_DEVICES has the devices" [ "${GANTRY_DEVICES%% *}" = $ASSIGNED ]

    judge "bind: no such device" answers 1 '0000:77:00.0: no such PCI device' "$BIND" vfio-pci 77:00.0
    judge "bind: no such driver" answers 1 'there is no driver nonesuch' "$BIND" nonesuch $BORROWED
    judge "bind: after a failed bind the device has its former driver" \
        answers 1 'bind to e1000e failed.*driver now: vfio-pci' "$BIND" e1000e 0000:00:10.0
    judge "bind: to another driver" "$BIND" -q e1000e $ASSIGNED
    judge "bind: status shows that driver" held_by e1000e $ASSIGNED
    judge "bind: default binds the kernel's driver" answers 0 'driver now: e1000e' "$BIND" default $ASSIGNED

    judge "local: the status of the command" \
        answers 7 "^0000:03:00.0 local$" "$LOCAL" --devices 03:00.0 -- sh -c 'echo $GANTRY_DEVICES $GANTRY_RUNNER; exit 7'
    judge "local: the device is back" held_by e1000e $BORROWED
    judge "local: files come to --out" gives_files
    judge "local: a time-out" answers 124 'was stopped after 1.0 s' "$LOCAL" --timeout 1 --devices $BORROWED -- sleep 1000
    judge "local: with one bad device none stays bound to vfio-pci" answers 125 'no such PCI device' "$LOCAL" --devices $BORROWED,09:00.0 -- true
    judge "local: given back after SIGTERM" gives_back_after TERM
    judge "local: given back after SIGHUP" gives_back_after HUP
    dev=$(ls /sys/bus/pci/devices/$OTHER/net)
    ip link set "$dev" up
    judge "local: a network device that is up is refused" \
        answers 125 "its network device $dev is up" "$LOCAL" --devices $BORROWED,$OTHER -- true
    judge "local: after all that, the first is back" held_by e1000e $BORROWED
    judge "local: after all that, the second has its former driver" held_by e1000e $OTHER

    echo brought back >"$GANTRY_OUT/file"
    [ $failed -eq 0 ] && exit 42
    exit 1
}

host_part()
{
    "$VM" --out "$folder" --env WORD='two words' --env HIDDEN="$out" -- bash -c '[ "$WORD" = "two words" ] || exit 3; exec "$0" guest' "$0" |
        tee "$folder/log"
    judge "vm: the status of the command" [ "${PIPESTATUS[0]}" -eq 42 ]
    judge "vm: files come to --out" grep -qx 'brought back' "$folder/file"
    judge "vm: a time-out" answers 124 'was stopped after 1.0 s' "$VM" --timeout 1 -- true
    judge "vm: a fault of the emulator is a reason to run the command again, once" fault_repeats
    judge "vm: another panic is not" panics_once
    judge "vm: no such profile" answers 125 'no profile nonesuch; there are .*default' "$VM" --profile nonesuch -- true
    judge "vm: no kernel" answers 125 'there is no kernel in .*; run: make deps' env GANTRY_CACHE="$folder/cache" "$VM" -- true
    judge "vm: no kernel, which may be skipped" \
        answers 77 '^there is no kernel in .*; run: make deps' env GANTRY_CACHE="$folder/cache" "$VM" --or-skip -- true
    judge "vm: no kernel of our own" answers 77 '^there is no kernel in .*; run: devtools/vm/kernel-build' \
        env GANTRY_CACHE="$folder/cache" "$VM" --or-skip --profile never-share -- true
    mkdir -p "$folder/cache/kernel-own"
    echo 6.12 >"$folder/cache/kernel-own/release"
    echo 0 >"$folder/cache/kernel-own/wanted"
    judge "vm: a stale kernel of our own" answers 125 'made from other files than this tree.*; run: devtools/vm/kernel-build' \
        env GANTRY_CACHE="$folder/cache" "$VM" --profile never-share -- true

    passed=$((passed + $(grep -c '^ok ' "$folder/log")))
    failed=$((failed + $(grep -c '^FAILED ' "$folder/log")))
    finish
}

if [ "${1:-}" = guest ]; then
    guest_part
fi
host_part
