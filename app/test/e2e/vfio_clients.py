# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Functions that the tests of unmodified VFIO programs share. For the emulated machine.

They run a program alone or under gantry-run, from this machine or in a chroot of
devtools/vm/clients-setup. They count the system calls that the kernel saw, and print the table of
all runs.
"""

import argparse
import dataclasses
import os
import re
import subprocess
import time

from test_testpmd import Failure, check

BUILD = '/run/gantry-build'
GUEST_KERNEL = '/run/gantry-kernel'     # Debian's kernel, for a guest of the machine
GANTRY_RUN = f'{BUILD}/usertools/run/gantry-run'
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
LOG = '/run/gantry-front.log'    # messages of libgantry_vfio.so
TRACING = '/sys/kernel/tracing'
EVENT = f'{TRACING}/events/syscalls/sys_enter_ioctl'
# linux/vfio.h, linux/iommufd.h: numbers of the requests that map and unmap.
# VFIO_DEVICE_PCI_HOT_RESET, which QEMU calls once for a device, has the number of
# VFIO_IOMMU_MAP_DMA.
MAPS, UNMAPS = (0x3b71, 0x3b85), (0x3b72, 0x3b86)
LIMIT = 120                     # time-out in seconds; a case that reaches it fails


@dataclasses.dataclass(frozen=True)
class How:
    """How a program is run."""
    name: str                   # name in the table
    words: tuple = ()           # command line before the program

    def __str__(self):
        return self.name


ALONE = How('alone')


def under_gantry(*options):
    """Returns the How of gantry-run with these options."""
    return How(' '.join(options).replace('--backend=', ''), (GANTRY_RUN, '--report', f'--log={LOG}', *options))


def ways(both=False):
    """Returns how programs are run on this kernel: alone, then under gantry-run with iommufd, or
    type1 if the kernel lacks it.

    both: with type1 as well as iommufd.
    """
    backends = ['iommufd'] if os.path.exists('/dev/iommu') else []
    if both or not backends:
        backends.append('type1')
    return [ALONE, *(under_gantry(f'--backend={backend}') for backend in backends)]


# Where programs come from

def cache_dir():
    return subprocess.run([f'{TREE}/devtools/cache-dir'], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def set_up(build):
    """Mounts the build folder, at a path that not everyone may write to, and a kernel. Keeps this
    kernel's own addresses out of the frames."""
    for folder in (BUILD, GUEST_KERNEL, '/var/run/dpdk'):
        os.makedirs(folder, exist_ok=True)
    subprocess.run(['mount', '--bind', build, BUILD], check=True)
    subprocess.run(['mount', '--bind', f'{cache_dir()}/kernel-stock', GUEST_KERNEL], check=True)
    for name in ('all', 'default'):
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w', encoding='ascii') as file:
            file.write('1')


def enter(suite):
    """Returns the command-line prefix that runs a program in the chroot of a Debian suite, with
    this machine's devices and the build mounted there. None stands for this machine's programs: no
    prefix."""
    if suite is None:
        return []
    root = f'{cache_dir()}/clients/{suite}'
    check(os.path.exists(f'{root}/versions'), f'there is no {root}; run: devtools/vm/clients-setup')
    if not os.path.ismount(f'{root}/proc'):
        for folder in ('proc', 'sys', 'dev', 'run', 'tmp'):
            os.makedirs(f'{root}/{folder}', exist_ok=True)
            subprocess.run(['mount', '--rbind', f'/{folder}', f'{root}/{folder}'], check=True)
        if not os.path.exists(f'{root}/var/run'):
            os.symlink('/run', f'{root}/var/run')
    return ['chroot', root]


def guest_module(name):
    """The file of a module of GUEST_KERNEL that needs no other."""
    with open(f'{GUEST_KERNEL}/release', encoding='ascii') as file:
        release = file.read().strip()
    shown = subprocess.run(['modprobe', '-d', GUEST_KERNEL, '-S', release, '-C', '/dev/null', '--show-depends', name], check=True,
                           text=True, stdout=subprocess.PIPE).stdout.split()
    check(len(shown) == 2, f'{name} needs other modules: {shown}')
    return shown[1]


# What Gantry said

def said():
    """Returns the messages of the current or last run."""
    if not os.path.exists(LOG):
        return ''
    with open(LOG, encoding='utf-8', errors='replace') as file:
        return file.read()


def check_said(how, transcript):
    """Checks that gantry-run really served the program: its report counts devices. Clears the
    log."""
    text = said()
    transcript.write(text)
    if os.path.exists(LOG):
        os.remove(LOG)
    devices = [int(count) for count in re.findall(r'report: at most (\d+) devices', text)]
    check(how is ALONE or max(devices, default=0) > 0, f'{how}: Gantry had no device: {text}')


# What the kernel saw

class KernelCalls:
    """Counts map and unmap calls of all programs during the block, or ioctl calls with another
    number. The counts are None if the kernel cannot trace system calls. Also counts IOMMU
    faults."""

    def __init__(self, other=None):
        self.other, self.maps, self.unmaps, self.others = other, None, None, None
        self.faults = 0
        # An event cannot have two histograms with the same keys, and these blocks may be nested, so
        # the keys differ.
        keys, numbers = ('cmd', MAPS + UNMAPS) if other is None else ('cmd,fd', (other,))
        self.trigger = f'hist:keys={keys} if ' + ' || '.join(f'cmd == {number:#x}' for number in numbers)

    def __enter__(self):
        if os.path.exists(EVENT):
            append(f'{EVENT}/trigger', self.trigger)
        self.faults = -faults()
        return self

    def __exit__(self, *unused):
        if os.path.exists(EVENT):
            with open(f'{EVENT}/hist', encoding='ascii') as file:
                found = re.findall(r'\{ cmd: +(\d+)[^}]*\} hitcount: +(\d+)', file.read())
            append(f'{EVENT}/trigger', '!' + self.trigger)
            self.maps, self.unmaps, self.others = (
                sum(int(hits) for cmd, hits in found if int(cmd) in numbers)
                for numbers in (MAPS, UNMAPS, (self.other,)))
        self.faults += faults()


