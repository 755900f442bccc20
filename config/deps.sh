#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What must be on this machine before Gantry can be built and tested, and how does it get there?
# Packages (config/packages.txt), DPDK's driver headers, the kernel of the emulated machine. Looks before it fetches.
#
# usage: config/deps.sh [packages] [headers] [machine]        (no word: all three)
set -Eeuo pipefail

readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly DPDK_SERIES=22.11

# The headers that drivers, buses and tests include, and that Debian's libdpdk-dev leaves out.
readonly DRIVER_HEADERS=(
    bus_driver.h dev_driver.h
    bus_pci_driver.h bus_vdev_driver.h
    ethdev_driver.h ethdev_pci.h ethdev_vdev.h
    rte_dmadev_pmd.h
    rte_test.h
)

# Modules of hardware that no emulated machine has; leaving them out saves three quarters of the space.
readonly UNUSED_MODULES=(
    sound drivers/gpu drivers/media drivers/infiniband drivers/staging drivers/hid drivers/input
    drivers/iio drivers/usb drivers/bluetooth drivers/isdn drivers/md drivers/mtd drivers/scsi
    drivers/hwmon drivers/platform drivers/net/wireless drivers/net/can drivers/net/usb
    fs/ocfs2 fs/btrfs fs/xfs fs/f2fs fs/ceph fs/nfs fs/nfsd fs/smb fs/cifs fs/gfs2
)

say()
{
    printf 'deps: %s\n' "$*"
}

die()
{
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

# Runs a command quietly; what a failed one said is kept in a file, which messages name.
quietly()
{
    if "$@" >"$CACHE/.output" 2>&1; then
        rm -f "$CACHE/.output"
    else
        mv "$CACHE/.output" "$SAID"
        return 1
    fi
}

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

check_system()
{
    local id= version= arch

    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "${ID:-}")
        version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    fi
    [ "$id" = debian ] && [ "$version" = 12 ] ||
        die "this is ${id:-an unknown system}${version:+ $version}, but set-up knows Debian 12 only; install by hand what config/packages.txt lists"
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        die "apt-get and dpkg are missing, so no Debian package can be installed"
    arch=$(dpkg --print-architecture)
    [ "$arch" = amd64 ] || die "this machine is $arch, but the emulated machine and the drivers are for amd64"
}

# The files below /etc/apt that name Debian's own archive, as apt itself understood them.
debian_source_files()
{
    apt-get indextargets --format '$(ORIGIN)|$(SOURCESENTRY)' 'Created-By: Packages' |
        sed -n 's/^Debian|\(.*\):[0-9]*$/\1/p' | sort -u
}

update_lists()
{
    say "packages: reading the archive's lists (apt-get update)"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "apt's package lists must be read, which needs root: start this as root or install sudo"
    quietly as_root apt-get -q update || say "packages: apt-get update failed ($SAID); going on with the lists that are there"
    LISTS_READ=yes
}

# Makes sure that apt knows the archive at all, and Debian's among its sources.
need_lists()
{
    [ -n "$(debian_source_files)" ] && return
    [ "${LISTS_READ:-no}" = yes ] || update_lists
    [ -n "$(debian_source_files)" ] ||
        die "apt has no reachable source of Debian packages; add Debian 12 to /etc/apt/sources.list.d and try again"
}

wanted_packages()
{
    sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$HERE/packages.txt"
}

missing_packages()
{
    local name

    for name in $(wanted_packages); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

install_missing()
{
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

do_packages()
{
    local missing

    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" -eq 0 ]; then
        say "packages: all $(wanted_packages | wc -l) are installed"
        return
    fi
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "missing packages need root to install; start this as root, or install them: ${missing[*]}"
    need_lists
    say "packages: installing ${missing[*]}"
    # Lists that are old name files that the archive no longer has: read them anew, then try once more.
    if ! install_missing "${missing[@]}"; then
        update_lists
        install_missing "${missing[@]}" || die "apt-get could not install ${missing[*]}; is there a network? (apt's words are in $SAID)"
    fi
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
    case $version in
    "$DPDK_SERIES".*) ;;
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
    local target=$CACHE/kernel-stock package release tmp part exclude=()

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
    for part in "${UNUSED_MODULES[@]}"; do
        exclude+=("--exclude=./lib/modules/*/kernel/$part")
    done
    mkdir -p "$tmp/new"
    dpkg-deb --fsys-tarfile "$tmp"/linux-image-*.deb | tar -x -C "$tmp/new" "${exclude[@]}" ./boot ./lib/modules
    release=$(ls "$tmp/new/lib/modules")
    unpack_bzimage "$tmp/new/boot/vmlinuz-$release" "$tmp/new/vmlinux"
    rm -rf "$tmp/new/boot"
    depmod -b "$tmp/new" "$release"
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

    check_system
    CACHE=$("$HERE/cache-dir")
    SAID=$CACHE/deps.log            # what the last command that failed said
    # One set-up at a time in a cache; what a killed one left is swept away by the next.
    exec 9>"$CACHE/.lock"
    flock 9
    rm -rf "$CACHE"/.tmp.* "$SAID"
    trap 'rm -rf "$CACHE"/.tmp.*' EXIT
    trap 'die "the step at line $LINENO of config/deps.sh failed: $BASH_COMMAND"' ERR
    for step; do
        "do_$step"
    done
}

main "$@"
