#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests unmodified DPDK programs with plugins of another DPDK version, without plugins, or with a
# file prefix that is in use. Each case must give exactly one line that names the cause. Usage:
# test_bad_plugins.sh BUILD; needs no device. Run by Meson.
set -u
readonly BUILD=$1 BUS=libgantry_bus_vfio_pci.so
readonly EAL="--no-pci --no-huge -m 64 --no-telemetry -l 0-1 --file-prefix=gantry-plugins-$$"
readonly SUITE=plugins
version=$(pkg-config --modversion libdpdk)
readonly series=${version%.*}
# The soname of the EAL, which has the ABI's number: librte_eal.so.23.
eal=$(LC_ALL=C readelf -d "$BUILD/drivers/$BUS" | sed -n 's/.*NEEDED.*\[\(librte_eal\.so\.[0-9]*\)\]/\1/p')
. "$(dirname "$0")/lib.sh"
dir=$(mktemp -d)
out=$dir/out
trap 'rm -rf "$dir" /var/run/dpdk/gantry-plugins-$$' EXIT
export LD_LIBRARY_PATH=$BUILD/drivers:$BUILD/lib/dmamap

testpmd() # further EAL arguments
{
    timeout 60 dpdk-testpmd $EAL -d $BUS "$@" -- --no-mlockall --total-num-mbufs=1024 -i </dev/null >"$dir/out" 2>&1
}

refuses() # status other than 0, and the text in exactly one line
{
    local text=$1
    shift
    ! "$@" && [ "$(grep -c "$text" "$dir/out")" -eq 1 ]
}

# The plugin needs the EAL's library by its soname, which has the version. So the loader refuses it
# before its code runs.
other_library()
{
    sed "s/${eal//./\\.}/librte_eal.so.99/" "$BUILD/drivers/$BUS" >"$dir/$BUS" &&
        LD_LIBRARY_PATH=$dir:$LD_LIBRARY_PATH refuses 'librte_eal.so.99: cannot open shared object file' testpmd
}

# The same soname, but another version: two DPDK builds on one machine.
other_version()
{
    echo 'const char *rte_version(void); const char *rte_version(void) { return "DPDK 23.03.2"; }' >"$dir/version.c" &&
        cc -shared -fPIC -o "$dir/version.so" "$dir/version.c" &&
        LD_PRELOAD=$dir/version.so refuses "built for DPDK $series and is not used by DPDK 23.03.2; load one" \
            testpmd -a vfio_pci:0000:7f:1f.7
}


one_prefix()
{
    local rc
    mkfifo "$dir/in"
    dpdk-testpmd $EAL --vdev=net_null0 --vdev=net_null1 -- --no-mlockall --total-num-mbufs=2048 -i <"$dir/in" >"$dir/first" 2>&1 &
    first=$!
    exec 3>"$dir/in"
    for _ in $(seq 600); do
        grep -q 'testpmd> ' "$dir/first" && break
        kill -0 $first || return 1
        sleep 0.1
    done
    refuses 'Is another primary process running?' testpmd
    rc=$?
    echo 'start tx_first' >&3
    echo 'stop' >&3
    echo 'quit' >&3
    exec 3>&-
    wait $first && [ $rc -eq 0 ] && grep -q 'Accumulated forward statistics' "$dir/first"
}

pmdinfo()
{
    # Debian's Python has the module that the tool needs.
    /usr/bin/python3 "$(command -v dpdk-pmdinfo.py)" "$BUILD/drivers/libgantry_net_e1000e.so" >"$dir/out" 2>&1 &&
        /usr/bin/python3 -c 'import json, sys
info = json.load(open(sys.argv[1]))[0]
sys.exit(info["name"] != "net_gantry_e1000e" or info["kmod"] != "vfio-pci" or "tx_split" not in info["params"]
    or info["pci_ids"] != [{"vendor": "8086", "device": "10d3"}])' "$dir/out"
}

# A device argument, but no plugin for it.
no_plugin()
{
    timeout 60 dpdk-testpmd $EAL -a vfio_pci:0000:7f:1f.7 -- -i </dev/null >"$dir/out" 2>&1
}

command -v dpdk-testpmd >/dev/null || { echo "skipped plugins: dpdk-testpmd is missing"; finish 1; }
if ldd "$BUILD/drivers/$BUS" | grep -Eq 'lib[a-z]+san\.so'; then
    echo "skipped plugins: a program without a sanitizer cannot load plugins with one"
    finish 1
fi
judge "dpdk-pmdinfo.py tells what the driver is" pmdinfo
judge "built against another DPDK's libraries" other_library
judge "built for another version of DPDK" other_version
judge "the plugin was not loaded" refuses 'failed to parse device "vfio_pci:0000:7f:1f.7"' no_plugin
judge "no such device, and no ports: it says so" refuses '0000:7f:1f.7: no such device' testpmd -a vfio_pci:0000:7f:1f.7
judge "two programs with one file prefix; the first goes on" one_prefix
finish
