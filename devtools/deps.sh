#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Set-up of a machine for building and testing Gantry, called by `make deps`. Steps:
#   packages  Debian packages (config/packages.txt)
#   headers   DPDK's driver headers, from its source package (devtools/dpdk-headers-setup)
#   machine   the kernel of the emulated machine: Debian's stock kernel
#   iommufd   variants of a newer kernel with iommufd (devtools/vm/kernel-modules)
# A step whose result exists does nothing. A failed step leaves the former result in place.
#
# usage: devtools/deps.sh [packages] [headers] [machine] [iommufd]        (no word: all)
set -Eeuo pipefail

ME=deps
. "$(dirname "${BASH_SOURCE[0]}")/deps-lib.sh"

do_packages()
{
    ensure_packages "$CONFIG_DIR/packages.txt"
}

do_headers()
{
    "$DEVTOOLS/dpdk-headers-setup" || exit 1 # which has said why
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
    "$DEVTOOLS/vm/kernel-modules" || exit 1
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

    # The headers can be fetched on any Debian release.
    [ "$*" = headers ] || check_system "$@"
    open_cache
    for step; do
        "do_$step"
    done
}

main "$@"
