#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Completes command lines in bash. Compares what is offered with --help and with a mock sysfs.

usage: test_completions.py FILE NAME=PROGRAM...

FILE is what is installed for bash. Most lines are completed by calling its functions, with the
variables that bash sets for them. Some are completed by TAB in an interactive bash on a
pseudo-terminal.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import program_help  # noqa: E402

# Calls the function that is registered for the first word, and prints what it offers. "=" and ":"
# break words, as they do in an interactive bash.
CALL = r'''
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
. "$1" || exit 1
COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=()
eval "COMP_WORDS=($3)"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\).*/\1/')
"$function"
printf '%s\n' "${COMPREPLY[@]}"
'''
DRIVERS = ['e1000e', 'vfio-pci']
HELD = {
    '0000:01:00.0': 'vfio-pci', '0000:02:00.0': 'vfio-pci',
    '0000:03:00.0': 'e1000e', '0001:01:00.0': 'e1000e',
}
GROUPS = ['7', '12']
NETDEVS = ['eth1', 'eth2', '$(kill${IFS}$$)']   # the last one is a name that the kernel allows
PROMPT = 'ready> '
PATIENCE = 20   # seconds that an interactive bash may need


class Bash:
    """Completes lines; `folder` has the root of sysfs, and files of this."""

    def __init__(self, file, folder):
        self.file, self.folder = file, folder
        self.env = {**os.environ, '_gantry_root': f'{folder}/root', 'LC_ALL': 'C', 'TERM': 'dumb'}

    def words(self, line):
        """What is offered for the last word of a line, whole words again."""
        parts = [part for part in re.split(r'\s+|([=:])', line) if part]
        # The cursor is in a word of its own after a blank or a break.
        if line[-1] in ' =:':
            parts.append('')
        quoted = ' '.join("'" + part + "'" for part in parts)
        command = ['bash', '--norc', '-c', CALL, 'bash', self.file, line, quoted]
        done = subprocess.run(command, env=self.env, check=False, capture_output=True, text=True,
                              timeout=60)
        if done.returncode != 0 or done.stderr:
            raise AssertionError(f'{line}: exit status {done.returncode}: {done.stderr}')
        last = line.rsplit(' ', 1)[-1]
        prefix = last[:max(last.rfind('='), last.rfind(':')) + 1]
        return [prefix + word for word in done.stdout.splitlines() if word]

    def press_tab(self, line, before=''):
        """The line that TAB makes of a line in an interactive bash, which runs `before` first."""
        rc = f'{self.folder}/bashrc'
        with open(rc, 'w', encoding='ascii') as file:
            file.write(f'PS1="{PROMPT}"\nbind "set enable-bracketed-paste off"\n')
            file.write(f'{before}\n. "{self.file}"\n')
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe('bash', ['bash', '--noprofile', '--rcfile', rc, '-i'], self.env)
        output, shown = self.read_until(fd, PROMPT), None
        if output:
            # The cursor goes to the line's ends (^A, ^E): the line becomes an argument of printf.
            os.write(fd, line.encode() + b'\t\x01printf "<<%s>>\\n" \'\x05\'\n')
            shown = self.read_until(fd, r'\n<<(.*)>>\r?\n')
        os.kill(pid, signal.SIGKILL)
        os.close(fd)
        os.waitpid(pid, 0)
        return shown.group(1) if shown else 'no answer of bash'

    @staticmethod
    def read_until(fd, pattern):
        """Reads a terminal until a pattern matches. None: it takes too long, or is closed."""
        output, ends = '', time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            found = re.search(pattern, output)
            if found:
                return found
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    output += os.read(fd, 65536).decode(errors='replace')
                except OSError:
                    break
        return None


