#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests secondary processes of a program with a port of net_gantry_af_xdp: dpdk-proc-info sees the
ports and counters of dpdk-testpmd, also counters that only the primary process can read. Then two
processes of testpmd forward on one queue each, and either of them is killed. At last they do so on the map of an XDP
program that somebody else attached.

Run by Meson with the build folder as its argument; needs root and 40 free hugepages of 2 MiB, which
secondary processes share with the primary. Works in private network and mount namespaces, which end
with the process. --transcript FILE gets the commands to testpmd and its output.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
from test_testpmd import check  # noqa: E402
from test_testpmd_afxdp_map import Plugin  # noqa: E402

SKIPPED = 77
PREFIX = f'gantry-secondary-{os.getpid()}'
N_HUGEPAGES = 40
N_DESC = 256
SHARED = ['-d', 'libgantry_net_af_xdp.so', '--no-pci', f'--file-prefix={PREFIX}']
PRIMARY = ('-m', '64', '--iova-mode=va', '--no-telemetry', '--vdev=net_gantry_af_xdp0,iface=near0,queue_count=1')
ARGUMENTS = ('--total-num-mbufs=2048', f'--rxd={N_DESC}')


def equal(now, wanted):
    check(now == wanted, f'{now} instead of {wanted}')


# Numbers of lcores differ between the processes, because each has its caches in the pool.
FIRST, SECOND = '--lcores=0@0,1@1', '--lcores=2@0,3@1'
TWO_QUEUES = ('--total-num-mbufs=4096', f'--rxd={N_DESC}', '--rxq=2', '--txq=2', '--num-procs=2')
N_FRAMES = 64
N_RINGS = 4     # of a socket
NOTICED = 'net_gantry_af_xdp1: the primary process has ended: port 0 sends and receives nothing any more'


