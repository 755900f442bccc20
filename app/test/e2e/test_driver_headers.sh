#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests which source of DPDK the set-up takes driver headers from (devtools/dpdk-headers-setup), with
# folders in GANTRY_DPDK_SOURCE that are made from the headers of this build. Usage:
# test_driver_headers.sh FOLDER, which has the driver headers; needs neither root nor a network. Run
# by Meson.
set -u
readonly HEADERS=$1 SUITE=driver_headers
. "$(dirname "$0")/lib.sh"
readonly SETUP=$(realpath "$(dirname "$0")/../../../devtools/deps.sh")
version=$(pkg-config --modversion libdpdk)
readonly version series=${version%.*}
dir=$(mktemp -d)
out=$dir/out
trap 'rm -rf "$dir"' EXIT

# Makes the folder $1/dpdk-$2: the source of DPDK $2, as far as the set-up looks into it.
make_source()
{
    local src=$1/dpdk-$2
    mkdir -p "$src/lib/ethdev" "$src/drivers/bus/pci" && echo "$2" >"$src/VERSION" && cp "$HEADERS"/*.h "$src/lib/ethdev/" &&
        mv "$src/lib/ethdev/bus_pci_driver.h" "$src/drivers/bus/pci/" && echo "/* $2 */" >>"$src/lib/ethdev/bus_driver.h"
}

# Runs the set-up with the cache $1 and the sources in $2.
set_up()
{
    GANTRY_CACHE=$1 GANTRY_CACHE_LOCKED= GANTRY_DPDK_SOURCE=$2 "$SETUP" headers >"$out" 2>&1
}

# Whether the cache $1 has the headers of DPDK $2, and says so.
has()
{
    local found=$1/dpdk-$version
    grep -qF "the source of DPDK $2 " "$found/source" && tail -n 1 "$found/include/bus_driver.h" | grep -qF "/* $2 */" &&
        [ "$(ls "$found/include")" = "$(ls "$HEADERS")" ] && cmp -s "$found/include/bus_pci_driver.h" "$HEADERS/bus_pci_driver.h"
}

# Whether the set-up with the sources $1 ends with status 1 and one line that has the text $2, and
# leaves nothing.
refuses()
{
    local rc
    set_up "$dir/empty" "$1"
    rc=$?
    [ $rc -eq 1 ] && [ "$(wc -l <"$out")" -eq 1 ] && grep -qF "$2" "$out" && [ ! -e "$dir/empty/dpdk-$version" ]
}

installed_version()
{
    local name
    for name in "$version" "$series" "$series.99" 99.11.1; do
        make_source "$dir/all" "$name" || return 1
    done
    set_up "$dir/cache-all" "$dir/all" && has "$dir/cache-all" "$version"
}

not_newer()
{
    make_source "$dir/around" "$series" && make_source "$dir/around" "$series.99" && make_source "$dir/around" 1.2.3 &&
        set_up "$dir/cache-around" "$dir/around" && has "$dir/cache-around" "$series"
}

newer()
{
    make_source "$dir/newer" "$series.100" && make_source "$dir/newer" "$series.99" &&
        set_up "$dir/cache-newer" "$dir/newer" && has "$dir/cache-newer" "$series.99"
}

the_folder_itself()
{
    set_up "$dir/cache-one" "$dir/all/dpdk-$version" && has "$dir/cache-one" "$version"
}

other_series()
{
    make_source "$dir/other" 99.11.1 && refuses "$dir/other" "has DPDK 99.11.1, but $version is installed: unpack a source of DPDK $series there"
}

broken()
{
    make_source "$dir/broken" "$version" && echo 'no C' >>"$dir/broken/dpdk-$version/lib/ethdev/ethdev_pci.h" &&
        refuses "$dir/broken" "do not compile against the installed DPDK $version"
}

incomplete()
{
    make_source "$dir/part" "$version" && rm "$dir/part/dpdk-$version/drivers/bus/pci/bus_pci_driver.h" &&
        refuses "$dir/part" 'lacks bus_pci_driver.h'
}

kept()
{
    set_up "$dir/cache-all" "$dir/nowhere" && grep -q 'driver headers are in' "$out" && has "$dir/cache-all" "$version"
}

# With `dts`: the test suite is taken beside the headers, also later, and stays.
with_suite()
{
    local setup=${SETUP%/*}/dpdk-headers-setup src=$dir/suite/dpdk-$version found=$dir/cache-suite/dpdk-$version
    make_source "$dir/suite" "$version" && set_up "$dir/cache-suite" "$dir/suite" && [ ! -e "$found/dts" ] &&
        mkdir "$src/dts" "$src/usertools" && echo 1 >"$src/dts/main.py" && echo 2 >"$src/usertools/dpdk-devbind.py" || return 1
    GANTRY_CACHE=$dir/cache-suite GANTRY_CACHE_LOCKED='' GANTRY_DPDK_SOURCE=$dir/suite "$setup" dts >"$out" 2>&1 &&
        has "$dir/cache-suite" "$version" && cmp "$src/dts/main.py" "$found/dts/main.py" && cmp "$src/VERSION" "$found/VERSION" &&
        cmp "$src/usertools/dpdk-devbind.py" "$found/usertools/dpdk-devbind.py" || return 1
    GANTRY_CACHE=$dir/cache-suite GANTRY_CACHE_LOCKED='' GANTRY_DPDK_SOURCE=$dir/nowhere "$setup" dts >"$out" 2>&1 &&
        set_up "$dir/cache-suite" "$dir/nowhere" && [ -e "$found/dts/main.py" ]
}

without_suite()
{
    GANTRY_CACHE=$dir/empty GANTRY_CACHE_LOCKED='' GANTRY_DPDK_SOURCE=$dir/all "${SETUP%/*}/dpdk-headers-setup" dts >"$out" 2>&1
    [ $? -eq 1 ] && grep -qF "lacks DPDK's test suite" "$out" && [ ! -e "$dir/empty/dpdk-$version" ]
}

judge "the source of the installed version is taken" installed_version
judge "without it: the newest of the series that is not newer" not_newer
judge "without older ones: the oldest that is newer" newer
judge "the folder can be a source itself" the_folder_itself
judge "a source of another series is refused" other_series
judge "headers that do not compile are refused" broken
judge "a source without all headers is refused" incomplete
judge "a folder without a source is refused" refuses "$HEADERS" 'no source of DPDK in there'
judge "no such folder" refuses "$dir/nowhere" 'not a folder'
judge "headers that are there stay" kept
judge "DPDK's test suite is taken too if it is wanted" with_suite
judge "a source without the wanted test suite is refused" without_suite
finish
