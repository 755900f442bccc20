#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Set-up of a machine for building and testing Gantry, called by `make deps`. Steps:
#   packages  Debian packages (config/packages.txt)
#   headers   DPDK's driver headers, from its source package
#   machine   the kernel of the emulated machine: Debian's stock kernel
#   iommufd   variants of a newer kernel with iommufd (devtools/vm/kernel-modules)
# A step whose result exists does nothing. A failed step leaves the former result in place.
#
# usage: devtools/deps.sh [packages] [headers] [machine] [iommufd]        (no word: all)
set -Eeuo pipefail

ME=deps
. "$(dirname "${BASH_SOURCE[0]}")/deps-lib.sh"

readonly DPDK_SERIES='22.11 24.11 25.11'

# Headers for drivers and buses that Debian's libdpdk-dev lacks.
readonly DRIVER_HEADERS=(
    bus_driver.h dev_driver.h
    bus_pci_driver.h bus_vdev_driver.h
    ethdev_driver.h ethdev_pci.h ethdev_vdev.h
    rte_dmadev_pmd.h
)

do_packages()
{
    ensure_packages "$CONFIG_DIR/packages.txt"
}

# Sets APT_PRIVATE: options with which apt uses this machine's archives for source packages, with
# separate lists in folder $1.
private_source_lists()
{
    local dir=$1 file name
    mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/archives/partial"
    for file in $(debian_source_files); do
        name=$(basename "$file")
        case $name in
        *.sources) sed -e 's/^Types:.*/Types: deb-src/' -e '/^Architectures:/d' "$file" >"$dir/parts/$name" ;;
        *) sed -n 's/^[[:space:]]*deb\([[:space:]]\)/deb-src\1/p' "$file" >"$dir/parts/$name" ;;
        esac
    done
    APT_PRIVATE=(
        -q
        -o Dir::Etc::SourceList=/dev/null
        -o Dir::Etc::SourceParts="$dir/parts"
        -o Dir::State::Lists="$dir/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o Dir::Cache::Archives="$dir/archives"
        -o APT::Sandbox::User=root
    )
}

# Whether folder $1 has all headers. An older set-up may have fetched fewer.
has_headers()
{
    local header
    for header in "${DRIVER_HEADERS[@]}"; do
        [ -e "$1/$header" ] || return 1
    done
}

# Whether one file that includes all headers of folder $1 compiles against the installed DPDK.
headers_compile()
{
    local dir=$1 header
    for header in "${DRIVER_HEADERS[@]}"; do
        printf '#include <%s>\n' "$header"
    done | gcc -x c -std=c17 -DALLOW_INTERNAL_API -I"$dir" $(pkg-config --cflags libdpdk) -fsyntax-only -
}

do_headers()
{
    local version package target tmp header

    version=$(pkg-config --modversion libdpdk 2>/dev/null) || die "headers: libdpdk is not installed"
    case " $DPDK_SERIES " in
    *" ${version%.*} "*) ;;
    *) die "headers: unsupported DPDK version $version: Gantry supports $DPDK_SERIES" ;;
    esac
    target=$CACHE/dpdk-$version/include
    if has_headers "$target"; then
        say "headers: DPDK $version's driver headers are in $target"
        return
    fi

    package=$(dpkg-query -W -f '${source:Version}' libdpdk-dev)
    need_lists
    tmp=$(mktemp -d "$CACHE/.tmp.XXXXXX")
    say "headers: fetching the source package dpdk $package"
    private_source_lists "$tmp"
    # Ignore a source that fails: another one may have the package.
    quietly apt-get "${APT_PRIVATE[@]}" update || :
    compgen -G "$tmp/lists/*_Sources*" >/dev/null ||
        die "headers: cannot read the archive's lists of source packages: check the network"
    (cd "$tmp" && quietly apt-get "${APT_PRIVATE[@]}" --download-only source --only-source "dpdk=$package") ||
        die "headers: apt-get cannot download the source package dpdk $package, which matches the installed one (log: $SAID): to build the libraries only: make build MESON_ARGS=-Ddrivers=false"
    # --no-check: apt has verified the files against the archive's signed lists.
    (cd "$tmp" && quietly dpkg-source --no-check -x dpdk_*.dsc src) || die "headers: dpkg-source cannot unpack dpdk $package (log: $SAID)"

    mkdir -p "$tmp/new/include"
    for header in "${DRIVER_HEADERS[@]}"; do
        find "$tmp/src/lib" "$tmp/src/drivers/bus" -name "$header" -exec cp {} "$tmp/new/include/" \;
    done
    quietly headers_compile "$tmp/new/include" || die "headers: the driver headers of dpdk $package do not compile (log of gcc: $SAID)"
    rm -rf "$CACHE/dpdk-$version"
    mv "$tmp/new" "$CACHE/dpdk-$version"
    rm -rf "$tmp"
    say "headers: DPDK $version's driver headers are now in $target"
}

do_machine()
{
    local target=$CACHE/kernel-stock package release tmp

    if [ -e "$target/release" ]; then
        say "machine: kernel $(cat "$target/release") is in $target"
        return
    fi
    need_lists
    package=$(needed_by linux-image-amd64 'linux-image-[0-9]')
    [ -n "$package" ] || die "machine: apt knows no kernel package (linux-image-amd64)"
    tmp=$(mktemp -d "$CACHE/.tmp.XXXXXX")
    say "machine: fetching $package (not installed, only unpacked)"
    # Sandbox::User: the user _apt has no access to this folder.
    (cd "$tmp" && quietly apt-get -q -o APT::Sandbox::User=root download "$package") || {
        update_lists
        (cd "$tmp" && quietly apt-get -q -o APT::Sandbox::User=root download "$package") ||
            die "machine: apt-get cannot download $package: check the network (log: $SAID)"
    }
    unpack_kernel "$tmp"/linux-image-*.deb "$tmp/new"
    release=$(ls "$tmp/new/lib/modules")
    unpack_bzimage "$tmp/new/boot/vmlinuz-$release" "$tmp/new/vmlinux"
    rm -rf "$tmp/new/boot"
    echo "$release" >"$tmp/new/release"
    rm -rf "$target"
    mv "$tmp/new" "$target"
    rm -rf "$tmp"
    say "machine: kernel $release is now in $target"
}

# The newer kernel of the emulated machine, with iommufd, and variants without parts of VFIO.
do_iommufd()
{
    "$DEVTOOLS/vm/kernel-modules"
}

main()
{
    local step
    [ "$#" -gt 0 ] || set -- packages headers machine iommufd
    for step; do
        case $step in
        packages | headers | machine | iommufd) ;;
        *) die "unknown step '$step': known: packages, headers, machine, iommufd" ;;
        esac
    done
    export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

    # The headers can be fetched on any Debian release (devtools/matrix does that).
    [ "$*" = headers ] || check_system "$@"
    open_cache
    for step; do
        "do_$step"
    done
}

main "$@"
