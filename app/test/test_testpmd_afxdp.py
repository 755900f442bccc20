#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Does the unmodified dpdk-testpmd run on our AF_XDP ports, on veth pairs of this machine's kernel? In a network namespace of its own,
which ends with the process; testpmd has one end of each pair, this script the other, bit by bit. Started with the build folder as
its argument; needs root. --transcript FILE keeps what was said to testpmd, and what it answered.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
from test_testpmd import MACS, PEERS, check, forward_counts, same, xstats  # noqa: E402

SKIPPED = 77
PREFIX = f'gantry-{os.getpid()}'
ARGUMENTS = ('--total-num-mbufs=8192',)
EAL = ['-d', 'libgantry_net_af_xdp.so', '--no-pci', '--no-huge', '-m', '128', '--no-telemetry', f'--file-prefix={PREFIX}',
       '--vdev=net_gantry_af_xdp0,iface=near0', '--vdev=net_gantry_af_xdp1,iface=near1']


def wires():
    """near0 == far0, near1 == far1, and nobody who speaks of himself."""
    for command in ('sysctl -qw net.ipv6.conf.default.disable_ipv6=1',
                    *(f'ip link add near{i} address {MACS[i]} type veth peer name far{i}' for i in (0, 1)),
                    *(f'ip link set {end}{i} up' for i in (0, 1) for end in ('near', 'far'))):
        subprocess.run(command.split(), check=True)


class Suite(base.Suite):
    """Those of the other NICs that hold for any, and some for these."""

    DRIVER = 'net_gantry_af_xdp'

    def __init__(self, transcript):     # pylint: disable=super-init-not-called
        self.transcript, self.pmd, self.number = transcript, None, 0
        self.before = []
        self.ends = base.End('far0', 1500), base.End('far1', 1500)

    def launch(self):
        return base.Testpmd(self.transcript, ARGUMENTS, tuple(EAL))

    def wanted_xstats(self, came, went):
        return {'rx_good_packets': came, 'tx_good_packets': went, 'rx_good_bytes': 128 * came, 'tx_good_bytes': 128 * went,
                'rx_missed_errors': 0, 'rx_errors': 0, 'tx_errors': 0, 'tx_q0_copies': 0}

    def frames_of_all_sizes(self):
        self.begin('io')
        sizes = range(60, 1515, 97)
        for length in sizes:
            sent, came = self.cross(0, 2, length)
            same(came, sent)
        self.stop((2 * len(sizes), 0))

    def txonly_sends_all_that_it_counts(self):
        for end in self.ends:
            end.forget()
        self.before = [received(port) for port in (0, 1)]
        self.begin('txonly')
        deadline = time.monotonic() + base.GIVE_UP
        while min(xstats(self.pmd, port)['tx_good_packets'] for port in (0, 1)) < 2000:
            check(time.monotonic() < deadline, 'too few are sent')
        counts = forward_counts(self.pmd.ask('stop'))
        for port in (0, 1):
            sent = xstats(self.pmd, port)['tx_good_packets']
            # The kernel receives what is sent a little later.
            while received(port) - self.before[port] < counts[port][2] and time.monotonic() < deadline:
                time.sleep(0.01)
            came = received(port) - self.before[port]
            check(counts[port][2] == sent == came, f'port {port}: testpmd counts {counts[port][2]}, the port {sent}, the far end {came}')
        # Once a later frame has come, none of these is on its way.
        self.begin('io')
        self.cross(0, 1)
        self.cross(1, 1)
        self.stop()

    def a_port_is_closed_and_another_attached(self):
        self.pmd.ask('stop')
        for command, answer in (('port stop 1', 'Done'), ('port detach 1', 'is detached')):
            check(answer in self.pmd.ask(command), command)
        check('xdp' not in links('near1'), 'its program is still there')
        text = self.pmd.ask('port attach net_gantry_af_xdp1,iface=near1')
        check('Port 1 is attached' in text, text)
        self.pmd.ask_all('port start 1', f'set eth-peer 1 {PEERS[1]}')
        self.begin('io')
        self.cross(0)
        self.cross(1)
        self.stop((200, 200))

    def a_netdev_vanishes_under_traffic(self):
        self.begin('io')
        self.cross(0)
        for number in range(100):
            self.ends[0].send(base.frame(MACS[0], 0x7fff0000 + number))
        subprocess.run(['ip', 'link', 'del', 'near1'], check=True)
        deadline = time.monotonic() + base.GIVE_UP
        while self.pmd.text.count('netdev near1 has vanished; stop and close port 1') == 0:
            check(time.monotonic() < deadline, 'nothing says so')
            self.ends[0].send(base.frame(MACS[0], 0x7fffffff))
            time.sleep(0.01)
        # Testpmd closes a port that says so, after a moment.
        while 'Removing a device' not in self.pmd.text and 'is closed' not in self.pmd.text:
            check(time.monotonic() < deadline, 'testpmd does not take notice')
            time.sleep(0.01)
        text = self.pmd.ask('show port info 0')
        check('Driver name: net_gantry_af_xdp' in text, 'the other port is gone:\n' + text)
        check(self.pmd.text.count('netdev near1 has vanished') == 1, 'it is said more than once')

    def it_ends_and_leaves_nothing(self):
        check(self.pmd.quit() == 0, 'it ends badly')
        check('xdp' not in links('near0'), 'its program is left')


