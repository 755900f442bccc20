#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Builds libdmamap without the EAL in a folder of its own, and checks that it needs nothing of DPDK.
# $1: top of the tree, $2: examples/hello/main.c, $3: value of b_sanitize for the build.
set -eu

tree=$1
hello=$2
sanitize=${3:-none}
dir=$(mktemp -d)
passed=0
trap 'rc=$?; rm -rf "$dir"; [ $rc -eq 0 ] || echo "$passed passed, 1 failed, 0 skipped"' EXIT

step() {
    echo "ok      plain: $1"
    passed=$((passed + 1))
}

fail() {
    echo "FAILED  plain: $1:"
    shift
    printf '%s\n' "$@"
    exit 1
}

# No pkg-config file of DPDK can be found, as on a machine that has none.
mkdir "$dir/pc"
export PKG_CONFIG_LIBDIR="$dir/pc"
meson setup --werror -Deal=disabled "-Db_sanitize=$sanitize" "$dir/build" "$tree" > "$dir/log" 2>&1 &&
    ninja -C "$dir/build" >> "$dir/log" 2>&1 || fail "it builds" "$(tail -n 40 "$dir/log")"
step "it builds where there is no DPDK"

headers=$(ninja -C "$dir/build" -t deps | grep '/rte_[^/]*\.h$' || true)
[ -z "$headers" ] || fail "no header of DPDK is read" "$headers"
step "no header of DPDK is read"

for library in lib/dmamap/libdmamap.so lib/dmamap/libdmamap.a lib/vfio_mock/libvfio_mock.a; do
    dynamic=
    [ "${library##*.}" = a ] || dynamic=-D
    # shellcheck disable=SC2086
    symbols=$(nm $dynamic "$dir/build/$library" | grep -E '\b_?_?(rte|per_lcore)_' || true)
    [ -z "$symbols" ] || fail "$library has no symbol of DPDK" "$symbols"
    step "$library has no symbol of DPDK, neither its own nor undefined"
done
needed=$(ldd "$dir/build/lib/dmamap/libdmamap.so" | grep librte || true)
[ -z "$needed" ] || fail "it needs no library of DPDK" "$needed"
step "it needs no library of DPDK"

flag=
[ "$sanitize" = none ] || flag=-fsanitize=$sanitize
DESTDIR="$dir/root" meson install -C "$dir/build" --no-rebuild --quiet
pc=$(find "$dir/root" -name libdmamap.pc)
sed -i "s|^prefix=|prefix=$dir/root|" "$pc"
export PKG_CONFIG_LIBDIR="${pc%/*}"
libdir=$(dirname "$PKG_CONFIG_LIBDIR")
# shellcheck disable=SC2046,SC2086
${CC:-cc} $flag -o "$dir/hello" "$hello" $(pkg-config --cflags --libs libdmamap)
LD_LIBRARY_PATH="$libdir" "$dir/hello"
step "the example builds with the installed shared library, and runs"
# shellcheck disable=SC2046,SC2086
${CC:-cc} $flag -o "$dir/hello-static" "$hello" $(pkg-config --cflags libdmamap) "$libdir/libdmamap.a" -lnuma -lpthread
"$dir/hello-static"
step "and with the static one"

meson test -C "$dir/build" --no-rebuild > "$dir/log" 2>&1 ||
    fail "its tests pass" "$(cat "$dir/log" "$dir/build/meson-logs/testlog.txt")"
grep -h -E '^(ok|skipped) ' "$dir/build/meson-logs/testlog.txt"
step "its tests pass"

echo "$passed passed, 0 failed, 0 skipped"
