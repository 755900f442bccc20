#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Tests gantry-run on any host: refused programs, programs that do not open VFIO, exports of the
# library, options, and the commands of its guide. $1: build folder. Run by Meson.
set -u

SUITE=gantry_run
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build=$(realpath "$1")
dir=$(mktemp -d)
chmod 755 "$dir"
out=$dir/out
err=$dir/err
trap 'rm -rf "$dir"' EXIT
# Copies that other users can read, in the same folders as in the build.
mkdir -p "$dir/usertools/run" "$dir/lib/vfio_front"
cp "$build/usertools/run/gantry-run" "$dir/usertools/run/"
cp "$build/lib/vfio_front/libgantry_vfio.so" "$dir/lib/vfio_front/"
run=$dir/usertools/run/gantry-run
library=$dir/lib/vfio_front/libgantry_vfio.so
probe=$build/app/test/front/libfront_probe.so
skipped=0
cc=${CC:-cc}
unset LD_PRELOAD GANTRY_VFIO

skip() # name, reason
{
    echo "skipped $SUITE: $1: $2"
    skipped=$((skipped + 1))
}

# The library

exports_only() # file with the allowed names
{
    nm -D --defined-only "$library" | awk '{print $3}' | sort > "$out"
    diff "$1" "$out" > "$out.diff"
    local rc=$?
    mv "$out.diff" "$out"
    return $rc
}
sed -n 's/^\t\(\w*\);$/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../../../lib/vfio_front/libgantry_vfio.map" | sort > "$dir/names"
judge 'the library exports what it interposes and nothing else' exports_only "$dir/names"

needs_only_libc()
{
    readelf -d "$library" > "$out"
    grep -q 'NEEDED.*libc\.so' "$out" && ! grep NEEDED "$out" | grep -v -E '\[(libc|ld-linux-.*)\.so\.[0-9]\]'
}
judge 'it needs no library but the C library' needs_only_libc
judge 'it cannot be unloaded, and is bound at the start' grep -q 'NOW NODELETE' "$out"

# Refusals

# Whether a command with gantry-run is refused with one line, and nothing is started.
refuses() # status, text of the line, command
{
    local status=$1 words=$2
    shift 2
    rm -f "$dir/started"
    "$@" > "$out" 2> "$err"
    local got=$?
    cat "$err" >> "$out"
    echo "exit status $got" >> "$out"
    [ $got -eq "$status" ] && [ "$(wc -l < "$err")" -eq 1 ] && grep -q -- "^gantry-run: .*$words" "$err" &&
        [ ! -e "$dir/started" ]
}
cat > "$dir/prog.c" <<EOF
#include <fcntl.h>
#include <stdio.h>
int main(void) { puts("started"); return open("$dir/started", O_CREAT | O_WRONLY, 0666) < 0; }
EOF
build_prog() # name, then flags
{
    local name=$1
    shift
    "$cc" -o "$dir/$name" "$dir/prog.c" "$@" 2> "$out" || { echo "cannot build $name"; cat "$out"; return 1; }
}
runs() # command with gantry-run: whether the program is started
{
    rm -f "$dir/started"
    "$@" > "$out" 2>&1 && [ -e "$dir/started" ]
}
build_prog plain && judge 'a dynamic program runs' runs "$run" "$dir/plain"
build_prog now -Wl,-z,now && judge 'one that is bound at its start runs' runs "$run" "$dir/now"
build_prog nopie -no-pie && judge 'one that is not position-independent runs' runs "$run" "$dir/nopie"
build_prog static -static &&
    judge 'a static program is refused' refuses 126 'statically linked, so' "$run" "$dir/static"
build_prog static-pie -static-pie &&
    judge 'a static, position-independent one too' refuses 126 'static-pie' "$run" "$dir/static-pie"
build_prog musl -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 &&
    judge 'one for another C library is refused' refuses 126 'not linked with glibc' "$run" "$dir/musl"
