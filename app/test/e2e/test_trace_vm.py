#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests gantry-trace with a real kernel.

usage: test_trace_vm.py BUILD [TEXT]     in the emulated machine, profiles default and iommufd

The audit sees a mapping that this test makes behind the back of a container, with a copy of the
container's descriptor (pidfd_getfd(2)), and one that it removes there. The programs: gantry-l2fwd on
our bus, and Debian's dpdk-testpmd with DPDK's own driver under gantry-run. The follow mode counts the
calls of a client that makes a known number of them.
"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

BUILD = os.path.realpath(sys.argv[1])
PLUGINS = '/run/gantry-build'      # a path that not everybody may write to: the EAL loads plugins from there
TRACE, INFO = f'{BUILD}/app/trace/gantry-trace', f'{BUILD}/app/info/gantry-info'
RUN, CLIENT = f'{BUILD}/usertools/run/gantry-run', f'{BUILD}/app/test/clients/vfio-client'
NIC, EDU = '0000:01:00.0', '0000:00:10.0'
IOMMUFD = os.path.exists('/dev/iommu')
LIMIT = 120
MAPS = 300
MANY = 3000     # mappings, more than three times as many as an answer holds
BEHIND, PAGE = 0x70000000, 4096     # an IOVA that no program of this test uses

LIBC = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PIDFD_GETFD = 434, 438
# linux/vfio.h, linux/iommufd.h
MAP_DMA, UNMAP_DMA, IOAS_MAP, IOAS_UNMAP = 0x3b71, 0x3b72, 0x3b85, 0x3b86


class Failure(Exception):
    """A check failed; the text says which."""


def check(holds, text):
    if not holds:
        raise Failure(text)


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what, process, test):
    end = time.monotonic() + LIMIT
    while not test():
        if process.poll() is not None:
            raise Failure(f'{what}: the program has ended: {process.stdout.read()}')
        check(time.monotonic() < end, f'{what}: not within {LIMIT} s')
        time.sleep(0.1)


def audit(pid, status):
    """Runs the audit as text and as JSON, which have to agree. Returns its differences and the text."""
    words = [TRACE, 'audit', str(pid)]
    text = subprocess.run(words, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=LIMIT)
    check(text.returncode == status, f'exit status {text.returncode}: {text.stdout}')
    done = subprocess.run([*words, '--json'], check=False, text=True, stdout=subprocess.PIPE, timeout=LIMIT)
    check(done.returncode == status, f'--json: exit status {done.returncode}')
    facts = json.loads(done.stdout)
    check(facts['same'] == (status == 0) and len(facts['differences']) == len(text.stdout.splitlines()) - 1, f'{facts}')
    check(facts['domains'] > 0 and (status == 1 or facts['kernel_mappings'] > 0), f'it saw nothing: {facts}')
    print(''.join(f'        {line}\n' for line in text.stdout.splitlines()), end='', flush=True)
    return facts['differences'], text.stdout


# Behind the back of a process

class Stolen:
    """Copies of the descriptors of a process's containers."""

    def __init__(self, pid):
        pidfd = LIBC.syscall(PIDFD_OPEN, pid, 0)
        self.fds, self.memory = [], mmap.mmap(-1, PAGE)
        self.memory[0] = 1
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for fd in sorted(os.listdir(f'/proc/{pid}/fd'), key=int):
            path = os.readlink(f'/proc/{pid}/fd/{fd}')
            if path in ('/dev/vfio/vfio', '/dev/iommu'):
                mine = LIBC.syscall(PIDFD_GETFD, pidfd, int(fd), 0)
                check(mine >= 0, f'pidfd_getfd: {os.strerror(ctypes.get_errno())}')
                self.fds.append((mine, path))
        os.close(pidfd)
        check(self.fds, 'it has no container')

    def ask(self, type1, iommufd):
        """Makes a call on each container, and on each IOAS, until one succeeds. Returns its structure."""
        for fd, path in self.fds:
            for ioas in range(1, 32):
                request, layout, values = type1 if path == '/dev/vfio/vfio' else iommufd(ioas)
                buffer = bytearray(struct.pack(layout, *values))
                with contextlib.suppress(OSError):
                    fcntl.ioctl(fd, request, buffer)
                    return struct.unpack(layout, buffer)
        return None

    def map(self):
        check(self.ask((MAP_DMA, 'IIQQQ', (32, 3, self.address, BEHIND, PAGE)),
                       # fixed IOVA, write, read
                       lambda ioas: (IOAS_MAP, 'IIIIQQQ', (40, 7, ioas, 0, self.address, PAGE, BEHIND))), 'no map')

    def unmap(self, start, length):
        """Returns the bytes that were unmapped."""
        done = self.ask((UNMAP_DMA, 'IIQQ', (24, 0, start, length)),
                        lambda ioas: (IOAS_UNMAP, 'IIQQ', (24, ioas, start, length)))
        return done[3] if done else 0

    def close(self):
        for fd, _ in self.fds:
            os.close(fd)


