#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests the unmodified Open vSwitch on Gantry's ports.

usage: test_ovs.py BUILD af_xdp|e1000e [--only TEXT] [--transcript FILE]

  af_xdp  net_gantry_af_xdp on veth pairs of this machine, in network and mount namespaces that end
          with the process
  e1000e  net_gantry_e1000e on the assigned NICs of the emulated machine, profile default

Needs root, and the folder that devtools/vm/clients-setup makes. Open vSwitch has one end of each
wire. This script sends and compares frames at the other ends, and moves data by TCP between two
network namespaces.
"""

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, HERE + '/../../../devtools')
import checks  # noqa: E402
import ovs  # noqa: E402
import test_testpmd as base  # noqa: E402
import vfio_clients as clients  # noqa: E402
from test_testpmd import MACS, check  # noqa: E402

SKIPPED = 77
DPDK = '22.11'                  # of Open vSwitch in ovs.SUITE
BUILD = '/run/gantry-build'     # the build folder, also in the chroot
QUEUES = 2
SIDES = (('left', '10.9.0.1'), ('right', '10.9.0.2'))
TCP_PORT, TCP_BYTES = 5001, 16 << 20
# Open vSwitch adds --in-memory, which --no-huge excludes.
MEGABYTES = 256
# Those of 2 MiB, and a few for descriptor rings.
HUGEPAGES = MEGABYTES // 2 + 8
EAL = f'--no-pci -m {MEGABYTES} --socket-limit={MEGABYTES} --no-telemetry'


def command(text):
    return subprocess.run(text.split(), check=True, stdout=subprocess.PIPE, text=True).stdout


class Veths:
    """Veth pairs near0 == far0 and near1 == far1, without IPv6, whose own packets would disturb the
    counts. Open vSwitch has the near ends."""

    DRIVER = 'net_gantry_af_xdp'
    EAL = '-d libgantry_net_af_xdp.so ' + EAL
    NEAR, FAR = ('near0', 'near1'), ('far0', 'far1')

    def __init__(self):
        command('sysctl -qw net.ipv6.conf.default.disable_ipv6=1')
        for near, far, mac in zip(self.NEAR, self.FAR, MACS):
            queues = f'numtxqueues {QUEUES} numrxqueues {QUEUES}'
            command(f'ip link add {near} address {mac} {queues} type veth peer name {far} {queues}')
            command(f'ip link set {near} up')
        self.use_queues(1, QUEUES)
        self.ends = [base.End(far, 1500) for far in self.FAR]

    def use_queues(self, receive, transmit):
        """A receive queue of one end is a transmit queue of the other."""
        for near, far in zip(self.NEAR, self.FAR):
            command(f'ethtool -L {near} rx {receive} tx {transmit}')
            command(f'ethtool -L {far} rx {transmit} tx {receive}')

    def devargs(self, number):
        return f'net_gantry_af_xdp{number},iface={self.NEAR[number]},queue_count={QUEUES}'

    @staticmethod
    def link(name):
        return json.loads(command(f'ip -j -d link show {name}'))[0]

    def check_mtu(self, mtu):
        for near in self.NEAR:
            check(self.link(near)['mtu'] == mtu, f'{near} has another MTU')

    def check_in_use(self, number, wanted):
        check(('prog' in self.link(self.NEAR[number]).get('xdp', {})) == wanted,
              f'{self.NEAR[number]} has {"no XDP program" if wanted else "an XDP program still"}')

    def check_left(self):
        for near in self.NEAR:
            check(self.link(near)['promiscuity'] == 0, f'{near} is promiscuous still')


class Nics:
    """Assigned NICs, which Open vSwitch has, and NICs of the kernel at the far ends. The EAL probes
    the ports at the start, and Open vSwitch finds them by their addresses (doc/dpdk_programs.md)."""

    DRIVER = 'net_gantry_e1000e'
    EAL = ' '.join(('-d libgantry_bus_vfio_pci.so -d libgantry_net_e1000e.so', EAL,
                    *(f'-a vfio_pci:{port}{base.DRIVER_ARGUMENTS}' for port in base.PORTS)))

    def __init__(self):
        command('sysctl -qw net.ipv6.conf.all.disable_ipv6=1')
        self.ends = [base.nic_end(device) for device in base.WIRES]

    def use_queues(self, receive, transmit):
        """The chip has both queues."""

    def devargs(self, number):
        return f'class=eth,mac={MACS[number]}'

    def check_mtu(self, mtu):
        """Frames of this size cross, which cross() checks."""

    def check_in_use(self, number, wanted):
        """Only frames that cross show it: a port that leaves the switch stays probed."""

    def check_left(self):
        """The devices may do no DMA: bit 2 of the command register."""
        for port in base.PORTS:
            with open(f'/sys/bus/pci/devices/{port}/config', 'rb') as config:
                check(config.read(6)[4] & 4 == 0, f'{port} masters the bus still')
        check(clients.faults() == 0, f'{clients.faults()} IOMMU faults')


class Test:
    """The cases. Each begins where the one before has ended."""

    def __init__(self, wires, transcript):
        self.wires, self.ends = wires, wires.ends
        self.switch = ovs.Switch(transcript, wires.EAL, ('env', f'LD_LIBRARY_PATH={BUILD}/drivers'), ('pmd-cpu-mask=2',))

    def add(self, number, queues=1):
        """Open vSwitch transmits on a queue for each of its threads that poll, here one, and one more."""
        self.switch.add(f'dpdk{number}', self.wires.devargs(number), f'options:n_rxq={queues}')
        self.wires.check_in_use(number, True)
        shown = self.switch.appctl('dpif/show')
        ports = [line for line in shown.splitlines() if line.split()[:1] == [f'dpdk{number}']]
        check(len(ports) == 1, shown)
        for words in (f'configured_rx_queues={queues},', f'configured_tx_queues={QUEUES},'):
            check(words in ports[0], f'{words} {ports[0]}')

    def starts(self):
        self.switch.start()
        for number in (0, 1):
            self.add(number)
        driver = self.switch.get('dpdk0', 'status:driver_name')
        check(driver == self.wires.DRIVER, driver)

    def crosses(self):
        ovs.cross(self.ends, 1)

    def leaves_and_returns(self):
        self.switch.remove('dpdk1')
        self.wires.check_in_use(1, False)
        self.add(1)
        ovs.cross(self.ends, 2001)

    def takes_an_mtu(self):
        for mtu, step in ((1600, 15), (1500, 10)):
            for number, end in enumerate(self.ends):
                self.switch.set(f'dpdk{number}', f'mtu_request={mtu}')
                command(f'ip link set {end.name} mtu {mtu}')
            deadline = time.monotonic() + base.GIVE_UP
            while [self.switch.get(f'dpdk{number}', 'mtu') for number in (0, 1)] != [str(mtu)] * 2:
                check(time.monotonic() < deadline, f'the MTU is not {mtu}')
            self.wires.check_mtu(mtu)
            ovs.cross(self.ends, 4001 + mtu * 1000, step=step)

    def has_queues(self):
        for number in (0, 1):
            self.switch.remove(f'dpdk{number}')
        self.wires.use_queues(QUEUES, QUEUES)
        for number in (0, 1):
            self.add(number, QUEUES)
        shown = self.switch.appctl('dpif-netdev/pmd-rxq-show')
        for number in (0, 1):
            for queue in range(QUEUES):
                check(f'port: dpdk{number} ' in shown and f'queue-id:  {queue}' in shown, shown)
        ovs.cross(self.ends, 8001)

    def carries_tcp(self):
        """A veth leaves TCP checksums to hardware that AF_XDP does not have, so the far ends
        compute them (doc/net_af_xdp.md). That does no harm to a NIC."""
        for end, (side, address) in zip(self.ends, SIDES):
            end.socket.close()
            command(f'ip netns add {side}')
            command(f'ip link set {end.name} netns {side}')
            for words in (f'ip addr add {address}/24 dev {end.name}', f'ip link set {end.name} up',
                          f'ethtool -K {end.name} tx off'):
                command(f'ip netns exec {side} {words}')
        transfers = [subprocess.Popen(['ip', 'netns', 'exec', side, sys.executable, __file__, '--tcp', role, SIDES[1][1]],
                                      stdout=subprocess.PIPE, text=True)
                     for role, (side, _) in (('receive', SIDES[1]), ('send', SIDES[0]))]
        try:
            came, sent = (transfer.communicate(timeout=base.GIVE_UP)[0] for transfer in transfers)
        finally:
            for transfer in transfers:
                transfer.kill()
        check(sent == came != '', f'sent {sent!r}, came {came!r}')

    def ends_and_leaves_nothing(self):
        self.switch.end()
        for number in (0, 1):
            self.wires.check_in_use(number, False)
        self.wires.check_left()


CASES = (
    ('Open vSwitch starts on two ports', Test.starts),
    ('frames cross as they are', Test.crosses),
    ('a port leaves and returns', Test.leaves_and_returns),
    ('the MTU grows and shrinks', Test.takes_an_mtu),
    ('several queues receive', Test.has_queues),
    (f'{TCP_BYTES >> 20} MiB cross by TCP', Test.carries_tcp),
    ('it ends and leaves nothing', Test.ends_and_leaves_nothing),
)


def tcp(role, address):
    """One end of a transfer. Prints the number of bytes and their hash."""
    digest, length = hashlib.sha256(), 0
    if role == 'send':
        deadline = time.monotonic() + base.GIVE_UP
        while True:
            try:
                stream = socket.create_connection((address, TCP_PORT), timeout=2)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        stream.settimeout(base.GIVE_UP)
        data = os.urandom(1 << 20)
        while length < TCP_BYTES:
            stream.sendall(data)
            digest.update(data)
            length += len(data)
        stream.close()
    else:
        with socket.create_server((address, TCP_PORT)) as server:
            server.settimeout(base.GIVE_UP)
            stream, _ = server.accept()
        while data := stream.recv(1 << 16):
            digest.update(data)
            length += len(data)
    print(length, digest.hexdigest())


def skip(reason):
    print(f'skipped ovs: {reason}')
    print('0 passed, 0 failed, 1 skipped')
    return SKIPPED


def show_build(build):
    """The chroot has this machine's /run."""
    os.makedirs(BUILD, exist_ok=True)
    command(f'mount --bind {os.path.abspath(build)} {BUILD}')


