#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests that a user's program builds and runs against the installed files. Installs build $1 into a
# temporary folder, and builds source $2 with the flags of pkg-config only, with the shared and the
# static library. $3: sanitizer flags of the build. Run by Meson.
set -eu

build=$1
source=$2
dir=$(mktemp -d)
passed=0

step() {
    echo "ok      install: $1"
    passed=$((passed + 1))
}
trap 'rc=$?; rm -rf "$dir"; [ $rc -eq 0 ] || echo "$passed passed, 1 failed, 0 skipped"' EXIT

DESTDIR="$dir" meson install -C "$build" --no-rebuild --quiet
pc=$(find "$dir" -name libdmamap.pc)
# Set the prefix for DESTDIR in this file only: --define-variable would change DPDK's prefix too.
sed -i "s|^prefix=|prefix=$dir|" "$pc"
export PKG_CONFIG_PATH="${pc%/*}"
libdir=$(dirname "$PKG_CONFIG_PATH")
step "the pkg-config file is there"

# $3 may be empty or several words.
# shellcheck disable=SC2086
cc ${3:-} -o "$dir/hello" "$source" \
    $(pkg-config --cflags --libs libdmamap)
step "a program builds with it"
LD_LIBRARY_PATH="$libdir" "$dir/hello"
step "it maps, translates and unmaps with the shared library"

# shellcheck disable=SC2086
cc ${3:-} -o "$dir/hello-static" "$source" $(pkg-config --cflags libdmamap) \
    "$libdir/libdmamap.a" $(pkg-config --libs libdpdk) -lnuma
"$dir/hello-static"
step "and with the static one"

undocumented=$(nm -D --defined-only "$libdir/libdmamap.so" | awk '{print $3}' | sed 's/@.*//' |
    grep -v -E '^(dmamap_|DMAMAP_)' || true)
[ -z "$undocumented" ] || { echo "exported, but not a public name: $undocumented"; exit 1; }
step "only public names are exported"

echo "$passed passed, 0 failed, 0 skipped"
