#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# Does an ordinary user forward, with no more than udev's rule, the user and the limits of doc/ordinary_user.md?
# test_ordinary_user.sh BUILD: in the emulated machine (profile default). Installs BUILD there and does what
# systemd would do with the service, for there is no systemd in there.
set -u
readonly BUILD=$1
readonly RUNTIME=/run/gantry-l2fwd CONF=/etc/gantry/l2fwd.conf
passed=0 failed=0 out=$(mktemp)
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin

judge() # name, then a command that says whether it holds
{
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1)); echo "ok      ordinary_user: $name"
    else
        failed=$((failed + 1)); echo "FAILED  ordinary_user: $name"; cat "$out"
    fi
}

of_service() # the value of a key of the service
{
    sed -n "s/^$1=//p" "$service"
}

# Runs what the service runs, as its user, without any capability, with a limit in bytes on locked memory.
as_service() # user, limit
{
    local user=$1 limit=$2 command
    . $CONF
    command=$(of_service ExecStart)
    mkdir -p $RUNTIME
    chown "$user" $RUNTIME
    # shellcheck disable=SC2086
    env -i XDG_RUNTIME_DIR=$RUNTIME LC_ALL=C prlimit --memlock="$limit" \
        setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        ${command%\$OPTIONS} $OPTIONS >"$out" 2>&1
}

install_all()
{
    meson install -C "$BUILD" --no-rebuild --quiet >"$out" 2>&1 && service=$(find /usr/local/lib -name gantry-l2fwd.service) &&
        [ -n "$service" ]
}

unit_holds()
{
    mkdir -p /etc/gantry
    systemd-analyze verify "$service" >"$out" 2>&1 && ! grep -q gantry "$out"
}

user_is_made()
{
    systemd-sysusers /usr/local/lib/sysusers.d/gantry.conf >"$out" 2>&1 && id gantry >>"$out" && getent group gantry >>"$out"
}

files_are_the_groups() # after udev has seen them
{
    local file
    # Rules of others are none of this test's business.
    mkdir -p /run/udev/rules.d
    cp /usr/local/lib/udev/rules.d/70-gantry.rules /run/udev/rules.d/
    /lib/systemd/systemd-udevd --daemon >"$out" 2>&1
    udevadm trigger --action=add --subsystem-match=vfio --subsystem-match=vfio-dev --subsystem-match=misc >>"$out" 2>&1
    udevadm settle >>"$out" 2>&1
    ls -l /dev/vfio /dev/vfio/devices /dev/iommu >>"$out" 2>&1
    for file in /dev/vfio/[0-9]* /dev/vfio/devices/vfio* /dev/iommu; do
        [ ! -e "$file" ] || [ "$(stat -c '%G %a' "$file")" = "gantry 660" ] || return 1
    done
    compgen -G '/dev/vfio/[0-9]*' >/dev/null || compgen -G '/dev/vfio/devices/vfio*' >/dev/null
}

wires()
{
    local side nic=3 address=1

    for side in left right; do
        ip netns add $side
        ip link set "$(ls /sys/bus/pci/devices/0000:0$nic:00.0/net)" netns $side
        ip netns exec $side sh -c "ip addr add 10.78.0.$address/24 dev eth$((nic - 3)); ip link set eth$((nic - 3)) up"
        nic=$((nic + 1)) address=$((address + 1))
    done
}

forwards()
{
    for _ in $(seq 300); do
        grep -q "forwarding" "$out" && break
        kill -0 $pid 2>/dev/null || return 1
        sleep 0.1
    done
    for _ in $(seq 30); do ip netns exec left ping -c 1 -W 1 -q 10.78.0.2 >/dev/null && break; done
    ip netns exec left ping -c 20 -i 0.05 -W 5 -q 10.78.0.2 | grep -q " 0% packet loss"
}

runs_as() # user
{
    [ "$(ps -o user= -p "$(pgrep -x gantry-l2fwd)")" = "$1" ] &&
        grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(pgrep -x gantry-l2fwd)/status"
}

ends_well()
{
    pkill -TERM -x gantry-l2fwd
    wait $pid && grep -q '^container default: ' "$out"
}

nothing_is_left()
{
    [ "$(grep -c . <(find /dev/hugepages -type f))" -eq 0 ] &&
        [ "$(awk '/HugePages_Total/ {t = $2} /HugePages_Free/ {f = $2} END {print t - f}' /proc/meminfo)" -eq 0 ]
}

refused() # status, what the one line says
{
    [ "$1" -eq 1 ] && grep -q "$2" "$out"
}

judge "it is installed" install_all
judge "systemd finds no fault with the service" unit_holds
judge "sysusers makes the user" user_is_made
judge "udev gives the group its files" files_are_the_groups
wires
cat >$CONF <<'END'
DEVICES="0000:01:00.0 0000:02:00.0"
OPTIONS="-l 0-1 -a vfio_pci:0000:01:00.0 -a vfio_pci:0000:02:00.0 -- -p 0x3 -T 0 -P --no-mac-updating"
END
limit=$(numfmt --from=iec "$(of_service LimitMEMLOCK)")
as_service gantry "$limit" &
pid=$!
judge "packets cross" forwards
judge "it is an ordinary user without capabilities" runs_as gantry
judge "SIGTERM ends it well" ends_well
judge "no hugepage is left" nothing_is_left

as_service gantry $((1 << 20))
judge "a limit too low is said, with the figure" refused $? "RLIMIT_MEMLOCK of [0-9]* KiB"
as_service nobody "$limit"
judge "a user without the group is told which file" refused $? "no permission for /dev/"
judge "no hugepage is left by those" nothing_is_left

rm -f "$out"
echo "$passed passed, $failed failed, 0 skipped"
exit $((failed > 0))
