# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Functions that the set-ups share: messages, the cache, and access to Debian's archive. Sourced by
# devtools/deps.sh and the set-ups of devtools/vm, which are bash scripts with "set -Eeuo pipefail".
# The caller sets ME first: the prefix of messages. A function that fails ends the program with one
# line that says why.

readonly DEVTOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly CONFIG_DIR=$DEVTOOLS/../config

# Modules for hardware that no emulated machine has. Without them a kernel takes a quarter of the
# space.
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

# Runs a command without output. If it fails, its output is in the file SAID, which messages name.
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

# Ends the program if set-up does not support this system.
check_system()
{
    local id= version= arch

    if [ -r /etc/os-release ]; then
        id=$(. /etc/os-release && echo "${ID:-}")
        version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    fi
    case "$id $version" in
    'debian 12' | 'debian 13') ;;
    *)
        die "this is ${id:-an unknown system}${version:+ $version}, but set-up knows Debian 12 and 13 only; install by hand what config/packages.txt lists"
        ;;
    esac
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        die "apt-get and dpkg are missing, so no Debian package can be installed"
    arch=$(dpkg --print-architecture)
    [ "$arch" = amd64 ] || die "this machine is $arch, but the emulated machine and the drivers are for amd64"
}

# Prints the files below /etc/apt that name Debian's archive, according to apt.
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

# Reads apt's package lists if apt knows no Debian archive yet.
need_lists()
{
    [ -n "$(debian_source_files)" ] && return
    [ "${LISTS_READ:-no}" = yes ] || update_lists
    [ -n "$(debian_source_files)" ] ||
        die "apt has no reachable source of Debian packages; add Debian's main archive to /etc/apt/sources.list.d and try again"
}

# Prints the first dependency of package $1 whose name begins with $2; nothing if apt knows none.
needed_by()
{
    { apt-cache depends "$1" 2>/dev/null || :; } | sed -n "s/^ *Depends: \($2.*\)/\1/p" | head -n 1
}

# Adds Debian's security archive to apt for the rest of the program, with separate lists in folder
# $1. The sources of a machine may lack it, as those that debootstrap writes do. Its URI is that of
# the main archive with "-security", on mirrors too.
add_security_archive()
{
    local dir=$1 suite main

    main=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n '/security/d; s/^Debian|\(.*[^/]\)\/*$/\1/p' | sort -u | sed -n 1p)
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mkdir -p "$dir/parts" "$dir/lists/partial"
    cp $(debian_source_files) "$dir/parts/"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $main-security $suite-security main" >"$dir/parts/security.list"
    cat >"$dir/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$dir/parts";
Dir::State::Lists "$dir/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
END
    export APT_CONFIG=$dir/apt.conf
    quietly apt-get -q update || say "Debian's security archive cannot be read at $main-security (apt's words are in $SAID)"
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

# Installs the missing packages of the list in file $1.
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
    # Old lists name files that the archive no longer has: read the lists again and retry once.
    if ! install_missing "${missing[@]}"; then
        update_lists
        install_missing "${missing[@]}" || die "apt-get could not install ${missing[*]}; is there a network? (apt's words are in $SAID)"
    fi
}

# Sets CACHE and SAID. Locks the cache: one set-up at a time. Removes the temporary files of set-ups
# that were killed.
open_cache()
{
    CACHE=$("$DEVTOOLS/cache-dir")
    SAID=$CACHE/$ME.log             # output of the last command that failed
    if [ -z "${GANTRY_CACHE_LOCKED:-}" ]; then
        exec 9>"$CACHE/.lock"
        flock 9
        export GANTRY_CACHE_LOCKED=yes  # for the set-ups that this one calls
    fi
    rm -rf "$CACHE"/.tmp.* "$SAID"
    trap 'rm -rf "$CACHE"/.tmp.*' EXIT
    trap 'die "the step at line $LINENO of $0 failed: $BASH_COMMAND"' ERR
}

# Unpacks image and modules of the kernel package $1 into folder $2. Since Debian 13 the modules are
# in /usr/lib, and compressed; the guest's first modprobe takes plain ones only.
unpack_kernel()
{
    local package=$1 dir=$2 part exclude=(--exclude=./usr/share)

    for part in "${UNUSED_MODULES[@]}"; do
        exclude+=("--exclude=*/lib/modules/*/kernel/$part")
    done
    mkdir -p "$dir"
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$dir" "${exclude[@]}"
    if [ -d "$dir/usr/lib/modules" ]; then
        mv "$dir/usr/lib" "$dir/lib"
        rm -rf "$dir/usr"
    fi
    find "$dir/lib/modules" -name '*.ko.xz' -print0 | xargs -0 -r -P "$(nproc)" -n 64 xz -d
    depmod -b "$dir" "$(ls "$dir/lib/modules")"
}

