#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests a secondary process that sends and receives on a port of net_gantry_e1000e: two processes of
the unmodified dpdk-testpmd forward on one queue each. Meanwhile the port and a queue stop and start,
the port is closed, and either process is killed.

Runs in the emulated machine (profile default) with the build folder as its argument. The kernel has
the other end of the wire, and sends flows of which RSS gives some to each queue. --transcript FILE
gets the commands to testpmd and its output.
"""

import argparse
import os
import re
import select
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
from test_testpmd import check  # noqa: E402

N_FLOWS = 16
N_FRAMES = 4        # of each flow
PORT, MAC = base.PORTS[0], base.MACS[0]
DEVICE = ('-a', f'vfio_pci:{PORT}{base.DRIVER_ARGUMENTS}')
# Numbers of lcores differ between the processes, because each has its caches in the pool.
FIRST, SECOND = '--lcores=0@0,1@1', '--lcores=2@0,3@1'
QUEUES = ('--total-num-mbufs=4096', '--rxq=2', '--txq=2', '--num-procs=2', '--rss-ip')
NOTICED = f'{PORT}: the primary process has ended: port 0 sends and receives nothing any more'
CLOSED = f'{PORT}: the primary process has closed the port'


def flow_frame(flow, number):
    """A frame whose source address tells its flow."""
    data = base.frame(MAC, number)
    ip = data[14:24] + b'\0\0' + bytes((10, 0, 1, flow)) + data[30:34]
    check_ip = base.ones_sum(ip)
    return data[:14] + ip[:10] + check_ip.to_bytes(2, 'big') + ip[12:] + data[34:40] + b'\0\0' + data[42:]


def vfio_mappings(process):
    """Returns how many parts of VFIO devices a process has mapped."""
    with open(f'/proc/{process.pid}/maps', encoding='ascii') as file:
        return sum('[vfio-device]' in line or '/dev/vfio/' in line for line in file)


class Suite:
    """A primary process with the port, and a secondary one that polls queue 1."""

    def __init__(self, transcript):
        self.transcript, self.pmd, self.other = transcript, None, None
        self.end = base.nic_end(base.WIRES[0])
        self.number = 0
        self.flows = {0: set(), 1: set()}       # of each queue

    def start_first(self):
        self.pmd = base.Testpmd(self.transcript, (*QUEUES, '--proc-id=0'), (*base.PLUGINS, '--no-pci', *DEVICE), (), FIRST)

    def start_other(self):
        self.other = base.Testpmd(self.transcript, (*QUEUES, '--proc-id=1'),
                                  (*base.PLUGINS, '--no-pci', '--proc-type=secondary', '--no-telemetry'), (), SECOND)
        check('does not hand over' not in self.other.text, self.other.text)
        check(vfio_mappings(self.other.process) > 0, 'it has no BAR')

    def two_processes_start(self):
        self.start_first()
        self.start_other()

    def come_back(self, flows, wait=1.0):
        """Sends frames of flows. Returns {flow: number of frames that come back}."""
        first, counts = self.number + 1, dict.fromkeys(flows, 0)
        for flow in list(flows) * N_FRAMES:
            self.number += 1
            self.end.send(flow_frame(flow, self.number))
        deadline = time.monotonic() + wait
        while sum(counts.values()) < len(counts) * N_FRAMES:
            if not select.select([self.end.socket], [], [], max(0, deadline - time.monotonic()))[0]:
                break
            data = self.end.socket.recv(65536)
            if (base.number_of(data) or 0) >= first:
                counts[data[29]] += 1
        return counts

    def wait_link(self):
        """Until frames come back from a process that forwards."""
        deadline = time.monotonic() + base.GIVE_UP
        while not any(self.come_back(range(N_FLOWS)).values()):
            check(time.monotonic() < deadline, 'no frame comes back')

    def crosses(self, queue, wanted=True):
        """All frames for a queue come back, or none."""
        counts = self.come_back(self.flows[queue], base.GIVE_UP if wanted else 1.0)
        right = N_FRAMES if wanted else 0
        check(all(count == right for count in counts.values()), f'queue {queue}: {counts}')

    def each_process_forwards_on_its_queue(self):
        self.other.ask_all('set fwd io', 'start')
        self.wait_link()
        counts = self.come_back(range(N_FLOWS))
        self.flows[1] = {flow for flow, count in counts.items() if count == N_FRAMES}
        self.flows[0] = {flow for flow, count in counts.items() if count == 0}
        check(all(self.flows.values()) and sum(map(len, self.flows.values())) == N_FLOWS, str(counts))
        self.pmd.ask_all('set fwd io', 'start')
        # What was in the ring before the process forwarded comes first.
        self.crosses(0)
        self.crosses(1)
        # The counters of a queue follow a burst.
        deadline = time.monotonic() + 10
        while True:
            counts = base.xstats(self.pmd, 0)
            if counts['rx_q1_packets'] == counts['tx_q1_packets'] or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        check(counts['rx_q1_packets'] == counts['tx_q1_packets'] >= len(self.flows[1]) * N_FRAMES, str(counts))
        seen = base.xstats(self.other, 0)
        check(all(seen[name] == counts[name] for name in ('rx_q0_packets', 'rx_q1_packets')), f'{seen}, not {counts}')

    def primary_says(self, *commands):
        text = ''.join(self.pmd.ask(command) for command in commands)
        for wrong in ('does not answer', 'cannot use', 'Fail', 'fail', 'Please', 'Bad arguments'):
            check(wrong not in text, text)

    def a_stopped_port_starts_again(self):
        """While the secondary process polls."""
        for _ in range(3):
            self.pmd.ask('stop')
            self.primary_says('port stop 0')
            check(vfio_mappings(self.other.process) == 0, 'it keeps the BAR')
            self.primary_says('port start 0')
            self.pmd.ask('start')
            self.wait_link()
            self.crosses(1)
            self.crosses(0)

    def a_queue_is_set_up_again(self):
        """The primary process has all flows meanwhile."""
        self.pmd.ask('stop')
        self.primary_says('port 0 rxq 1 stop')
        self.pmd.ask('start')
        self.crosses(1)
        before = base.xstats(self.other, 0)['rx_q1_packets']
        self.crosses(1)
        check(base.xstats(self.other, 0)['rx_q1_packets'] == before, 'it receives on a stopped queue')
        self.pmd.ask('stop')
        self.primary_says('port config 0 rxq 1 ring_size 128', 'port 0 rxq 1 setup', 'port 0 rxq 1 start')
        self.pmd.ask('start')
        check('128' in self.pmd.ask('show rxq info 0 1'), 'it was not set up again')
        self.crosses(1)
        self.crosses(0)
        check(base.xstats(self.other, 0)['rx_q1_packets'] >= len(self.flows[1]) * N_FRAMES, 'the queue has no frames')

    def a_secondary_process_is_killed(self):
        self.other.process.kill()
        self.other.process.wait(base.GIVE_UP)
        self.crosses(0)
        self.pmd.ask('stop')
        self.primary_says('port stop 0', 'port start 0')
        self.pmd.ask('start')
        self.wait_link()
        self.crosses(0)
        self.start_other()
        self.other.ask_all('set fwd io', 'start')
        self.crosses(1)

    def a_secondary_process_hangs(self):
        self.other.process.send_signal(signal.SIGSTOP)
        self.pmd.ask('stop')
        text = self.pmd.ask('port stop 0')
        check(f'secondary process {self.other.process.pid} does not answer within 2 s' in text, text)
        # It may hang within a burst, so it is ended as that line says: its queues are the primary's now.
        self.other.process.kill()
        self.other.process.wait(base.GIVE_UP)
        self.primary_says('port start 0')
        self.pmd.ask('start')
        self.wait_link()
        self.crosses(0)

    def a_closed_port_is_gone(self):
        self.start_other()
        self.other.ask_all('set fwd io', 'start')
        self.crosses(1)
        self.pmd.ask('stop')
        self.primary_says('port stop 0', 'port close 0')
        deadline = time.monotonic() + base.GIVE_UP
        while CLOSED not in self.other.text:
            check(time.monotonic() < deadline, self.other.text[-2000:])
            time.sleep(0.01)
        check(vfio_mappings(self.other.process) == 0, 'it keeps the BAR')
        check(self.pmd.quit() == 0, 'the primary process ends with an error')
        self.other.process.kill()
        self.other.process.wait(base.GIVE_UP)

    def the_primary_process_is_killed(self):
        """Testpmd looks twice a second whether its primary process lives, and ends if not. If that comes first, this
        shows nothing, so it is tried again."""
        for _ in range(5):
            self.two_processes_start()
            self.other.ask_all('set fwd io', 'start')
            self.wait_link()
            self.pmd.process.kill()
            self.pmd.process.wait(base.GIVE_UP)
            while not self.other.has_ended() and NOTICED not in self.other.text:
                time.sleep(0.001)
            if NOTICED in self.other.text:
                break
        check(NOTICED in self.other.text, 'the death of the primary process is not noticed')
        if not self.other.has_ended():
            check(vfio_mappings(self.other.process) == 0, 'it keeps the BAR')
        self.other.process.wait(base.GIVE_UP)
        check('Port 0: device removal event' in self.other.text, self.other.text)
        # The device can be opened again.
        self.two_processes_start()
        self.other.ask_all('set fwd io', 'start')
        self.wait_link()
        self.crosses(1)
        check(self.other.quit() == 0 and self.pmd.quit() == 0, 'a process ends with an error')


CASES = (
    ('two processes start', Suite.two_processes_start),
    ('each process forwards on its queue', Suite.each_process_forwards_on_its_queue),
    ('a stopped port starts again under a polling process', Suite.a_stopped_port_starts_again),
    ('a queue is set up again under a polling process', Suite.a_queue_is_set_up_again),
    ('a secondary process is killed', Suite.a_secondary_process_is_killed),
    ('a secondary process hangs', Suite.a_secondary_process_hangs),
    ('a closed port is gone', Suite.a_closed_port_is_gone),
    ('the primary process is killed', Suite.the_primary_process_is_killed),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--transcript', default='/tmp/transcript')
    args = parser.parse_args()
    base.set_up(args.build)
    return base.run_cases('secondary_e1000e', Suite, CASES, args.transcript)


if __name__ == '__main__':
    sys.exit(main())
