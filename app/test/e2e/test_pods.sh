#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests gantry-broker with programs in a pod: an ordinary user, mount and PID namespaces without
# /dev/vfio, a low limit on locked memory. Usage: test_pods.sh BUILD, in the emulated machine
# (profile default). Shows first that a pod without the broker fails.
set -u
SUITE=pods
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
build=$(realpath "$1")
dir=$(mktemp -d)
chmod 755 "$dir"
out=$dir/out
log=$dir/log
readonly DEVICE=0000:00:10.0 SECOND=0000:00:11.0 OTHER=0000:00:12.0 SOCKET=/run/gantry/broker
readonly LIMIT=65536        # bytes that a pod may lock
readonly PAGES=1000         # 4 KiB each: more than LIMIT
# Copies that an ordinary user can read, in the same folders as in the build.
mkdir -p "$dir/usertools/run" "$dir/lib/vfio_front"
cp "$build/usertools/run/gantry-run" "$dir/usertools/run/"
cp "$build/lib/vfio_front/libgantry_vfio.so" "$dir/lib/vfio_front/"
cp "$build/app/test/clients/vfio-client" "$dir/"
run=$dir/usertools/run/gantry-run
client=$dir/vfio-client
broker_pid=

stop_broker()
{
    [ -z "$broker_pid" ] || { kill "$broker_pid"; wait "$broker_pid"; }
    broker_pid=
}
trap 'stop_broker; rm -rf "$dir"' EXIT

start_broker() # options
{
    stop_broker
    "$build/usertools/broker/gantry-broker" --user=nobody "$@" 2>"$log" &
    broker_pid=$!
    wait_until 10 grep -q 'listens at' "$log"
}

namespace() # command: runs it in the namespaces of a pod, as root
{
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --mount-proc --propagation private sh -c \
        'mount -t tmpfs none /dev/vfio && exec prlimit --memlock='$LIMIT' "$@"' sh "$@"
}

pod() # command
{
    timeout 60 "$(command -v bash)" -c "$(declare -f namespace); LIMIT=$LIMIT; namespace \"\$@\"" bash \
        setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs "$@" >"$out" 2>&1
}

fails_with() # text, command
{
    local text=$1
    shift
    ! "$@" && grep -q "$text" "$out"
}

passes_with() # text, command
{
    local text=$1
    shift
    "$@" && grep -q "$text" "$out"
}

cannot_open_vfio()
{
    fails_with 'No such file' pod "$client" devices $DEVICE && ! pod ls /dev/vfio/vfio
}

is_handed() # file: whether the broker handed it to a process of nobody
{
    cp "$log" "$out"
    grep -q "handed $1 to process [0-9]* of user $(id -u nobody)$" "$log"
}

isolated() # with --isolate, which needs two kernel containers
{
    passes_with '2 devices copied' pod "$run" --isolate --report --broker=$SOCKET "$client" devices $DEVICE $SECOND &&
        grep -q '1 containers on 2 domains' "$out" &&
        [ "$(grep -c 'handed /dev/vfio/vfio to' "$log")" -ge 2 ]
}

# Runs a program under a broker without a socket, in one namespace. It inherits descriptors, group
# and limit from the broker.
inherits() # options of gantry-run
{
    timeout 60 "$(command -v bash)" -c "$(declare -f namespace); LIMIT=$LIMIT; namespace \"\$@\"" bash sh -c '
        mkdir -p /run/host && mount -t tmpfs none /run/host && mkdir /run/host/vfio &&
            mknod /run/host/vfio/vfio c 10 196 && cp -a '"$dir/nodes/."' /run/host/vfio/ && exec "$@"' sh \
        "$build/usertools/broker/gantry-broker" --dev=/run/host --user=nobody --memlock=64M $DEVICE $SECOND -- \
        "$run" "$@" >"$out" 2>&1
}