mkdir "$dir/none"
build_prog gone -Wl,--dynamic-linker="$dir/none/$(basename "$(readelf -l "$dir/plain" |
    sed -n 's/.*interpreter: \(.*\)\]/\1/p')")" &&
    judge 'one without its dynamic linker is refused' refuses 126 'No such file' "$run" "$dir/gone"
patched() # name, offset, byte in octal
{
    cp "$dir/plain" "$dir/$1"
    # shellcheck disable=SC2059
    printf "\\$3" | dd of="$dir/$1" bs=1 seek="$2" conv=notrunc status=none
}
patched class 4 1
judge 'one of 32 bits is refused' refuses 126 'another machine' "$run" "$dir/class"
patched machine 18 17
judge 'one for another processor is refused' refuses 126 'another machine' "$run" "$dir/machine"
head -c 100 "$dir/plain" > "$dir/cut"
chmod +x "$dir/cut"
judge 'half a program is refused' refuses 126 'neither an ELF program' "$run" "$dir/cut"
echo 'echo hello' > "$dir/text"
chmod +x "$dir/text"
judge 'a text without "#!" is refused' refuses 126 'neither an ELF program' "$run" "$dir/text"
cp "$dir/plain" "$dir/noexec"
chmod -x "$dir/noexec"
judge 'a file that is not executable is refused' refuses 126 'not executable' "$run" "$dir/noexec"
judge 'a folder is refused' refuses 126 'directory' "$run" "$dir"
judge 'a program that is not there is 127' refuses 127 'not found' "$run" "$dir/nothing"
judge 'one that is not in PATH too' refuses 127 'not found in PATH' "$run" gantry-no-such-program
judge 'one that is in PATH is found' runs env PATH="/nowhere::$dir:$PATH" "$run" plain
judge 'no program at all is 125' refuses 125 'no program' "$run"
judge 'an unknown value is 125' refuses 125 'unknown value' "$run" --backend=noiommu "$dir/plain"
judge 'so is an empty name of a log' refuses 125 'empty file name' "$run" --log= "$dir/plain"
judge 'so is a log in a folder that is not there' refuses 125 'cannot be written' "$run" "--log=$dir/no-such-folder/log" "$dir/plain"
judge 'so is a folder as a log' refuses 125 'Is a directory' "$run" "--log=$dir" "$dir/plain"
mkdir -p "$dir/a b/usertools/run" "$dir/a b/lib/vfio_front"
cp "$run" "$dir/a b/usertools/run/"
judge 'a missing library is 125' refuses 125 'libgantry_vfio.so: not found' "$dir/a b/usertools/run/gantry-run" "$dir/plain"
cp "$library" "$dir/a b/lib/vfio_front/"
judge 'one whose name LD_PRELOAD cannot take is 125' refuses 125 'blank' "$dir/a b/usertools/run/gantry-run" "$dir/plain"

# Scripts
printf '#!/bin/sh\n: > %s/started\n' "$dir" > "$dir/script"
printf '#!%s/static -x\n' "$dir" > "$dir/script-static"
printf '#!/usr/bin/env static\n' > "$dir/script-env"
printf '#! %s/script-static\n' "$dir" > "$dir/script-script"
printf '#!%s/loop\n' "$dir" > "$dir/loop"
chmod +x "$dir/script" "$dir/script-static" "$dir/script-env" "$dir/script-script" "$dir/loop"
judge 'a script runs' runs "$run" "$dir/script"
judge 'a script of a static program is refused' refuses 126 'statically linked' "$run" "$dir/script-static"
judge 'through env too' refuses 126 'statically linked' env PATH="$dir:$PATH" "$run" "$dir/script-env"
judge 'and through another script' refuses 126 'statically linked' "$run" "$dir/script-script"
judge 'a script of itself is refused' refuses 126 'too many' "$run" "$dir/loop"

