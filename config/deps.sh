#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What must be on this machine before Gantry can be built and tested, and how does it get there?
# Packages (config/packages.txt), DPDK's driver headers, the kernel of the emulated machine. Looks before it fetches.
#
# usage: config/deps.sh [packages] [headers] [machine]        (no word: all three)
set -Eeuo pipefail

ME=deps
. "$(dirname "${BASH_SOURCE[0]}")/deps-lib.sh"

readonly DPDK_SERIES='22.11 24.11 25.11'

# The headers that drivers and buses include, and that Debian's libdpdk-dev leaves out.
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

# Gives apt, in the folder $1, the same archives as the machine but for source packages, in lists of its own.
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

# An older set-up may have left fewer than are wanted now.
has_headers()
{
    local header
    for header in "${DRIVER_HEADERS[@]}"; do
        [ -e "$1/$header" ] || return 1
    done
}

# A header set is good if one file that includes all of it compiles against the installed DPDK.
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
    *) die "headers: DPDK $version is installed, but Gantry is made for $DPDK_SERIES" ;;
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
    # One source that fails is none of our business if another has the package.
    quietly apt-get "${APT_PRIVATE[@]}" update || :
    compgen -G "$tmp/lists/*_Sources*" >/dev/null ||
        die "headers: the archive's lists of sources could not be read; is there a network?"
    (cd "$tmp" && quietly apt-get "${APT_PRIVATE[@]}" --download-only source --only-source "dpdk=$package") ||
        die "headers: apt-get could not get the source package dpdk $package, which matches the installed one (apt's words are in $SAID)"
    # apt has checked the files against the archive's signed lists.
    (cd "$tmp" && quietly dpkg-source --no-check -x dpdk_*.dsc src) || die "headers: dpkg-source could not unpack dpdk $package (its words are in $SAID)"

    mkdir -p "$tmp/new/include"
    for header in "${DRIVER_HEADERS[@]}"; do
        find "$tmp/src/lib" "$tmp/src/drivers/bus" -name "$header" -exec cp {} "$tmp/new/include/" \;
    done
    quietly headers_compile "$tmp/new/include" || die "headers: the driver headers of dpdk $package do not compile here (gcc's words are in $SAID)"
    rm -rf "$CACHE/dpdk-$version"
    mv "$tmp/new" "$CACHE/dpdk-$version"
    rm -rf "$tmp"
    say "headers: DPDK $version's driver headers are now in $target"
}

# Little-endian number of $3 bytes at offset $2 of file $1.
number_at()
{
    od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# The uncompressed ELF inside a bzImage: it boots through PVH in half the time. Where its payload is and how
# long: Linux, Documentation/x86/boot.rst, fields setup_sects, payload_offset, payload_length. The last four
# bytes of the payload are its uncompressed size, which is not part of the compressed stream.
unpack_bzimage()
{
    local image=$1 elf=$2 start len magic unpack
    start=$(( ($(number_at "$image" 0x1f1 1) + 1) * 512 + $(number_at "$image" 0x248 4) ))
    len=$(( $(number_at "$image" 0x24c 4) - 4 ))
    magic=$(od -A n -t x1 -j "$start" -N 4 "$image" | tr -d ' ')
    case $magic in
    fd377a58) unpack='xz -dc' ;;
    28b52ffd) unpack='zstd -dc' ;;
    *) die "machine: the kernel is packed in a way not known here (magic $magic)" ;;
    esac
    dd if="$image" bs=64K iflag=skip_bytes,count_bytes skip="$start" count="$len" status=none |
        $unpack >"$elf" || die "machine: the kernel's payload in $image could not be unpacked"
}

do_machine()
{
    local target=$CACHE/kernel-stock package release tmp

    if [ -e "$target/release" ]; then
        say "machine: kernel $(cat "$target/release") is in $target"
        return
    fi
    need_lists
    package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || die "machine: apt knows no kernel package (linux-image-amd64)"
    tmp=$(mktemp -d "$CACHE/.tmp.XXXXXX")
    say "machine: fetching $package (not installed, only unpacked)"
    # apt's own user may not enter this folder.
    (cd "$tmp" && quietly apt-get -q -o APT::Sandbox::User=root download "$package") || {
        update_lists
        (cd "$tmp" && quietly apt-get -q -o APT::Sandbox::User=root download "$package") ||
            die "machine: apt-get could not download $package; is there a network? (apt's words are in $SAID)"
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

main()
{
    local step
    [ "$#" -gt 0 ] || set -- packages headers machine
    for step; do
        case $step in
        packages | headers | machine) ;;
        *) die "unknown step '$step'; there are packages, headers and machine" ;;
        esac
    done
    export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

    # Newer Debians have the headers too (config/matrix).
    [ "$*" = headers ] || check_system
    open_cache
    for step; do
        "do_$step"
    done
}

main "$@"
