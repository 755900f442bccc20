# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Runs a systemd service without systemd, which the emulated machine lacks. Sourced after lib.sh,
# with BUILD, UNIT (name of the service) and, optionally, NETNS (network namespace to run it in).

readonly RUNTIME=/run/$UNIT CONF=/etc/gantry/${UNIT#gantry-}.conf
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin

of_service() # key: prints its value in the service file
{
    sed -n "s/^$1=//p" "$service"
}

# Runs ExecStart of the service, as a user, with its capabilities only, and a limit in bytes on
# locked memory.
as_service() # user, limit
{
    local user=$1 limit=$2 command caps
    . "$CONF"
    command=$(of_service ExecStart)
    caps=$(of_service AmbientCapabilities | tr '[:upper:] ' '[:lower:],' | sed 's/cap_/+/g')
    mkdir -p "$RUNTIME"
    chown "$user" "$RUNTIME"
    # shellcheck disable=SC2086
    ${NETNS:+ip netns exec "$NETNS"} env -i XDG_RUNTIME_DIR="$RUNTIME" LC_ALL=C prlimit --memlock="$limit" \
        setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs \
        --bounding-set="-all${caps:+,$caps}" --inh-caps="-all${caps:+,$caps}" ${caps:+--ambient-caps="-all,$caps"} \
        ${command%\$OPTIONS} $OPTIONS >"$out" 2>&1
}

install_all()
{
    meson install -C "$BUILD" --no-rebuild --quiet >"$out" 2>&1 && service=$(find /usr/local/lib -name "$UNIT.service") &&
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

begins()
{
    grep -q "forwarding" "$out" || ! kill -0 $pid
}

# Whether l2fwd runs as this user with these effective capabilities (hexadecimal digits without
# leading zeroes).
runs_as() # user, capabilities
{
    local process
    process=$(pgrep -x gantry-l2fwd)
    [ "$(ps -o user= -p "$process")" = "$1" ] && grep -q "^CapEff:[[:space:]]*0*${2:-}$" "/proc/$process/status"
}

ends_well() # container
{
    pkill -TERM -x gantry-l2fwd
    wait $pid && grep -q "^container $1: " "$out"
}

nothing_is_left()
{
    [ "$(grep -c . <(find /dev/hugepages -type f))" -eq 0 ] &&
        [ "$(awk '/HugePages_Total/ {t = $2} /HugePages_Free/ {f = $2} END {print t - f}' /proc/meminfo)" -eq 0 ]
}

refused() # status, text of the line
{
    [ "$1" -eq 1 ] && grep -q "$2" "$out"
}