# Secure execution
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
    cp "$dir/plain" "$dir/setuid" && chown 65534 "$dir/setuid" && chmod u+s "$dir/setuid"
    cp "$dir/plain" "$dir/setgid" && chown 0:65534 "$dir/setgid" && chmod g+s "$dir/setgid"
    cp "$dir/plain" "$dir/suroot" && chmod u+s "$dir/suroot"
    judge 'a set-user-ID program is refused' refuses 126 'another user' "$run" "$dir/setuid"
    judge 'a set-group-ID program is refused' refuses 126 'another group' "$run" "$dir/setgid"
    judge 'one that stays the same user runs' runs "$run" "$dir/suroot"
    judge 'one whose bit counts for nothing runs' runs setpriv --no-new-privs "$run" "$dir/setuid"
    if command -v setcap > /dev/null && cp "$dir/plain" "$dir/caps" && setcap cap_ipc_lock+ep "$dir/caps" 2> "$out"; then
        judge 'one with file capabilities is refused to a user' refuses 126 'file capabilities' \
            setpriv --reuid=65534 --regid=65534 --clear-groups "$run" "$dir/caps"
        judge 'and runs for root' runs "$run" "$dir/caps"
    else
        skip 'file capabilities' 'setcap cannot set any here'
    fi
else
    skip 'secure execution' 'not root, or no setpriv'
fi

# Programs that do not open VFIO

same() # command: whether output and exit status are the same with and without gantry-run
{
    "$@" > "$out.native" 2>&1 < /dev/null
    local native=$?
    "$run" --report "$@" > "$out" 2>&1 < /dev/null
    local got=$?
    echo "exit status $got, without gantry-run $native" > "$out.status"
    cmp -s "$out.native" "$out"
    local rc=$?
    cat "$out.status" >> "$out"
    [ $rc -eq 0 ] && [ $got -eq $native ]
}
judge 'ls is as without' same ls -la /usr/bin
judge 'so is a pipeline of the shell' same sh -c 'cat /etc/passwd | sort -r | tail -n 3; exit 7'
judge 'its redirections' same sh -c 'exec 5< /etc/hostname; read -r x <&5; echo "$x"; exec 5<&-; ls -l /proc/self/fd | wc -l'
judge 'Python with subprocesses' same python3 -c '
import os, subprocess, sys
print(subprocess.run(["ls", "/"], capture_output=True, close_fds=True).stdout)
print(subprocess.run("exit 3", shell=True).returncode)
print(len(os.listdir("/proc/self/fd")))
print(os.environ.get("HOME"))
'
judge 'Python with threads and pipes' same python3 -c '
import os, threading
def work():
    for _ in range(300):
        r, w = os.pipe(); os.write(w, b"x"); os.read(r, 1); os.dup2(r, w); os.close(r); os.close(w)
t = [threading.Thread(target=work) for _ in range(4)]
[x.start() for x in t]; [x.join() for x in t]
print(len(os.listdir("/proc/self/fd")))
'
cat > "$dir/daemon.c" <<'EOF'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
/* A typical daemon: forks twice, closes all descriptors, then starts a child with vfork. */
int main(void)
{
    int p[2], n = -1;
    if (pipe(p) < 0) return 1;
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        dup2(p[1], 9);
        closefrom(10); close_range(0, 8, 0);
        if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(1) != 2) _exit(2);
        pid_t c = vfork();
        if (c == 0) { close(9); _exit(5); }
        waitpid(c, &n, 0);
        n = WEXITSTATUS(n) + 100 * (fcntl(9, F_GETFD) >= 0);
        write(9, &n, sizeof(n));
        _exit(0);
    }
    wait(NULL);
    close(p[1]);
    if (read(p[0], &n, sizeof(n)) != sizeof(n)) return 1;
    return printf("%d\n", n) < 0;
}
EOF
"$cc" -o "$dir/daemon" "$dir/daemon.c" 2> "$out" && judge 'a daemon that closes all and uses vfork' same "$dir/daemon"
if "$cc" -fsanitize=address -o "$dir/asan" "$dir/daemon.c" 2> "$out"; then
    ASAN_OPTIONS=verify_asan_link_order=0 judge 'a program with the address sanitizer' same "$dir/asan"
else
    skip 'a program with the address sanitizer' 'the compiler has none'
