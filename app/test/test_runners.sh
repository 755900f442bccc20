#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# Do the runners keep their contract, and gantry-bind its own? One boot of the emulated machine; in there the
# local runner borrows the kernel's NICs. With the word "guest" this is the part that runs in there.
set -u

readonly TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly BIND=$TREE/usertools/gantry-bind LOCAL=$TREE/config/local/run VM=$TREE/config/vm/run
readonly LENT=0000:03:00.0 OTHER=0000:04:00.0 ASSIGNED=0000:01:00.0
passed=0
failed=0

# Says whether the command that follows the name succeeds.
must()
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok      runners: $name"
    else
        failed=$((failed + 1))
        echo "FAILED  runners: $name"
    fi
}

# Runs a command; it must end with the status $1 and say something that matches $2.
answers()
{
    local want=$1 pattern=$2 said status
    shift 2
    said=$("$@" 2>&1)
    status=$?
    [ $status -eq "$want" ] && grep -q -e "$pattern" <<<"$said" && return
    echo "  wanted status $want and '$pattern', got $status and: $said"
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
    local out status
    out=$(mktemp -d)
    "$LOCAL" --devices $LENT --out "$out/o" -- sh -c 'echo x >"$GANTRY_OUT"/f' && [ -s "$out/o/f" ]
    status=$?
    rm -rf "$out"
    return $status
}

guest_part()
{
    local dev

    must "the assigned device is with vfio-pci" held_by vfio-pci $ASSIGNED
    must "the command learns its devices" [ "${GANTRY_DEVICES%% *}" = $ASSIGNED ]

    must "bind: no such device" answers 1 '0000:77:00.0: no such PCI device' "$BIND" vfio-pci 77:00.0
    must "bind: no such driver" answers 1 'there is no driver nonesuch' "$BIND" nonesuch $LENT
    must "bind: a driver that refuses leaves the device where it was" \
        answers 1 'e1000e does not take it.*it is with vfio-pci' "$BIND" e1000e 0000:00:10.0
    must "bind: there and back" "$BIND" -q e1000e $ASSIGNED
    must "bind: there and back, seen there" held_by e1000e $ASSIGNED
    must "bind: the kernel's choice after an override" answers 0 'now with e1000e' "$BIND" default $ASSIGNED

    must "local: the status of the command" \
        answers 7 "^0000:03:00.0 local$" "$LOCAL" --devices 03:00.0 -- sh -c 'echo $GANTRY_DEVICES $GANTRY_RUNNER; exit 7'
    must "local: the device is back" held_by e1000e $LENT
    must "local: files come to --out" gives_files
    must "local: a time-out" answers 124 'was stopped after 1.0 s' "$LOCAL" --timeout 1 --devices $LENT -- sleep 1000
    must "local: one bad device and none is kept" answers 125 'no such PCI device' "$LOCAL" --devices $LENT,09:00.0 -- true
    must "local: given back after SIGTERM" gives_back_after TERM
    must "local: given back after SIGHUP" gives_back_after HUP
    dev=$(ls /sys/bus/pci/devices/$OTHER/net)
    ip link set "$dev" up
    must "local: a network device in use is not taken" \
        answers 125 "its network device $dev is up" "$LOCAL" --devices $LENT,$OTHER -- true
    must "local: after all that, the first is back" held_by e1000e $LENT
    must "local: after all that, the second is where it was" held_by e1000e $OTHER

    echo brought back >"$GANTRY_OUT/file"
    echo "guest: $passed passed, $failed failed"
    [ $failed -eq 0 ] && exit 42
    exit 1
}

host_part()
{
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT

    "$VM" --out "$out" --env WORD='two words' -- bash -c '[ "$WORD" = "two words" ] || exit 3; exec "$0" guest' "$0" |
        tee "$out/log"
    must "vm: the status of the command" [ "${PIPESTATUS[0]}" -eq 42 ]
    must "vm: files come to --out" grep -qx 'brought back' "$out/file"
    must "vm: a time-out" answers 124 'was stopped after 1.0 s' "$VM" --timeout 1 -- true
    must "vm: no such profile" answers 125 'no profile nonesuch; there are .*default' "$VM" --profile nonesuch -- true
    must "vm: no kernel" answers 125 'there is no kernel in .*; run: make deps' env GANTRY_CACHE="$out/cache" "$VM" -- true
    must "vm: no kernel, which may be skipped" \
        answers 77 '^there is no kernel in .*; run: make deps' env GANTRY_CACHE="$out/cache" "$VM" --or-skip -- true
    must "vm: no second kernel" answers 77 '^there is no kernel in .*; run: config/vm/kernel-build' \
        env GANTRY_CACHE="$out/cache" "$VM" --or-skip --profile iommufd -- true
    mkdir -p "$out/cache/kernel-iommufd"
    echo 6.12 >"$out/cache/kernel-iommufd/release"
    echo 0 >"$out/cache/kernel-iommufd/wanted"
    must "vm: a stale second kernel" answers 125 'made from other files than this tree.*; run: config/vm/kernel-build' \
        env GANTRY_CACHE="$out/cache" "$VM" --profile iommufd -- true

    passed=$((passed + $(grep -c '^ok ' "$out/log")))
    failed=$((failed + $(grep -c '^FAILED ' "$out/log")))
    echo "$passed passed, $failed failed, 0 skipped"
    [ $failed -eq 0 ]
}

if [ "${1:-}" = guest ]; then
    guest_part
fi
host_part
