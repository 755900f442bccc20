#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests the unmodified dpdk-testpmd on ports of net_gantry_af_xdp, on veth pairs of this machine.

Run by Meson with the build folder as its argument; needs root. Works in a private network
namespace, which ends with the process. Testpmd has one end of each pair; this script sends and
compares frames at the other. --transcript FILE gets the commands to testpmd and its output.
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
STARTS = 'packet forwarding packets/burst='     # testpmd says so when it starts to forward
PREFIX = f'gantry-{os.getpid()}'
ARGUMENTS = ('--total-num-mbufs=8192',)
EAL = ['-d', 'libgantry_net_af_xdp.so', '--no-pci', '--no-huge', '-m', '128', '--no-telemetry', f'--file-prefix={PREFIX}',
       '--vdev=net_gantry_af_xdp0,iface=near0', '--vdev=net_gantry_af_xdp1,iface=near1']


def wires():
    """Makes veth pairs near0 == far0 and near1 == far1, without IPv6, whose own packets would
    disturb the counts."""
    for command in ('sysctl -qw net.ipv6.conf.default.disable_ipv6=1',
                    *(f'ip link add near{i} address {MACS[i]} type veth peer name far{i}' for i in (0, 1)),
                    *(f'ip link set {end}{i} up' for i in (0, 1) for end in ('near', 'far'))):
        subprocess.run(command.split(), check=True)


class Suite(base.Suite):
    """The cases of test_testpmd that apply to any port, and cases for AF_XDP."""

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
            # The far end receives sent frames a little later.
            while received(port) - self.before[port] < counts[port][2] and time.monotonic() < deadline:
                time.sleep(0.01)
            came = received(port) - self.before[port]
            check(counts[port][2] == sent == came, f'port {port}: testpmd counts {counts[port][2]}, the port {sent}, the far end {came}')
        # When a later frame arrives, no frame of txonly is still in flight.
        self.begin('io')
        self.cross(0, 1)
        self.cross(1, 1)
        self.stop()

    def a_port_is_closed_and_another_attached(self):
        self.pmd.ask('stop')
        for command, answer in (('port stop 1', 'Done'), ('port detach 1', 'is detached')):
            check(answer in self.pmd.ask(command), command)
        check('xdp' not in links('near1'), 'an XDP program is left on near1')
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
        starts = self.pmd.text.count(STARTS)
        subprocess.run(['ip', 'link', 'del', 'near1'], check=True)
        deadline = time.monotonic() + base.GIVE_UP
        while self.pmd.text.count('netdev near1 was removed: stop and close port 1') == 0:
            check(time.monotonic() < deadline, 'nothing says so')
            self.ends[0].send(base.frame(MACS[0], 0x7fffffff))
            time.sleep(0.01)
        # Testpmd closes the port with a delay, in its interrupt thread, and then starts to forward again. A command
        # meanwhile would meet a half-stopped program.
        while self.pmd.text.count(STARTS) == starts:
            check(time.monotonic() < deadline, 'testpmd does not close the port, and go on')
            time.sleep(0.01)
        check('Removing a device' in self.pmd.text, 'testpmd does not remove the device')
        text = self.pmd.ask('show port info 0')
        check('Driver name: net_gantry_af_xdp' in text, 'the other port is gone:\n' + text)
        check(self.pmd.text.count('netdev near1 was removed') == 1, 'it is said more than once')

    def it_ends_and_leaves_nothing(self):
        check(self.pmd.quit() == 0, 'testpmd ends with an error')
        check('xdp' not in links('near0'), 'an XDP program is left on near0')


def links(name):
    return subprocess.run(['ip', '-d', 'link', 'show', name], check=True, stdout=subprocess.PIPE, text=True).stdout


def received(port):
    """Returns the number of packets that the kernel's end has received."""
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
    reason = base.reason_to_skip(args.build, 'dpdk-testpmd')
    if reason:
        print('skipped testpmd_afxdp:', reason)
        return SKIPPED
    # unshare(1) creates the namespace for this process, then runs this program again.
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