fi
judge 'a program that another one preloads is kept' sh -c "LD_PRELOAD=/no/such/lib.so '$run' env 2>/dev/null |
    grep -qx 'LD_PRELOAD=/no/such/lib.so:$library'"
judge 'gantry-run in gantry-run preloads once' sh -c "'$run' '$run' env | grep -qx 'LD_PRELOAD=$library'"
judge 'options reach the library' sh -c "cd /tmp; '$run' --backend=type1 --isolate --coalesce=always --report --faults --status --log=a,b env |
    grep -qx 'GANTRY_VFIO=backend=type1,coalesce=always,isolate,report,faults,status,log=/tmp/a,b'"
judge "the program's options are its own" sh -c "'$run' --isolate -- echo --report | grep -qx -- --report"

# The installed layout, and the commands of the guide, with a stand-in for each program that they
# name.
libdir=$(strings -n 8 "$run" | sed -n 's|^\.\./\(.*\)/gantry/libgantry_vfio.so$|\1|p')
mkdir -p "$dir/root/bin" "$dir/root/$libdir/gantry" "$dir/programs"
cp "$run" "$dir/root/bin/"
cp "$library" "$dir/root/$libdir/gantry/"
judge 'it runs where it was installed' runs "$dir/root/bin/gantry-run" "$dir/plain"
guide=$(dirname "${BASH_SOURCE[0]}")/../../../doc/guide_run_any_program.md
guide_runs()
{
    local command n=0 rc=0
    while read -r command; do
        rm -f "$dir/started"
        PATH="$dir/programs:$dir/root/bin:$PATH" sh -c "$command" > "$out" 2>&1 < /dev/null && [ -e "$dir/started" ] || rc=1
        n=$((n + 1))
    done < <(sed -n '/^```sh$/,/^```$/{/^gantry-run /p}' "$guide")
    # shellcheck disable=SC2034  # judge prints it
    seen="$n commands"
    [ $rc -eq 0 ] && [ $n -gt 0 ]
}
for program in dpdk-testpmd qemu-system-x86_64 my-nvme-tool; do
    cp "$dir/plain" "$dir/programs/$program"
done
judge 'the commands of the guide run' guide_runs

# Messages of the library, with the probe in place of the core. The probe takes /dev/zero for a
# container.
uses_vfio='import os; f = os.open("/dev/zero", os.O_RDWR)'
report()
{
    LD_PRELOAD=$probe GANTRY_VFIO=$1 python3 -c "$2" > "$out" 2>&1
}
judge 'a report is printed at the end' report report "$uses_vfio"
judge 'with what there was' grep -q '^gantry: report: at most 0 devices in 0 groups, 1 containers on 1 domains$' "$out"
judge 'and with refusals and their reasons' grep -q '^gantry: report:   1. PROBE_FAIL: Invalid cross-device link: a probe$' "$out"
report report "$uses_vfio; os.fork()"
once() { [ "$(grep -c '^gantry: report: process' "$out")" -eq 1 ]; }
judge 'not by a child that it forked' once
report report "$uses_vfio; os.close(f)"
judge 'of what was closed before too' grep -q ' 1 containers ' "$out"
report report 'import os'
nothing() { [ ! -s "$out" ]; }
judge 'not where nothing of VFIO was opened' nothing
report "report,log=$dir/log" "$uses_vfio"
in_file() { nothing && cat "$dir/log" > "$out" && grep -q '^gantry: report' "$out"; }
judge 'into a file, if one is named' in_file
report 'isolate,backend=type2' "$uses_vfio"
bad_once() { [ "$(grep -c 'type2' "$out")" -eq 1 ] && [ "$(grep -c . "$out")" -eq 2 ]; }
judge 'a bad option is one line, and the program runs' bad_once

no_container='import os; os.open("/dev/front-probe", os.O_RDWR)'
judge 'iommufd takes the place of a container that the kernel lacks' report backend=auto "$no_container"
judge 'also if it was asked for' report backend=iommufd "$no_container"
refused() { ! report backend=type1 "$no_container" && grep -q FileNotFoundError "$out"; }
judge 'but not if type1 was' refused

finish "$skipped"