def make_sysfs(root):
    """Devices, drivers and netdevs, as far as completions look at them."""
    for driver in DRIVERS:
        os.makedirs(f'{root}/sys/bus/pci/drivers/{driver}')
    for address, driver in HELD.items():
        os.makedirs(f'{root}/sys/bus/pci/devices/{address}')
        os.symlink(f'../../devices/{address}', f'{root}/sys/bus/pci/drivers/{driver}/{address}')
    for number in GROUPS:
        os.makedirs(f'{root}/sys/kernel/iommu_groups/{number}')
    os.makedirs(f'{root}/proc/4242')
    for netdev in NETDEVS:
        os.makedirs(f'{root}/sys/class/net/{netdev}')


def with_driver(driver):
    return {address for address, held in HELD.items() if held == driver}


# The line, and what is offered, whole.
LINES = [
    ('gantry-run --backend=', {'--backend=auto', '--backend=type1', '--backend=iommufd'}),
    ('gantry-run --backend=t', {'--backend=type1'}),
    ('gantry-run --coalesce=', {'--coalesce=off', '--coalesce=start', '--coalesce=always'}),
    ('gantry-run --isolate --coalesce=s', {'--coalesce=start'}),
    ('gantry-run --backend=x', set()),
    ('gantry-broker --memlock=', {'--memlock=unlimited'}),
    ('gantry-broker --user=roo', {'--user=root'}),
    ('gantry-broker ', with_driver('vfio-pci')),
    ('gantry-broker --once 0000:02', {'0000:02:00.0'}),
    ('gantry-broker 0000:01:00.0 ', {'0000:02:00.0'}),
    ('gantry-broker --sysfs=/nowhere ', set()),
    ('gantry-bind ', {'none', 'default', 'status', *DRIVERS}),
    ('gantry-bind -q v', {'vfio-pci'}),
    ('gantry-bind -', {'-q', '-h', '--help'}),
    ('gantry-bind status ', set(HELD)),
    ('gantry-bind vfio-pci 0000:03:00.0 0000:', {'0000:01:00.0', '0000:02:00.0'}),
    ('gantry-bind none 0001', {'0001:01:00.0'}),
    ('gantry-bind none 02:', {'02:00.0'}),
    ('gantry-bind -q default 0000:03', {'0000:03:00.0'}),
    ('gantry-info ', {'device', 'group', 'map', 'process', 'serve', 'why'}),
    ('gantry-info --json w', {'why'}),
    ('gantry-info why --backend=n', {'--backend=noiommu'}),
    ('gantry-info why ', set(HELD)),
    ('gantry-info --no-huge why 0000:03', {'0000:03:00.0'}),
    ('gantry-info device 02:', {'02:00.0'}),
    ('gantry-info group ', set(GROUPS)),
    ('gantry-info process 4', {'4242'}),
    ('gantry-info --po', {'--port='}),
    ('gantry-info --port=0 serve 4', {'4242'}),
    ('gantry-trace a', {'audit'}),
    ('gantry-trace audit 4', {'4242'}),
    ('gantry-trace --seconds=3 42', {'4242'}),
    ('gantry-trace --w', {'--watch', '--watch='}),
    ('gantry-trace 4242 4', set()),
    ('gantry-trace -- 4', set()),
    ('gantry-l2fwd -a ', {f'vfio_pci:{address}' for address in with_driver('vfio-pci')}),
    ('gantry-l2fwd -a vfio_pci:0000:02', {'vfio_pci:0000:02:00.0'}),
    ('gantry-l2fwd -a vfio_pci:02', set()),
    ('gantry-l2fwd --vdev=net_gantry_af_xdp0,iface=',
     {f'--vdev=net_gantry_af_xdp0,iface={netdev}' for netdev in NETDEVS[:2]}),
    ('gantry-l2fwd --iova-mode=v', {'--iova-mode=va'}),
    ('gantry-l2fwd --no-pci -- -p ', set()),
    ('gantry-l2fwd --no-pci -- --mac', {'--mac-updating'}),
]
# The line before and after TAB.
LOADER = '/usr/share/bash-completion/bash_completion'
TABS = [
    ('gantry-run --back', 'gantry-run --backend='),
    ('gantry-run --backend=ty', 'gantry-run --backend=type1 '),
    ('gantry-bind status 0000:03', 'gantry-bind status 0000:03:00.0 '),
    ('gantry-bind none 02:00', 'gantry-bind none 02:00.0 '),
    ('gantry-l2fwd -a vfio_pci:0000:02', 'gantry-l2fwd -a vfio_pci:0000:02:00.0 '),
]
# The same where bash-completion is loaded, which knows the options of cat.
LOADED_TABS = TABS + [
    ('gantry-run cat --vers', 'gantry-run cat --version '),
    ('gantry-run --backend=type1 -- cat --vers', 'gantry-run --backend=type1 -- cat --version '),
    ('gantry-broker 0000:01:00.0 -- cat --vers', 'gantry-broker 0000:01:00.0 -- cat --version '),
]