def behind_its_back(pid, parts):
    """A program whose mappings are right; then one is added; then one is removed. `parts` are what it believes."""
    found, _ = audit(pid, 0)
    check(found == [], f'{found}')
    stolen = Stolen(pid)
    stolen.map()
    found, text = audit(pid, 1)
    check([(one['kind'], one['start'], one['last']) for one in found] == [('unknown', hex(BEHIND), hex(BEHIND + PAGE - 1))],
          f'{found}')
    check(found[0]['access'] == 'read and write' and (IOMMUFD or found[0]['memory'] == hex(stolen.address)), f'{found}')
    check(f'kernel maps {BEHIND:#x}..{BEHIND + PAGE - 1:#x}, nobody here knows it' in text, text)
    check(stolen.unmap(BEHIND, PAGE) == PAGE, 'it is not unmapped')
    audit(pid, 0)
    for part in parts:
        start, last = int(part['start'], 16), int(part['last'], 16)
        if stolen.unmap(start, last - start + 1) == last - start + 1:
            break
    else:
        raise Failure(f'none can be unmapped: {parts}')
    found, text = audit(pid, 1)
    check([(one['kind'], one['start'], one['last'], one['name'], one['owner']) for one in found] ==
          [('lost', part['start'], part['last'], part.get('name', ''), part.get('owner', ''))], f'{found}, {part}')
    check(f'believes {start:#x}..{last:#x} mapped, the kernel has nothing' in text and part.get('name', '') in text, text)
    stolen.close()


def our_bus():
    os.makedirs(PLUGINS, exist_ok=True)
    subprocess.run(['mount', '--bind', BUILD, PLUGINS], check=True)
    with running(f'{PLUGINS}/examples/l2fwd/gantry-l2fwd', '-l', '1', '--no-pci', '--huge-unlink', '--file-prefix', 'trace',
                 '-d', f'{PLUGINS}/drivers', '-a', f'vfio_pci:{NIC}', '--', '-p', '1', '-T', '0') as program:
        def zones():
            done = subprocess.run([INFO, '--json', 'map', str(program.pid)], check=False, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=LIMIT)
            if done.returncode != 0:
                return []
            return [part for container in json.loads(done.stdout)['containers'] for part in container['parts']
                    if part['kind'] == 'zone']
        wait_for('its rings', program, lambda: any(zone['name'] == 'e1000e rings' for zone in zones()))
        time.sleep(1)
        behind_its_back(program.pid, zones())


# Under gantry-run

def status(pid):
    """What the status socket tells; {} if there is none."""
    for path in (f'/run/gantry/gantry-vfio.{pid}', f'/tmp/gantry-vfio.{pid}'):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
            asked.connect(path)
            return json.load(asked.makefile())
    return {}


def stock_driver():
    """dpdk-testpmd of Debian, with DPDK's net_e1000_em."""
    backend = 'iommufd' if IOMMUFD else 'type1'
    with running(RUN, '--status', '--log=/run/trace-front.log', f'--backend={backend}', 'dpdk-testpmd', '-l', '0,1', '-a', NIC,
                 '--file-prefix', 'stock', '-m', '32', '--', '-i', '--total-num-mbufs=4096') as program:
        def mapped():
            return [part for space in status(program.pid).get('spaces', []) for part in space['parts']
                    if part['kind'] in ('zone', 'mapping')]
        wait_for('its mappings', program, mapped)
        while 'Done' not in program.stdout.readline():
            check(program.poll() is None, 'it has ended')
        behind_its_back(program.pid, mapped())


CHURN = '''
import ctypes, fcntl, mmap, os, struct, sys
container, group = (os.open(path, os.O_RDWR) for path in ("/dev/vfio/vfio", sys.argv[1]))
fcntl.ioctl(group, 0x3b68, struct.pack("i", container))     # VFIO_GROUP_SET_CONTAINER
fcntl.ioctl(container, 0x3b66, 3)                           # VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU
fcntl.ioctl(group, 0x3b6a, sys.argv[2].encode() + bytes(1)) # VFIO_GROUP_GET_DEVICE_FD
n, page = int(sys.argv[3]), 4096
memory = mmap.mmap(-1, (n + 64) * page)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
iova = lambda i: 0x10000000 + i * 2 * page
def change(i, there):
    if there:
        fcntl.ioctl(container, 0x3b71, struct.pack("IIQQQ", 32, 3, at + i * page, iova(i), page))
    else:
        fcntl.ioctl(container, 0x3b72, struct.pack("IIQQ", 24, 0, iova(i), page))
for i in range(n + 32):
    change(i, True)
print("ready", flush=True)
while True:
    for i in range(64):
        change(n + (i + 32) % 64, True)
        change(n + i, False)
'''


