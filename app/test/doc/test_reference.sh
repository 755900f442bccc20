#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests that doxygen makes the reference of the public headers, and that it warns of nothing.
# $1: doxygen, $2: its configuration, $3: the source tree.
set -eu

doxygen=$1
config=$2
source=$3
dir=$(mktemp -d)
passed=0
trap 'rc=$?; rm -rf "$dir"; [ $rc -eq 0 ] || echo "$passed passed, 1 failed, 0 skipped"' EXIT

step() {
    echo "ok      reference: $1"
    passed=$((passed + 1))
}

# Run doxygen with the lines of the standard input after its configuration.
run() {
    { cat "$config"; echo "OUTPUT_DIRECTORY = \"$dir\""; cat; } > "$dir/Doxyfile"
    "$doxygen" "$dir/Doxyfile"
}

run </dev/null
step "doxygen warns of nothing"

for name in dmamap_map dmamap_kernel dmamap_pktmbuf_pool_create vfio_pci_intr_enable \
    dmamap_memory; do
    grep -rqw "$name" --include='*.html' "$dir/reference" ||
        { echo "$name is not in the reference"; exit 1; }
done
step "all headers are in it"

# A member and a function without words, and a reference that leads nowhere.
sed -e 's|/\*\*< first IOVA \*/||' "$source/lib/dmamap/dmamap.h" > "$dir/dmamap.h"
printf '/** @file\n * See @ref nowhere. */\nint bare(void);\n' > "$dir/bare.h"
for broken in dmamap.h bare.h; do
    # shellcheck disable=SC2015
    ! run >"$dir/log" 2>&1 <<END || { echo "doxygen accepts the broken $broken"; exit 1; }
INPUT = "$dir/$broken"
END
    case $broken in
    dmamap.h) grep -q 'is not documented' "$dir/log" ;;
    bare.h)
        grep -q 'unable to resolve reference' "$dir/log" &&
            grep -q 'bare.*is not documented' "$dir/log"
        ;;
    esac || { echo "$broken: doxygen does not say what is wrong:"; cat "$dir/log"; exit 1; }
done
step "what lacks words, and references that lead nowhere, are refused"
echo "$passed passed, 0 failed, 0 skipped"