def options_offered(bash, name):
    """All options that are offered for a program, without the "=" at their ends."""
    lines = {'gantry-l2fwd': ['gantry-l2fwd -l 0 -- -']}.get(name, [f'{name} -'])
    return {word.rstrip('=') for line in lines for word in bash.words(line)} - {'--'}


def values(bash, name, truth):
    """Are the values of options offered?"""
    wrong = []
    for option, wanted in truth.items():
        if wanted:
            line = f'{name} {option}='
            wrong += compare(line, set(bash.words(line)), {f'{option}={value}' for value in wanted})
    return wrong


def follows(bash, folder):
    """What is offered where another program's words are."""
    wrong = []
    open(f'{folder}/file-of-program', 'w', encoding='ascii').close()
    for line in ('gantry-run bas', 'gantry-run --isolate -- bas',
                 'gantry-broker --user=root 0000:01:00.0 -- bas'):
        if 'bash' not in bash.words(line):
            wrong.append(f'{line}: bash is not offered')
    for line in (f'gantry-run cat {folder}/file-',
                 f'gantry-run --isolate cat --backend {folder}/file-',
                 f'gantry-broker 0000:01:00.0 -- cat {folder}/file-',
                 f'gantry-run --log={folder}/file-'):
        if not any(word.endswith(f'{folder}/file-of-program') for word in bash.words(line)):
            wrong.append(f'{line}: the file is not offered: {bash.words(line)}')
    for line in ('gantry-run cat --ba', 'gantry-broker 0000:01:00.0 -- cat --us'):
        if bash.words(line):
            wrong.append(f'{line}: an option of ours is offered')
    return wrong


def compare(what, has, wanted):
    return [] if has == wanted else [f'{what}: offers {sorted(has)}, not {sorted(wanted)}']


def main():
    file, *programs = sys.argv[1:]
    folder = tempfile.mkdtemp()
    bash = Bash(os.path.realpath(file), folder)
    counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}

    def case(name, wrong, skipped=''):
        state = 'skipped' if skipped else 'FAILED' if wrong else 'ok'
        counts[state] += 1
        print(f'{state:7} completions: {name}{skipped}', *wrong, sep='\n  ', flush=True)

    def tabs(lines, before=''):
        return [f'{line}: {got!r}, not {wanted!r}' for line, wanted in lines
                if (got := bash.press_tab(line, before)) != wanted]

    try:
        make_sysfs(f'{folder}/root')
        for program in programs:
            name, _, path = program.partition('=')
            truth = program_help.options(name, program_help.help_text([path]))
            case(f'{name}: options are those of --help',
                 compare(name, options_offered(bash, name), set(truth)))
            case(f'{name}: values are those of --help', values(bash, name, truth))
        case('lines offer what they should',
             sum((compare(line, set(bash.words(line)), wanted) for line, wanted in LINES), []))
        case('the program that follows is completed as such', follows(bash, folder))
        case('TAB completes in an interactive bash', tabs(TABS))
        loaded = os.path.exists(LOADER)
        case('TAB completes where bash-completion is loaded',
             tabs(LOADED_TABS, f'. {LOADER}') if loaded else [],
             '' if loaded else ' (bash-completion is not installed)')
    finally:
        shutil.rmtree(folder)
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return counts['FAILED'] > 0


if __name__ == '__main__':
    sys.exit(main())