def always_changing():
    """A program with more maps than one answer of the kernel holds, that maps and unmaps all the time."""
    group = os.path.basename(os.readlink(f'/sys/bus/pci/devices/{EDU}/iommu_group'))
    backend = 'iommufd' if IOMMUFD else 'type1'
    with running(RUN, '--status', '--log=/run/trace-churn.log', f'--backend={backend}', 'python3', '-c', CHURN,
                 f'/dev/vfio/{group}', EDU, str(MANY)) as program:
        check(program.stdout.readline() == 'ready\n', 'it does not start')
        for _ in range(3):
            done = subprocess.run([TRACE, '--json', 'audit', str(program.pid)], check=False, text=True, stdout=subprocess.PIPE,
                                  timeout=LIMIT)
            facts = json.loads(done.stdout)
            check(done.returncode == 0 and MANY + 16 < facts['kernel_mappings'] < MANY + 48, f'{facts}')
        # A process that runs already: for a second, and only its calls.
        lines, end = followed('--seconds=1', str(program.pid), lossless=False)
        calls = {line['call'] for line in lines if line['event'] == 'ioctl' and line['result'] == 0}
        names = ('IOMMU_IOAS_MAP', 'IOMMU_IOAS_UNMAP') if IOMMUFD else ('VFIO_IOMMU_MAP_DMA', 'VFIO_IOMMU_UNMAP_DMA')
        check(set(names) <= calls and len(end['histograms']) >= 2, f'{calls}')
        check({line['pid'] for line in lines if 'pid' in line} == {program.pid}, 'calls of others')
        check(program.poll() is None, 'it has ended')


def nothing_to_ask():
    """Neither is a program that uses no container taken for one that is right."""
    done = subprocess.run([TRACE, 'audit', str(os.getpid())], check=False, text=True, stderr=subprocess.PIPE, timeout=LIMIT)
    check(done.returncode == 2 and 'its containers cannot be asked' in done.stderr, f'{done.returncode}: {done.stderr}')
    # Still root by number: an ordinary user may not even reach the build.
    done = subprocess.run(['setpriv', '--bounding-set=-all', '--inh-caps=-all', TRACE, 'audit', str(os.getpid())],
                          check=False, text=True, stderr=subprocess.PIPE, timeout=LIMIT)
    check(done.returncode == 2 and len(done.stderr.splitlines()) == 1 and 'run it as root' in done.stderr,
          f'{done.returncode}: {done.stderr}')


# Following

def followed(*words, lossless=True):
    """What gantry-trace --json says: events, and the end."""
    done = subprocess.run([TRACE, '--json', *words], check=False, text=True, stdout=subprocess.PIPE, timeout=LIMIT)
    check(done.returncode == 0, f'exit status {done.returncode}')
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
    end = lines.pop()
    check(end['lost_calls'] == 0 and (end['lost_events'] == 0 or not lossless), f'{end}')
    return lines, end


def follow_children():
    """Processes that the command starts are followed only if asked for."""
    for words, wanted in ((('--children',), MAPS), ((), 0)):
        _, end = followed(*words, '--', 'sh', '-c', f'{CLIENT} maps {MAPS} {EDU}; true')
        maps = sum(one['calls'] for one in end['histograms'] if one['call'] == 'VFIO_IOMMU_MAP_DMA')
        check(maps == wanted, f'{words}: {maps} maps')


def follow():
    """A client with a known number of maps and unmaps, and its page tables' events."""
    lines, end = followed('--', CLIENT, 'maps', str(MAPS), EDU)
    calls = {one['call']: one for one in end['histograms']}
    maps = [line for line in lines if line.get('call') == 'VFIO_IOMMU_MAP_DMA']
    check(len(maps) == MAPS == calls['VFIO_IOMMU_MAP_DMA']['calls'], f'{len(maps)} maps, {calls}')
    check(all(one['result'] == 0 and one['length'] == hex(PAGE) for one in maps), f'{maps[0]}')
    check(len({one['iova'] for one in maps}) == MAPS, 'IOVAs are not those of the calls')
    check(sum(one['calls'] for one in calls['VFIO_IOMMU_MAP_DMA']['buckets']) == MAPS, f'{calls}')
    check(calls['VFIO_GROUP_SET_CONTAINER']['failed'] == 0, f'{calls}')
    tables = [line['iova'] for line in lines if line['event'] == 'iommu map']
    check(set(one['iova'] for one in maps) <= set(tables), 'the IOMMU maps other addresses')
    check(any(line['event'] == 'attach' and line['device'] == EDU for line in lines), 'no attach')


CASES = [
    ('what cannot be audited is said', nothing_to_ask),
    ('follow: calls are counted', follow),
    ('follow: processes that are started', follow_children),
    ('audit: a program on our bus', our_bus),
    ('audit: an unmodified driver under gantry-run', stock_driver),
    ('audit: a program that changes all the time is no difference', always_changing),
]


def main():
    only = sys.argv[2] if len(sys.argv) > 2 else ''
    passed = failed = 0
    os.makedirs('/run/gantry', exist_ok=True)
    for name, case in CASES:
        if only not in name:
            continue
        start, reason = time.monotonic(), ''
        try:
            case()
            passed += 1
        except (Failure, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            reason = f' ({type(error).__name__}: {error})'
        print(f'{"FAILED " if reason else "ok     "} trace_vm: {name}{reason} [{time.monotonic() - start:.0f} s]', flush=True)
    print(f'{passed} passed, {failed} failed, 0 skipped')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
