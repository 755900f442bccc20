#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests unmodified DPDK programs with DPDK's own drivers, alone and under gantry-run.

Runs in the emulated machine (profile clients or clients-iommufd; clients-memory for the set memory,
clients-igb for igb), with the build folder and the name of a set as its arguments.

Testpmd has two assigned NICs. The kernel has the other end of each wire, where this script sends
frames and compares received ones byte by byte. Each case runs alone first, then under gantry-run
with iommufd, or with type1 if the kernel lacks iommufd. The results must be the same. A table shows
the map calls that the kernel saw, and the time from the start of a program to its first forwarded
frame.
"""

import contextlib
import dataclasses
import os
import re
import resource
import select
import statistics
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
import vfio_clients as clients  # noqa: E402
from test_testpmd import MACS, PORTS, WIRES, Failure, check, frame, number_of, same  # noqa: E402

MBUFS = '--total-num-mbufs=8192'
RATE_SECONDS, RATE_RUNS = 2, 3


@dataclasses.dataclass(frozen=True)
class Kind:
    """A pair of NICs of the profile, and the kernel's NICs at the other ends of their wires."""
    driver: str
    ports: tuple
    wires: tuple
    faults: bool = False        # the driver has the device read where nothing is mapped
    physical: tuple = ()        # the ports are the first virtual functions of these


EM = Kind('net_e1000_em', PORTS, WIRES)
VIRTIO = Kind('net_virtio', ('0000:05:00.0', '0000:06:00.0'), ('0000:07:00.0', '0000:08:00.0'))
VMXNET3 = Kind('net_vmxnet3', ('0000:09:00.0', '0000:0a:00.0'), ('0000:0b:00.0', '0000:0c:00.0'), faults=True)
IGB = Kind('net_e1000_igb', PORTS, WIRES)
IGB_VF = Kind('net_e1000_igb_vf', ('0000:01:10.0', '0000:02:10.0'), WIRES, physical=PORTS)


@dataclasses.dataclass(frozen=True)
class Program:
    """A dpdk-testpmd of a DPDK version, with EAL options."""
    version: str
    suite: str                  # of devtools/vm/clients-setup; None: this machine's program
    kind: Kind = EM
    options: tuple = ()

    def __str__(self):
        return ' '.join([f'testpmd {self.version}, {self.kind.driver}', *self.options])


SUITES = {'22.11': None, '24.11': 'trixie', '25.11': 'sid'}
PLAIN = Program('22.11', None)
VERSIONS = [Program(version, suite, kind) for version, suite in SUITES.items() for kind in (EM, VIRTIO, VMXNET3)]
OPTIONS = [Program(version, suite, EM, options) for version, suite in SUITES.items()
           for options in (('--legacy-mem', '-m', '96'), ('--no-huge', '-m', '96'), ('--iova-mode=pa',), ('--in-memory',))]

IGBS = [Program(version, suite, kind) for kind in (IGB, IGB_VF) for version, suite in SUITES.items()]

# Memory that the EAL reserves at its start, in MiB; it has a descriptor for each hugepage.
MEMORY = [Program(version, SUITES[version], EM, ('-m', str(mib))) for version in ('22.11', '25.11')
          for mib in (1024, 4096, 8192)]
OPEN_FILES = 16384


class Wires:
    """The kernel's ends of the wires of each pair, created once."""

    made = {}

    @classmethod
    def of(cls, kind):
        if kind not in cls.made:
            cls.made[kind] = tuple(base.nic_end(device) for device in kind.wires)
        return cls.made[kind]

    @classmethod
    @contextlib.contextmanager
    def assigned(cls, kind):
        """Binds them to vfio-pci during the block."""
        for end in cls.of(kind):
            subprocess.run(['ip', 'link', 'set', end.name, 'down'], check=True)
            end.socket.close()
        del cls.made[kind]
        for wire in kind.wires:
            clients.bind(wire, 'vfio-pci')
        try:
            yield
        finally:
            for wire in kind.wires:
                clients.bind(wire, 'default')


