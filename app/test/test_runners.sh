#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# Do the runners keep their contract, and gantry-bind its own? One boot of the emulated machine; in there the
# local runner borrows the kernel's NICs. With the word "guest" this is the part that runs in there.
set -u

readonly TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly BIND=$TREE/usertools/gantry-bind LOCAL=$TREE/config/local/run VM=$TREE/config/vm/run
readonly LENT=0000:03:00.0 OTHER=0000:04:00.0 ASSIGNED=0000:01:00.0
. "$TREE/app/test/lib.sh"
readonly SUITE=runners
folder=$(mktemp -d)
out=$folder/said
: >"$out"
trap 'rm -rf "$folder"' EXIT

# Runs a command; it must end with the status $1 and say something that matches $2.
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

# Starts the local runner, ends it with the signal $1 while its command runs; the device must be back after.
gives_back_after()
{
    local runner
    "$LOCAL" --devices $LENT -- sleep 1000 &
    runner=$!
    while ! held_by vfio-pci $LENT >/dev/null || ! pidof sleep >/dev/null; do
        kill -0 $runner || return 1
    done
    kill -"$1" $runner
    wait $runner
    [ $? -gt 128 ] && held_by e1000e $LENT && ! pidof sleep
}

gives_files()
{
    "$LOCAL" --devices $LENT --out "$folder/o" -- sh -c 'echo x >"$GANTRY_OUT"/f' >"$out" 2>&1 && [ -s "$folder/o/f" ]
}

# The host has such a file, and the machine's /tmp has none.
hides()
{
    [ -n "$1" ] && [ ! -e "$1" ]
}

guest_part()
{
    local dev

    judge "nothing of the host's /tmp but what the command names" hides "$HIDDEN"
    judge "the assigned device is with vfio-pci" held_by vfio-pci $ASSIGNED
    judge "the command learns its devices" [ "${GANTRY_DEVICES%% *}" = $ASSIGNED ]

    judge "bind: no such device" answers 1 '0000:77:00.0: no such PCI device' "$BIND" vfio-pci 77:00.0
    judge "bind: no such driver" answers 1 'there is no driver nonesuch' "$BIND" nonesuch $LENT
    judge "bind: a driver that refuses leaves the device where it was" \
        answers 1 'e1000e does not take it.*it is with vfio-pci' "$BIND" e1000e 0000:00:10.0
    judge "bind: there and back" "$BIND" -q e1000e $ASSIGNED
    judge "bind: there and back, seen there" held_by e1000e $ASSIGNED
    judge "bind: the kernel's choice after an override" answers 0 'now with e1000e' "$BIND" default $ASSIGNED

    judge "local: the status of the command" \
        answers 7 "^0000:03:00.0 local$" "$LOCAL" --devices 03:00.0 -- sh -c 'echo $GANTRY_DEVICES $GANTRY_RUNNER; exit 7'
    judge "local: the device is back" held_by e1000e $LENT
    judge "local: files come to --out" gives_files
    judge "local: a time-out" answers 124 'was stopped after 1.0 s' "$LOCAL" --timeout 1 --devices $LENT -- sleep 1000
    judge "local: one bad device and none is kept" answers 125 'no such PCI device' "$LOCAL" --devices $LENT,09:00.0 -- true
    judge "local: given back after SIGTERM" gives_back_after TERM
    judge "local: given back after SIGHUP" gives_back_after HUP
    dev=$(ls /sys/bus/pci/devices/$OTHER/net)
    ip link set "$dev" up
    judge "local: a network device in use is not taken" \
        answers 125 "its network device $dev is up" "$LOCAL" --devices $LENT,$OTHER -- true
    judge "local: after all that, the first is back" held_by e1000e $LENT
    judge "local: after all that, the second is where it was" held_by e1000e $OTHER

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
    judge "vm: no such profile" answers 125 'no profile nonesuch; there are .*default' "$VM" --profile nonesuch -- true
    judge "vm: no kernel" answers 125 'there is no kernel in .*; run: make deps' env GANTRY_CACHE="$folder/cache" "$VM" -- true
    judge "vm: no kernel, which may be skipped" \
        answers 77 '^there is no kernel in .*; run: make deps' env GANTRY_CACHE="$folder/cache" "$VM" --or-skip -- true
    judge "vm: no second kernel" answers 77 '^there is no kernel in .*; run: config/vm/kernel-build' \
        env GANTRY_CACHE="$folder/cache" "$VM" --or-skip --profile iommufd -- true
    mkdir -p "$folder/cache/kernel-iommufd"
    echo 6.12 >"$folder/cache/kernel-iommufd/release"
    echo 0 >"$folder/cache/kernel-iommufd/wanted"
    judge "vm: a stale second kernel" answers 125 'made from other files than this tree.*; run: config/vm/kernel-build' \
        env GANTRY_CACHE="$folder/cache" "$VM" --profile iommufd -- true

    passed=$((passed + $(grep -c '^ok ' "$folder/log")))
    failed=$((failed + $(grep -c '^FAILED ' "$folder/log")))
    finish
}

if [ "${1:-}" = guest ]; then
    guest_part
fi
host_part
