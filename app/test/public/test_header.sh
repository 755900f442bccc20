#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Compiles programs on the public headers with pedantic compilers, in C17 and C++17, and with nothing of DPDK
# in the include path. $1: folder of the headers, $2: the C++ program, $3: folder of the library; $4: flags for all.
set -eu

headers=$1
source=$2
libs=$3
flags=${4:-}
dir=$(mktemp -d)
passed=0
skipped=0
trap 'rc=$?; rm -rf "$dir"; [ $rc -eq 0 ] || echo "$passed passed, 1 failed, 0 skipped"' EXIT

step() {
    echo "ok      header: $1"
    passed=$((passed + 1))
}

for header in dmamap dmamap_kernel; do
    # shellcheck disable=SC2086
    printf '#include <%s.h>\nint x;\n' "$header" |
        ${CC:-cc} $flags -std=c17 -pedantic-errors -Wall -Wextra -Werror -I "$headers" -x c -c -o "$dir/c.o" -
    step "$header.h is ISO C17, alone and without DPDK"
done
if command -v "${CXX:-g++}" > "$dir/where"; then
    # shellcheck disable=SC2086
    "${CXX:-g++}" $flags -std=c++17 -pedantic-errors -Wall -Wextra -Werror -I "$headers" -o "$dir/program" \
        "$source" -L "$libs" -ldmamap -Wl,-rpath,"$libs"
    "$dir/program"
    step "a program in ISO C++17 builds and runs"
else
    echo "skipped header: a program in ISO C++17 builds and runs (${CXX:-g++} is not installed)"
    skipped=1
fi
echo "$passed passed, 0 failed, $skipped skipped"