class Functions:
    """Virtual functions: Linux drives the NICs, vfio-pci gets the first function of each."""

    made = False

    @classmethod
    def make(cls, kind):
        """Once; a function gets the address that its NIC had, to which the frames are sent."""
        if cls.made or not kind.physical:
            return
        cls.made = True
        subprocess.run(['modprobe', 'igb'], check=True)
        for number, (physical, port) in enumerate(zip(kind.physical, kind.ports)):
            clients.bind(physical, 'default')
            name, = os.listdir(f'/sys/bus/pci/devices/{physical}/net')
            subprocess.run(['ip', 'link', 'set', name, 'address', f'02:00:00:00:01:{number:02x}', 'up'], check=True)
            with open(f'/sys/bus/pci/devices/{physical}/sriov_numvfs', 'w', encoding='ascii') as file:
                file.write('1')
            # It forwards frames of others.
            subprocess.run(['ip', 'link', 'set', name, 'vf', '0', 'mac', MACS[number], 'spoofchk', 'off'], check=True)
            clients.bind(port, 'vfio-pci')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read().strip()


class FirstFrame:
    """Sends frames, in a thread, until one arrives at the far end. Measures the time."""

    def __init__(self, ends, number):
        self.ends, self.number, self.seconds, self.stopped = ends, number, None, False
        self.start = time.monotonic()
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self):
        first = self.number + 1
        while not self.stopped and self.seconds is None:
            self.number += 1
            self.ends[0].send(frame(MACS[0], self.number))
            while select.select([self.ends[1].socket], [], [], 0.01)[0]:
                if (number_of(self.ends[1].socket.recv(65536)) or 0) >= first:
                    self.seconds = time.monotonic() - self.start
                    break

    def wait(self):
        self.thread.join(base.GIVE_UP)
        self.stopped = True
        self.thread.join()
        check(self.seconds is not None, 'no frame crosses')


class Forwarder(base.Suite):
    """A testpmd that forwards between two NICs, with the checks of test_testpmd.Suite."""

    def __init__(self, transcript, how, program, arguments=()):     # pylint: disable=super-init-not-called
        self.transcript, self.how, self.program, self.number = transcript, how, program, 0
        self.ends = Wires.of(program.kind)
        for end in self.ends:
            end.forget()
        before = [end.counted() for end in self.ends]
        self.pmd, first = None, FirstFrame(self.ends, 0)
        try:
            self.pmd = base.Testpmd(transcript, (MBUFS, '--auto-start', *arguments), self.eal(), self.before())
            first.wait()
        except Failure as failure:
            first.stopped = True
            try:
                raise Failure(f'{failure}; {self.state(before)}') from failure
            finally:
                self.kill()
        self.number, self.seconds = first.number, first.seconds
        self.pmd.ask('stop')

    def state(self, before):
        """Returns the counts of each hop, and the links. `before`: counts of the kernel's ends."""
        ends = [(end.name, [now - then for now, then in zip(end.counted(), counts)], read(f'/sys/class/net/{end.name}/operstate'))
                for end, counts in zip(self.ends, before)]
        said = [self.pmd.ask(command) for command in ('show port stats all', 'show port summary all')] if self.pmd else []
        return f'(received, sent) at the ends: {ends}; testpmd: {"".join(said)}'

    def before(self):
        return [*clients.enter(self.program.suite), *self.how.words]

    def eal(self):
        return [*self.program.options, *(word for port in self.program.kind.ports for word in ('-a', port))]

    def cross_exactly(self, count=200):
        """Checks that frames of several lengths cross unchanged in both directions, and testpmd's
        counts."""
        self.begin('io')
        for side in (0, 1):
            for length in (60, 128, 1500):
                sent, came = self.cross(side, count, length)
                same(came, sent)
        self.stop((3 * count, 3 * count))

    def quit(self):
        status = self.pmd.quit()
        check(status == 0, f'testpmd ends with {status}')

    def kill(self):
        if self.pmd:
            self.pmd.process.kill()
            self.pmd.process.wait()