class Suite:
    """A testpmd that does not forward, so frames beyond its receive ring are missed."""

    def __init__(self, transcript):
        self.transcript, self.pmd, self.other = transcript, None, None
        self.sent = 0

    def starts(self):
        self.pmd = base.Testpmd(self.transcript, ARGUMENTS, (*SHARED, *PRIMARY, f'--huge-dir={os.environ["HUGE_DIR"]}'))

    def ask(self, *options):
        """Runs dpdk-proc-info, and returns its output."""
        done = subprocess.run(['dpdk-proc-info', *SHARED, '--', *options], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=base.GIVE_UP)
        self.transcript.write(f'\n$ dpdk-proc-info {" ".join(options)}\n{done.stdout}')
        check(done.returncode == 0, done.stdout)
        return done.stdout

    def xstats(self):
        return {name: int(value) for name, value in re.findall(r'^(\w+): (\d+)$', self.ask('--xstats'), re.MULTILINE)}

    def send(self, number):
        end = base.End('far0', 1500)
        for i in range(number):
            end.send(base.frame('ff:ff:ff:ff:ff:ff', i))
        self.sent += number

    def port_is_shown(self):
        text = self.ask('--show-port')
        # 25.11 says how many descriptors are used as well: "descriptors 0/256".
        for wanted in ('driver net_gantry_af_xdp device net_gantry_af_xdp0', 'Link up', r'mtu \(1500\)',
                       rf'descriptors (\d+/)?{N_DESC}\b'):
            check(re.search(wanted, text), f'no "{wanted}" in:\n{text}')

    def missed_frames_are_counted(self):
        self.send(2 * N_DESC)
        deadline = time.monotonic() + base.GIVE_UP
        while self.xstats()['rx_missed_errors'] < N_DESC:
            check(time.monotonic() < deadline, 'the frames beyond the ring are not counted')
        counts = self.xstats()
        equal(counts['rx_missed_errors'], N_DESC)
        equal(counts['rx_q0_dropped'] + counts['rx_q0_ring_full'], N_DESC)
        equal(counts['rx_good_packets'], 0)

    def received_frames_are_counted(self):
        self.pmd.ask_all('set fwd rxonly', 'start')
        deadline = time.monotonic() + base.GIVE_UP
        while self.xstats()['rx_good_packets'] < N_DESC:
            check(time.monotonic() < deadline, 'the frames of the ring are not counted')
        found = re.search(r'RX-packets: (\d+) +RX-errors', self.ask('--stats'))
        equal(int(found.group(1)), N_DESC)
        self.pmd.ask('stop')

    def counters_are_reset(self):
        self.ask('--xstats-reset')
        counts = self.xstats()
        check(not any(counts.values()), str(counts))

    def a_closed_port_is_gone(self):
        self.pmd.ask_all('port stop 0', 'port close 0')
        # Without a port dpdk-proc-info ends with an error.
        done = subprocess.run(['dpdk-proc-info', *SHARED, '--', '--stats'], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=base.GIVE_UP)
        check(done.returncode == 1 and 'No Ethernet ports' in done.stdout, f'{done.returncode}\n{done.stdout}')

    def the_primary_ends_well(self):
        check(self.pmd.quit() == 0, 'testpmd ends with an error')

    def two_processes_start(self, before=(), more=''):
        device = f'--vdev=net_gantry_af_xdp1,iface=near1,queue_count=2{more}'
        self.pmd = base.Testpmd(self.transcript, (*TWO_QUEUES, '--proc-id=0'),
                                (*SHARED, *PRIMARY[:-1], device, f'--huge-dir={os.environ["HUGE_DIR"]}'), before, FIRST)
        self.start_other(before)

    def two_processes_on_a_map_of_others(self):
        path = f'{os.environ["BPFFS"]}/xsks_map'
        plugin = Plugin('near1', 'pin', path)
        try:
            self.two_processes_start(more=f',use_pinned_map=1,dp_path={path}')
            plugin.wait_state('attached 1, entries 1')
            self.other.ask_all('set fwd io', 'start')
            self.pmd.ask_all('set fwd io', 'start')
            self.crosses(1)
            self.crosses(0)
            self.a_stopped_port_starts_again()
            # A process that does not answer has the sockets open still.
            self.other.process.send_signal(signal.SIGSTOP)
            self.pmd.ask_all('stop', 'port stop 0')
            plugin.wait_state('attached 1, entries 0')
            # It may hang within a burst, so it must not go on.
            self.other.process.kill()
            self.other.process.wait(base.GIVE_UP)
            equal(self.pmd.quit(), 0)
            plugin.wait_state('attached 1, entries 0')
        finally:
            plugin.end()

    def start_other(self, before=()):
        self.other = base.Testpmd(self.transcript, (*TWO_QUEUES, '--proc-id=1'),
                                  (*SHARED, '--proc-type=secondary', '--no-telemetry'), before, SECOND)
        check('does not hand over' not in self.other.text, self.other.text)

    def crosses(self, queue, wanted=N_FRAMES):
        """Sends frames to a queue of near1, which is the queue of far1 that sends them. Checks how many come back. If
        none shall, waits for a second."""
        end = base.End('far1', 1500)
        # Each processor sends on this queue (XPS).
        for i in (1 - queue, queue):
            with open(f'/sys/class/net/far1/queues/tx-{i}/xps_cpus', 'w', encoding='ascii') as file:
                file.write(f'{(1 << os.cpu_count()) - 1:x}' if i == queue else '0')
        first, self.sent, came = self.sent, self.sent + N_FRAMES, set()
        for i in range(first, self.sent):
            end.send(base.frame('02:00:00:00:00:99', i))
        end.socket.settimeout(base.GIVE_UP if wanted else 1)
        try:
            while len(came) < N_FRAMES:
                found = base.number_of(end.socket.recv(65536))
                if found is not None and found >= first:
                    came.add(found)
        except TimeoutError:
            pass
        finally:
            end.socket.close()
        equal(len(came), wanted)

    def each_process_forwards_on_its_queue(self):
        self.crosses(1, 0)
        self.other.ask_all('set fwd io', 'start')
        # What was in the ring before it forwarded comes first.
        self.crosses(1)
        self.crosses(0, 0)
        self.pmd.ask_all('set fwd io', 'start')
        self.crosses(0)
        self.crosses(1)
        counts = base.xstats(self.pmd, 0)
        check(min(counts['rx_q0_packets'], counts['rx_q1_packets']) >= 2 * N_FRAMES, str(counts))

    def a_stopped_port_starts_again(self):
        """While the secondary process polls."""
        self.pmd.ask('stop')
        text = ''.join(self.pmd.ask(command) for command in ('port stop 0', 'port start 0'))
        check('does not answer' not in text and 'Fail' not in text, text)
        self.pmd.ask('start')
        self.crosses(1)
        self.crosses(0)

    def a_secondary_process_is_killed(self):
        self.other.process.send_signal(signal.SIGKILL)
        self.other.process.wait(base.GIVE_UP)
        self.crosses(0)
        self.pmd.ask('stop')
        text = ''.join(self.pmd.ask(command) for command in ('port stop 0', 'port start 0'))
        check('does not answer' not in text and 'held by another' not in text, text)
        self.pmd.ask('start')
        self.crosses(0)
        self.start_other()
        self.other.ask_all('set fwd io', 'start')
        self.crosses(1)

    def the_primary_process_is_killed(self):
        """Testpmd looks twice a second whether its primary process lives, and ends if not. If that comes first, this
        shows nothing, so it is tried again."""
        for _ in range(5):
            equal(rings_of(self.other.process), 2 * N_RINGS)
            self.pmd.process.send_signal(signal.SIGKILL)
            self.pmd.process.wait(base.GIVE_UP)
            while not self.other.has_ended() and NOTICED not in self.other.text:
                time.sleep(0.001)
            if NOTICED in self.other.text:
                equal(rings_of(self.other.process), 0)
                break
            self.two_processes_start()
        check(NOTICED in self.other.text, 'the death of the primary process is not noticed')
        self.other.process.wait(base.GIVE_UP)
        check('Port 0: device removal event' in self.other.text, self.other.text)

    def addresses_that_are_taken(self):
        """Without random addresses both processes have mapped much the same ones."""
        self.two_processes_start(before=('setarch', '--addr-no-randomize'))
        check('are taken in this process' in self.other.text, self.other.text)
        check('cannot use the queues' not in self.pmd.text, self.pmd.text)
        equal(rings_of(self.other.process), 0)
        self.other.ask_all('set fwd io', 'start')
        self.crosses(1, 0)
        equal(self.other.quit(), 0)
        equal(self.pmd.quit(), 0)