# Prints the archives that this machine's apt reads, one a line: URI|suite|component|label.
own_archives()
{
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(LABEL)' 'Created-By: Packages' 'Origin: Debian' | sort -u
}

# Prints one source in apt's deb822 format. Arguments: URI, suite, component.
source_entry()
{
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n' "$@"
    [ ! -r $keyring ] || printf 'Signed-By: %s\n' $keyring
    echo
}

# Prints the sources of this machine.
own_sources()
{
    local uri suite component label

    while IFS='|' read -r uri suite component label; do
        source_entry "$uri" "$suite" "$component"
    done < <(own_archives)
}

# Prints a source for suite $1, in the archive that this machine uses.
suite_source()
{
    local uri suite component label

    IFS='|' read -r uri suite component label < <(own_archives | sed -n '/|main|Debian$/p')
    source_entry "$uri" "$1" main
}

# Sets APT: options with which apt uses separate state in folder $1, for architecture $2, with no
# package installed. Reads the sources from standard input. Downloaded packages stay in the folder
# for the next attempt.
private_apt()
{
    local dir=$1 arch=$2

    mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/archives/partial"
    cat >"$dir/parts/debian.sources"
    : >"$dir/status"
    APT=(
        -q
        -o Dir::Etc::SourceList=/dev/null
        -o Dir::Etc::SourceParts="$dir/parts"
        -o Dir::State::Lists="$dir/lists"
        -o Dir::State::status="$dir/status"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o Dir::Cache::Archives="$dir/archives"
        -o APT::Architecture="$arch" -o APT::Architectures="$arch"
        -o APT::Sandbox::User=root
        -o APT::Keep-Downloaded-Packages=true
    )
    quietly apt-get "${APT[@]}" update || die "the lists of $(sed -n 's/^URIs: //p' "$dir/parts/debian.sources" | head -n 1)" \
        "cannot be read; is there a network? (apt's words are in $SAID)"
}

# Downloads packages and their dependencies.
fetch()
{
    quietly apt-get "${APT[@]}" -y --no-install-recommends --download-only install "$@" ||
        die "apt-get could not download $* (its words are in $SAID)"
}

# Unpacks all packages of folder $1 into folder $2, with a merged /usr. Further arguments are
# options of tar. No maintainer script runs.
unpack()
{
    local archives=$1 root=$2 dir package
    shift 2

    for dir in bin sbin lib lib64; do
        mkdir -p "$root/usr/$dir"
        ln -s "usr/$dir" "$root/$dir"
    done
    for package in "$archives"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink --no-same-owner "$@"
    done
}

# Writes a program that starts the QEMU $2 of the folder $1, into which its packages are unpacked,
# from outside of it. It uses that folder's dynamic loader and libraries, not this machine's.
write_starter()
{
    cat >"$1/$2" <<END
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
libraries=\$here/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR=\$libraries/qemu
exec "\$here/usr/lib64/ld-linux-x86-64.so.2" --library-path "\$libraries:\$libraries/systemd" \\
    "\$here/usr/bin/$2" -L "\$here/usr/share/qemu" -L "\$here/usr/share/seabios" "\$@"
END
    chmod +x "$1/$2"
}

# Puts the folder $1 in the place $2.
put()
{
    rm -rf "$2"
    mkdir -p "$(dirname "$2")"
    chmod 755 "$1" # mktemp creates folders with mode 700
    mv "$1" "$2"
}

# Prints the little-endian number of $3 bytes at offset $2 of file $1.
number_at()
{
    od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# Extracts the ELF kernel of bzImage $1 into file $2: it boots through PVH in half the time.
# Position and length of the payload: Linux, Documentation/x86/boot.rst, fields setup_sects,
# payload_offset, payload_length. The last four bytes of the payload are its uncompressed size, and
# not part of the compressed stream.
unpack_bzimage()
{
    local image=$1 elf=$2 start len magic unpack
    start=$(( ($(number_at "$image" 0x1f1 1) + 1) * 512 + $(number_at "$image" 0x248 4) ))
    len=$(( $(number_at "$image" 0x24c 4) - 4 ))
    magic=$(od -A n -t x1 -j "$start" -N 4 "$image" | tr -d ' ')
    case $magic in
    fd377a58) unpack='xz -dc' ;;
    28b52ffd) unpack='zstd -dc' ;;
    *) die "the kernel is packed in a way not known here (magic $magic)" ;;
    esac
    dd if="$image" bs=64K iflag=skip_bytes,count_bytes skip="$start" count="$len" status=none |
        $unpack >"$elf" || die "the kernel's payload in $image could not be unpacked"
}