class Test:
    """The cases."""

    def __init__(self, transcript, alone, both=False):
        self.transcript = transcript
        self.ways = [clients.ALONE] if alone else clients.ways(both)
        self.table = clients.Table('program', 'how', 'maps', 'unmaps', 'in maps, s', 'first frame, s', 'IOMMU faults',
                                   'packets/s a port', 'ratio')

    def each_way(self, program, case):
        """Runs a case in each way. It returns further cells of its row. Faults may not exceed those
        of the program alone."""
        faults = None
        for how in self.ways:
            calls, row = (self.once_more if how is clients.ALONE else self.counted)(case, program, how)
            clients.check_said(how, self.transcript)
            self.table.add(**{'program': program, 'how': how, 'maps': calls.maps, 'unmaps': calls.unmaps,
                              'IOMMU faults': calls.faults, **row})
            check(calls.maps > 0, f'{how}: the kernel saw no map')
            check(program.kind.faults or calls.faults == 0, f'{how}: {calls.faults} IOMMU faults')
            faults = calls.faults if faults is None else faults
            check(calls.faults <= faults, f'{how}: {calls.faults} IOMMU faults, {faults} alone')

    @staticmethod
    def counted(case, program, how):
        with clients.KernelCalls() as calls:
            row = case(program, how)
        return calls, row

    def once_more(self, case, program, how):
        """Runs a case of a program alone. If it fails, which says nothing of Gantry, runs it once more
        and shows why."""
        try:
            return self.counted(case, program, how)
        except Failure as failure:
            print(f'{program}, {how}: once more after: {failure}', flush=True)
            return self.counted(case, program, how)

    def forward(self, program, how):
        pmd = Forwarder(self.transcript, how, program)
        try:
            pmd.wait_links()
            pmd.cross_exactly()
            pmd.quit()
        finally:
            pmd.kill()
        return {'first frame, s': pmd.seconds}

    def forwards(self, program):
        Functions.make(program.kind)
        self.each_way(program, self.forward)

    def starts(self, program):
        """Measures starts. Runs the program once before, so that its files are in the page cache
        for all ways."""
        self.forward(dataclasses.replace(program, options=()), clients.ALONE)
        self.each_way(program, self.start)

    def start(self, program, how):
        """Like forward(), and measures the time that the kernel spends in map calls."""
        with clients.MapTime() as maps:
            row = self.forward(program, how)
        check(maps.seconds > 0, 'no map took any time')
        return {**row, 'in maps, s': maps.seconds}

    def lives(self, program):
        self.each_way(program, self.life)

    def life(self, program, how):
        """A secondary process reads the counters of the first. Then ports are detached and attached
        again."""
        pmd = Forwarder(self.transcript, how, program)
        try:
            pmd.wait_links()
            self.secondary(pmd)
            self.hotplug(pmd, (0,))
            # Both ports at once: in between the container has no device.
            self.hotplug(pmd, (0, 1))
            pmd.quit()
        finally:
            pmd.kill()
        return {'program': f'{program}, its life'}

    def secondary(self, pmd):
        pmd.begin('io')
        pmd.cross(0, 123)
        pmd.stop((123, 0))
        done = clients.run(self.transcript, *pmd.before(), 'dpdk-proc-info', *pmd.eal(), '--', '--stats')
        ports = re.findall(r'NIC statistics for port (\d+).*?RX-packets:\s*(\d+).*?TX-packets:\s*(\d+)', done.stdout, re.DOTALL)
        check(done.returncode == 0 and ports == [('0', '123', '0'), ('1', '0', '123')], done.stdout)
        pmd.cross_exactly()

    @staticmethod
    def hotplug(pmd, ports):
        for port in ports:
            pmd.pmd.ask(f'port stop {port}')
            check('is detached' in pmd.pmd.ask(f'port detach {port}'), f'port {port} is not detached')
        for port in ports:
            text = pmd.pmd.ask(f'port attach {pmd.program.kind.ports[port]}')
            check(f'Port {port} is attached' in text, text)
            pmd.pmd.ask(f'port start {port}')
        pmd.wait_links()
        pmd.cross_exactly()

    def ring_rate(self, program, how):
        """Returns packets a second and port. Frames circulate through four NICs, which are both
        ends of both wires."""
        nics = (*program.kind.ports, *program.kind.wires)
        pmd = base.Testpmd(self.transcript, (MBUFS,), [word for nic in nics for word in ('-a', nic)],
                           [*clients.enter(program.suite), *how.words])
        try:
            pmd.ask('set promisc all on')
            # A link takes half a second to come up, and frames sent before are lost.
            end = time.monotonic() + base.GIVE_UP
            while pmd.ask('show port info all').count('Link status: up') < len(nics):
                check(time.monotonic() < end, 'links stay down')
            pmd.ask('start tx_first 1')
            rates = []
            for _ in range(RATE_RUNS):
                before, start = self.sent(pmd), time.monotonic()
                time.sleep(RATE_SECONDS)
                rates.append((self.sent(pmd) - before) / (time.monotonic() - start) / len(nics))
            pmd.ask('stop')
            check(pmd.quit() == 0, 'testpmd does not end well')
        finally:
            pmd.process.kill()
            pmd.process.wait()
        return statistics.median(rates)

    @staticmethod
    def sent(pmd):
        return sum(int(count) for count in re.findall(r'TX-packets: (\d+)', pmd.ask('show port stats all')))

    def rates(self, program):
        """Measures the packet rate of each way."""
        with Wires.assigned(program.kind):
            rates = {how: self.ring_rate(program, how) for how in self.ways}
        for how, rate in rates.items():
            ratio = rate / rates[clients.ALONE]
            self.table.add(program=f'{program}, ring', how=how, ratio=ratio, **{'packets/s a port': round(rate)})
            check(rate > 0, f'{how}: no frame goes round')