def rings_of(process):
    """Returns how many rings of sockets a process has mapped."""
    with open(f'/proc/{process.pid}/maps', encoding='ascii') as file:
        return sum('socket:[' in line for line in file)


CASES = (
    ('testpmd starts', Suite.starts),
    ('dpdk-proc-info shows the port', Suite.port_is_shown),
    ("frames that are missed: the kernel's counters", Suite.missed_frames_are_counted),
    ("frames that came: the port's counters", Suite.received_frames_are_counted),
    ('counters are reset', Suite.counters_are_reset),
    ('a closed port is gone', Suite.a_closed_port_is_gone),
    ('testpmd ends well', Suite.the_primary_ends_well),
    ('two processes start', Suite.two_processes_start),
    ('each process forwards on its queue', Suite.each_process_forwards_on_its_queue),
    ('a stopped port starts again under a polling process', Suite.a_stopped_port_starts_again),
    ('a secondary process is killed', Suite.a_secondary_process_is_killed),
    ('the primary process is killed', Suite.the_primary_process_is_killed),
    ('addresses that are taken', Suite.addresses_that_are_taken),
    ('two processes forward on the map of another program', Suite.two_processes_on_a_map_of_others),
)


def free_hugepages():
    with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages', encoding='ascii') as file:
        return int(file.read())


def reason_to_skip(build):
    if free_hugepages() < N_HUGEPAGES:
        return f'it needs {N_HUGEPAGES} free hugepages: echo {N_HUGEPAGES} > /proc/sys/vm/nr_hugepages'
    return base.reason_to_skip(build, 'dpdk-testpmd', 'dpdk-proc-info')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--transcript', default='/dev/null')
    args = parser.parse_args()
    reason = reason_to_skip(args.build)
    if reason:
        print('skipped secondary_afxdp:', reason)
        return SKIPPED
    # unshare(1) creates the namespaces for this process, then runs this program again.
    if os.environ.get('GANTRY_OWN_NAMESPACE') != 'yes':
        os.environ.update(GANTRY_OWN_NAMESPACE='yes', LD_LIBRARY_PATH=f'{args.build}/drivers', HUGE_DIR=tempfile.mkdtemp(),
                          BPFFS=tempfile.mkdtemp(), BUILD=args.build)
        try:
            return subprocess.run(['unshare', '--net', '--mount', '--', sys.executable, *sys.argv], check=False).returncode
        finally:
            os.rmdir(os.environ['HUGE_DIR'])
            os.rmdir(os.environ['BPFFS'])
    for command in (f'mount -t hugetlbfs none {os.environ["HUGE_DIR"]}', f'mount -t bpf none {os.environ["BPFFS"]}',
                    'sysctl -qw net.ipv6.conf.default.disable_ipv6=1',
                    'ip link add near0 type veth peer name far0', 'ip link set near0 up', 'ip link set far0 up',
                    'ip link add near1 numrxqueues 2 numtxqueues 2 type veth peer name far1 numrxqueues 2 numtxqueues 2',
                    'ip link set near1 up', 'ip link set far1 up', 'mount -t sysfs none /sys'):
        subprocess.run(command.split(), check=True)
    try:
        return base.run_cases('secondary_afxdp', Suite, CASES, args.transcript)
    finally:
        shutil.rmtree(f'/var/run/dpdk/{PREFIX}', ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