# A program that closes its group and opens it again. In between the group leaves the container, and
# all maps go.
cat >"$dir/again.py" <<'END'
import ctypes, errno, fcntl, mmap, os, struct, sys
SET_IOMMU, GET_STATUS, SET_CONTAINER, MAP = 0x3b66, 0x3b67, 0x3b68, 0x3b71
memory = mmap.mmap(-1, 4096)
va = ctypes.addressof(ctypes.c_char.from_buffer(memory))
def map_page(iova):
    try:
        return fcntl.ioctl(container, MAP, struct.pack('IIQQQ', 32, 3, va, iova, 4096))
    except OSError as e:
        return errno.errorcode[e.errno]
container = os.open('/dev/vfio/vfio', os.O_RDWR)
for turn in range(3):
    group = os.open('/dev/vfio/' + sys.argv[1], os.O_RDWR)
    try:
        os.open('/dev/vfio/' + sys.argv[1], os.O_RDWR)
        sys.exit('a group was opened twice')
    except OSError as e:
        assert e.errno == errno.EBUSY, e
    status = fcntl.ioctl(group, GET_STATUS, struct.pack('II', 8, 0))
    assert struct.unpack('II', status)[1] == 1, f'turn {turn}: not viable, or in a container: {status}'
    fcntl.ioctl(group, SET_CONTAINER, struct.pack('i', container))
    fcntl.ioctl(container, SET_IOMMU, 3)
    assert isinstance(map_page(0x10000000), bytes), f'turn {turn}: the map of before is still there'
    assert map_page(0x10000000) == 'EEXIST'
    os.close(group)
    assert map_page(0x20000000) == 'EINVAL', 'the container has no type without a group'
print('three times')
END

group_of() # device
{
    basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"
}

again_by_socket()
{
    passes_with 'three times' pod "$run" --broker=$SOCKET /usr/bin/python3 "$dir/again.py" "$(group_of $DEVICE)"
}

again_by_descriptors()
{
    inherits /usr/bin/python3 "$dir/again.py" "$(group_of $DEVICE)" && grep -q 'three times' "$out"
}

shows_the_limit()
{
    fails_with 'Cannot allocate memory' pod "$run" --broker=$SOCKET "$client" maps $PAGES $DEVICE && grep -q RLIMIT_MEMLOCK "$out"
}

# A file system that supports sockets, accessible to all users.
chmod 755 /run
mkdir -p -m 755 /run/gantry
mount -t tmpfs -o mode=755 none /run/gantry
mkdir "$dir/nodes"
cp -a /dev/vfio/[0-9]* "$dir/nodes/"

judge "a program in a pod cannot open VFIO" cannot_open_vfio
judge "nor with gantry-run but no broker" fails_with 'No such file' pod "$run" "$client" devices $DEVICE
start_broker $DEVICE $SECOND
judge "with a broker a device copies" passes_with '1 devices copied' pod "$run" --broker=$SOCKET "$client" devices $DEVICE
judge "the container was handed over" is_handed /dev/vfio/vfio
judge "the group was handed over" is_handed "/dev/vfio/$(group_of $DEVICE)"
judge "two devices copy" passes_with '2 devices copied' pod "$run" --broker=$SOCKET "$client" devices $DEVICE $SECOND
judge "a further kernel container is handed over too" isolated
judge "another device is refused with a remedy" fails_with 'name the device on its command line' \
    pod "$run" --broker=$SOCKET "$client" devices $OTHER
judge "the pod's limit on locked memory is reported" shows_the_limit
judge "a group is closed and opened again" again_by_socket
start_broker --memlock=64M $DEVICE
judge "a broker with --memlock raises it" passes_with "$PAGES maps" pod "$run" --broker=$SOCKET "$client" maps $PAGES $DEVICE
stop_broker
judge "descriptors are inherited instead" passes_with '2 devices copied' inherits "$client" devices $DEVICE $SECOND
judge "a further kernel container too" passes_with '2 devices copied' inherits --isolate "$client" devices $DEVICE $SECOND
judge "with the limit" passes_with "$PAGES maps" inherits "$client" maps $PAGES $DEVICE
judge "a group that was inherited is closed and opened again" again_by_descriptors
finish
