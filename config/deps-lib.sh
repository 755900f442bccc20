# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What do the set-ups have in common? How they speak, their cache, and how they get at Debian's archive.
# A bash script sources this after it has set ME, the name that it goes by in what it says.

readonly CONFIG_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Modules of hardware that no emulated machine has; leaving them out saves three quarters of the space.
readonly UNUSED_MODULES=(
    sound drivers/gpu drivers/media drivers/infiniband drivers/staging drivers/hid drivers/input
    drivers/iio drivers/usb drivers/bluetooth drivers/isdn drivers/md drivers/mtd drivers/scsi
    drivers/hwmon drivers/platform drivers/net/wireless drivers/net/can drivers/net/usb
    fs/ocfs2 fs/btrfs fs/xfs fs/f2fs fs/ceph fs/nfs fs/nfsd fs/smb fs/cifs fs/gfs2
)

say()
{
    printf '%s: %s\n' "$ME" "$*"
}

die()
{
    printf '%s: %s\n' "$ME" "$*" >&2
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
    sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$1"
}

missing_packages()
{
    local name

    for name in $(wanted_packages "$1"); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

install_missing()
{
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

# Installs what is missing of the packages that the file $1 lists.
ensure_packages()
{
    local file=$1 missing

    mapfile -t missing < <(missing_packages "$file")
    if [ "${#missing[@]}" -eq 0 ]; then
        say "packages: all $(wanted_packages "$file" | wc -l) are installed"
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

# Sets CACHE. One set-up at a time in a cache; what a killed one left is swept away by the next.
open_cache()
{
    CACHE=$("$CONFIG_DIR/cache-dir")
    SAID=$CACHE/$ME.log             # what the last command that failed said
    exec 9>"$CACHE/.lock"
    flock 9
    rm -rf "$CACHE"/.tmp.* "$SAID"
    trap 'rm -rf "$CACHE"/.tmp.*' EXIT
    trap 'die "the step at line $LINENO of $0 failed: $BASH_COMMAND"' ERR
}

# Unpacks from the kernel package $1 into the folder $2 what a machine boots and loads.
unpack_kernel()
{
    local package=$1 dir=$2 part exclude=()

    for part in "${UNUSED_MODULES[@]}"; do
        exclude+=("--exclude=./lib/modules/*/kernel/$part")
    done
    mkdir -p "$dir"
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" "${exclude[@]}" ./boot ./lib/modules
    depmod -b "$dir" "$(ls "$dir/lib/modules")"
}