def links(name):
    return subprocess.run(['ip', '-d', 'link', 'show', name], check=True, stdout=subprocess.PIPE, text=True).stdout


def received(port):
    """What the kernel's end has received, ever."""
    done = subprocess.run(['ip', '-j', '-s', 'link', 'show', f'far{port}'], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)[0]['stats64']['rx']['packets']


CASES = (
    ('it starts on our ports', Suite.starts),
    ('io: frames cross as they are; xstats are exact', Suite.io_leaves_frames_as_they_are),
    ('io: frames of all sizes', Suite.frames_of_all_sizes),
    ('mac: addresses are written', Suite.mac_writes_addresses),
    ('5tswap: addresses and ports are swapped', Suite.five_tuple_swap),
    ('rxonly: all come, nothing goes', Suite.rxonly_sends_nothing),
    ('txonly: the far end receives what testpmd counts', Suite.txonly_sends_all_that_it_counts),
    ('ports stop and start', Suite.ports_stop_and_start),
    ('a port is detached and attached', Suite.a_port_is_closed_and_another_attached),
    ('a netdev vanishes under traffic', Suite.a_netdev_vanishes_under_traffic),
    ('it ends and leaves nothing', Suite.it_ends_and_leaves_nothing),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--transcript', default='/dev/null')
    args = parser.parse_args()
    if os.geteuid() != 0 or shutil.which('dpdk-testpmd') is None:
        print('skipped testpmd_afxdp: it needs root and dpdk-testpmd')
        return SKIPPED
    plugin = f'{args.build}/drivers/libgantry_net_af_xdp.so'
    if 'san.so' in subprocess.run(['ldd', plugin], check=True, stdout=subprocess.PIPE, text=True).stdout:
        print('skipped testpmd_afxdp: a program without a sanitizer cannot load plugins with one')
        return SKIPPED
    # A namespace is the process's own.
    if os.environ.get('GANTRY_OWN_NAMESPACE') != 'yes':
        os.environ.update(GANTRY_OWN_NAMESPACE='yes', LD_LIBRARY_PATH=f'{args.build}/drivers')
        os.execvp('unshare', ['unshare', '--net', '--', sys.executable, *sys.argv])
    wires()
    try:
        return base.run_cases('testpmd_afxdp', Suite, CASES, args.transcript)
    finally:
        shutil.rmtree(f'/var/run/dpdk/{PREFIX}', ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
