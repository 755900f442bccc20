#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests devtools/demo/lib-hugepages: it counts hugepages that programs of the group hold or have
# leaked, and no others. Needs root and two hugepages of 2 MiB. Run by Meson.
set -u
readonly TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
readonly SUITE=own_hugepages POOL=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
. "$TREE/app/test/e2e/lib.sh"
. "$TREE/devtools/demo/lib-hugepages"
dir=$(mktemp -d)
out=$dir/out
: >"$out"

# Maps and touches one hugepage of file $1 (empty: anonymous memory), creates file $2, and waits.
readonly HOLD='
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT) if sys.argv[1] else -1
if sys.argv[1]: os.ftruncate(fd, 2 << 20)
flags = mmap.MAP_SHARED if sys.argv[1] else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000
memory = mmap.mmap(fd, 2 << 20, flags)
memory[0] = 1
open(sys.argv[2], "w").close()
time.sleep(60)'

clean_up()
{
    kill -KILL ${own:-} ${other:-} 2>/dev/null
    wait 2>/dev/null
    umount "$dir/huge" 2>/dev/null
    close_hugetlb_group
    [ -z "${pages:-}" ] || echo "$pages" >$POOL
    rm -rf "$dir"
}

holds_pages()
{
    [ "$(held_hugepages)" -eq $(($1 << 21)) ] || { echo "  held: $(held_hugepages) bytes, wanted $1 pages" >"$out"; return 1; }
}

[ "$(id -u)" -eq 0 ] || { echo "skipped $SUITE: control groups need root"; finish 1; }
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
open_hugetlb_group
if [ -z "$HUGETLB_GROUP" ]; then
    echo "skipped $SUITE: this kernel has no hugetlb control groups (CONFIG_CGROUP_HUGETLB)"
    finish 1
fi
read -r pages <$POOL
echo $((pages + 3)) >$POOL
mkdir "$dir/huge"
must "a file system for hugepages" mount -t hugetlbfs hugetlbfs "$dir/huge"

judge "nothing is held at first" holds_pages 0
"$TREE/devtools/demo/own-hugepages" python3 -c "$HOLD" '' "$dir/own" &
own=$!
judge "what the program under test takes is counted" eval 'wait_until 20 [ -e "$dir/own" ] && holds_pages 1'
python3 -c "$HOLD" '' "$dir/other" &
other=$!
judge "what another program takes meanwhile is not" eval 'wait_until 20 [ -e "$dir/other" ] && holds_pages 1'
kill -KILL $own
wait $own 2>/dev/null
judge "what went with the program is not held" leaves_no_hugepages
"$TREE/devtools/demo/own-hugepages" python3 -c "$HOLD" "$dir/huge/left" "$dir/own2" &
own=$!
judge "a page of a file is counted" eval 'wait_until 20 [ -e "$dir/own2" ] && holds_pages 1'
kill -KILL $own
wait $own 2>/dev/null
judge "a page that an ended program left is still counted" holds_pages 1
rm "$dir/huge/left"
judge "and no more once it is freed" leaves_no_hugepages
finish