def quick(cases, test):
    cases.run(f'{PLAIN} forwards', test.forwards, PLAIN)
    cases.run(f'{PLAIN}: a second process; ports leave and return', test.lives, PLAIN)


def versions(cases, test):
    for program in VERSIONS:
        cases.run(f'{program} forwards', test.forwards, program)
    for version in ('24.11', '25.11'):
        program = Program(version, SUITES[version])
        cases.run(f'{program}: a second process; ports leave and return', test.lives, program)


def options(cases, test):
    for program in OPTIONS:
        cases.run(f'{program} forwards', test.forwards, program)


def rates(cases, test):
    for kind in (EM, VIRTIO, VMXNET3):
        program = Program('22.11', None, kind)
        cases.run(f'{program}: the rate', test.rates, program)


def igb(cases, test):
    for program in IGBS:
        cases.run(f'{program} forwards', test.forwards, program)


def memory(cases, test):
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    for program in MEMORY:
        cases.run(f'{program} starts', test.starts, program)


SETS = {'quick': quick, 'versions': versions, 'options': options, 'rates': rates, 'memory': memory, 'igb': igb}


def main():
    args = clients.parse(__doc__, *SETS)
    clients.set_up(args.build)
    with open(args.transcript, 'w', encoding='utf-8') as transcript:
        test = Test(transcript, args.alone, args.set in ('memory', 'igb'))
        cases = clients.Cases('vfio_front', transcript, args.only)
        test.ways = [how for how in test.ways if args.how in how.name]
        SETS[args.set](cases, test)
    test.table.show()
    return cases.end()


if __name__ == '__main__':
    sys.exit(main())