class MapTime:
    """Sums the time of the map calls of all programs during the block, from entry to exit of the
    system call."""

    # A synthetic event with the time of a call, from a time stamp at its entry and exit. The
    # histogram of the event sums the times.
    EVENT = 'gantry_map_time'
    BEGIN = 'hist:keys=common_pid:begin=common_timestamp if ' + ' || '.join(f'cmd == {number:#x}' for number in MAPS)
    END = ('hist:keys=common_pid:took=common_timestamp-$begin:onmatch(syscalls.sys_enter_ioctl).'
           f'trace({EVENT},$took)')
    SUM = 'hist:keys=took.log2:vals=took'

    def __init__(self):
        self.seconds = 0.0

    def steps(self):
        """Returns (file, text to write) in order. They are undone in reverse order."""
        events = f'{TRACING}/events'
        return ((f'{TRACING}/synthetic_events', f'{self.EVENT} u64 took'), (f'{EVENT}/trigger', self.BEGIN),
                (f'{events}/syscalls/sys_exit_ioctl/trigger', self.END), (f'{events}/synthetic/{self.EVENT}/trigger', self.SUM))

    def __enter__(self):
        for path, text in self.steps():
            append(path, text)
        return self

    def __exit__(self, *unused):
        with open(f'{TRACING}/events/synthetic/{self.EVENT}/hist', encoding='ascii') as file:
            self.seconds = sum(int(took) for took in re.findall(r'hitcount: +\d+ +took: +(\d+)', file.read())) / 1e9
        for path, text in reversed(self.steps()):
            append(path, '!' + text)


def append(path, text):
    """Appends to a file of tracefs. Truncation would remove existing triggers, and mode 'a' of
    open() fails, because it seeks."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, text.encode('ascii'))
    finally:
        os.close(file)


def faults():
    """Returns the number of IOMMU faults in the kernel's log."""
    log = subprocess.run(['dmesg'], check=True, text=True, stdout=subprocess.PIPE, errors='replace').stdout
    return len(re.findall(r'DMAR: \[DMA|AMD-Vi: Event logged \[IO_PAGE_FAULT', log))


def bind(device, driver):
    """Binds a device to a driver."""
    subprocess.run([f'{TREE}/usertools/gantry-bind', driver, device], check=True, stdout=subprocess.DEVNULL)


# The table

class Table:
    """The table of results: one row for each run. The caller compares the values of runs."""

    def __init__(self, *columns):
        self.columns, self.rows = columns, []

    def add(self, **row):
        self.rows.append({name: self.shown(row.get(name)) for name in self.columns})

    @staticmethod
    def shown(value):
        if value is None:
            return ''
        return f'{value:,.2f}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else str(value)

    def show(self):
        """Prints the table in Markdown."""
        if not self.rows:
            return
        print('| ' + ' | '.join(self.columns) + ' |\n|' + ' --- |' * len(self.columns))
        for row in self.rows:
            print('| ' + ' | '.join(row.values()) + ' |')


# Running

class Cases:
    """Runs cases in sequence. Prints a line for each, and the counts at the end."""

    def __init__(self, word, transcript, only):
        self.word, self.transcript, self.only = word, transcript, only
        self.passed = self.failed = 0

    def run(self, name, case, *arguments):
        if self.only not in name:
            return
        start, verdict, reason = time.monotonic(), 'ok     ', ''
        self.transcript.write(f'\n\n=== {name}\n')
        try:
            case(*arguments)
            self.passed += 1
        except (Failure, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as error:
            self.failed += 1
            verdict, reason = 'FAILED ', f' ({type(error).__name__}: {error})'
        print(f'{verdict} {self.word}: {name}{reason} [{time.monotonic() - start:.0f} s]', flush=True)

    def end(self):
        """Prints the counts. Returns the exit status."""
        print(f'{self.passed} passed, {self.failed} failed, 0 skipped')
        return 1 if self.failed or not self.passed else 0


def run(transcript, *command, say=None, limit=LIMIT):
    """Runs a program to its end. `say` is its standard input. Returns the CompletedProcess."""
    done = subprocess.run(command, input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=limit, check=False, errors='replace', cwd='/tmp')
    transcript.write('\n$ ' + ' '.join(command) + '\n' + done.stdout)
    return done


def parse(doc, *sets):
    """Parses the command line that these tests share."""
    parser = argparse.ArgumentParser(description=doc.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('set', choices=sets)
    parser.add_argument('--alone', action='store_true', help='run the programs without Gantry only')
    parser.add_argument('--how', default='', metavar='TEXT', help='only ways to run programs whose names contain TEXT')
    parser.add_argument('--only', default='', metavar='TEXT', help='only cases whose names contain TEXT')
    parser.add_argument('--transcript', default='/tmp/transcript', help='file for input and output of the programs')
    return parser.parse_args()