def run(wires, args):
    with open(args.transcript, 'w', encoding='utf-8', buffering=1) as transcript:
        test = Test(wires, transcript)
        cases = clients.Cases(f'ovs {args.port}', transcript, args.only)
        try:
            for name, case in CASES:
                cases.run(name, case, test)
                if case is Test.starts and cases.failed:
                    break
        finally:
            test.switch.kill()
    return cases.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build', nargs='?')
    parser.add_argument('port', nargs='?', choices=('af_xdp', 'e1000e'))
    parser.add_argument('--only', default='', metavar='TEXT', help='only cases whose names contain TEXT')
    parser.add_argument('--transcript', default='/dev/null')
    parser.add_argument('--tcp', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tcp:
        return tcp(*args.tcp)
    if os.geteuid() != 0:
        return skip('it needs root')
    dpdk = subprocess.run(['pkg-config', '--modversion', 'libdpdk'], check=False, stdout=subprocess.PIPE, text=True).stdout
    if not dpdk.startswith(DPDK + '.'):
        return skip(f'the plugins are of DPDK {dpdk.strip()}; Open vSwitch of {ovs.SUITE} has {DPDK}')
    if args.port == 'e1000e':
        with checks.hugepages(HUGEPAGES):
            show_build(args.build)
            return run(Nics(), args)
    # unshare(1) creates the namespaces for this process, then runs this program again.
    if os.environ.get('GANTRY_OWN_NAMESPACE') != 'yes':
        os.environ['GANTRY_OWN_NAMESPACE'] = 'yes'
        os.execvp('unshare', ['unshare', '--net', '--mount', '--', sys.executable, *sys.argv])
    with checks.hugepages(HUGEPAGES):
        command('mount -t tmpfs -o mode=755 run /run')
        show_build(args.build)
        return run(Veths(), args)


if __name__ == '__main__':
    sys.exit(main())
