#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests the unmodified dpdk-testpmd and DPDK's tools on ports of net_gantry_e1000e.

Runs in the emulated machine (profile default) with the build folder as its argument. With --memory
the profile is aw48, because the memory needs 48-bit IOVAs. --transcript FILE gets the commands to
testpmd and its output. Other tests import the classes.

Testpmd has the two assigned NICs. The kernel has the other end of each wire, where this script
sends frames and compares received ones byte by byte. To show that a frame does not arrive, it waits
for a frame that was sent later.
"""

import argparse
import contextlib
import glob
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PORTS = ('0000:01:00.0', '0000:02:00.0')           # NICs of testpmd
WIRES = ('0000:03:00.0', '0000:04:00.0')           # NICs of the kernel at the other ends
MACS = ('52:54:00:00:01:00', '52:54:00:00:02:00')  # of PORTS
PEERS = ('02:00:00:00:00:aa', '02:00:00:00:00:bb')
SENDER = '02:00:00:00:00:01'
PLUGINS = ['-d', '/run/gantry-build/drivers/libgantry_bus_vfio_pci.so', '-d', '/run/gantry-build/drivers/libgantry_net_e1000e.so']
# tx_split: QEMU's NIC drops frames whose buffer spans pages that are not contiguous
# (doc/dpdk_programs.md).
DRIVER_ARGUMENTS = ',tx_split=2097152'
SMALL_PAGES = ',tx_split=4096'
ARGUMENTS = '--total-num-mbufs=8192', '--enable-rx-cksum'      # options of testpmd
PROMPT = 'testpmd> '
# What its other threads print: events, and log lines of drivers.
EVENT = re.compile(r'\n?Port \d+: [\w ]+ event\n|[A-Z][A-Z0-9_]+: [^\n]*\n')
GIVE_UP = 90                                        # time-out in seconds
MARK = b'gantry'
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23


class Failure(Exception):
    """A check failed; the text says which."""


def eal(arguments=DRIVER_ARGUMENTS):
    """Returns EAL options: Gantry's plugins, and both ports with these device arguments."""
    return PLUGINS + ['--no-pci'] + [word for port in PORTS for word in ('-a', f'vfio_pci:{port}{arguments}')]


@contextlib.contextmanager
def plugins_installed():
    """Gantry's plugins are in the folder from which every DPDK program loads its drivers."""
    pmds, = glob.glob('/usr/lib/*/dpdk/pmds-*')
    real, ours = '/run/gantry-pmds-real', '/run/gantry-pmds'
    for folder in (real, ours):
        os.makedirs(folder)
    subprocess.run(['mount', '--bind', pmds, real], check=True)
    for path in [os.path.join(real, name) for name in os.listdir(real)] + PLUGINS[1::2]:
        os.symlink(path, os.path.join(ours, os.path.basename(path)))
    subprocess.run(['mount', '--bind', ours, pmds], check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', pmds], check=True)
        subprocess.run(['umount', real], check=True)
        os.rmdir(real)
        shutil.rmtree(ours)


def check(holds, text):
    if not holds:
        raise Failure(text)


# Frames

def same(came, wanted):
    """Checks that the received frames are the expected ones, in order."""
    for now, right in zip(came, wanted):
        check(now == right, f'a frame is\n  {now.hex()} and not\n  {right.hex()}')
    check(len(came) == len(wanted), f'{len(came)} frames, not {len(wanted)}')


def mac_bytes(text):
    return bytes.fromhex(text.replace(':', ''))


def ones_sum(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def frame(to, number, length=128, bad_checksums=False):
    """Returns a numbered UDP frame from 10.0.0.1:1000 to 10.0.0.2:2000. Optionally its IP and UDP
    checksums are wrong."""
    payload = (MARK + struct.pack('!I', number)).ljust(length - 42, b'\x5a')
    addresses = socket.inet_aton('10.0.0.1') + socket.inet_aton('10.0.0.2')
    udp = struct.pack('!HHHH', 1000, 2000, 8 + len(payload), 0)
    check_udp = ones_sum(addresses + struct.pack('!BBH', 0, 17, 8 + len(payload)) + udp + payload) or 0xffff
    ip = struct.pack('!BBHHHBBH', 0x45, 0, 28 + len(payload), number & 0xffff, 0, 64, 17, 0) + addresses
    check_ip = ones_sum(ip)
    if bad_checksums:
        check_udp, check_ip = 0x1234, 0x4321
    return (mac_bytes(to) + mac_bytes(SENDER) + b'\x08\0' + ip[:10] + struct.pack('!H', check_ip) + ip[12:]
            + udp[:6] + struct.pack('!H', check_udp) + payload)


def number_of(data):
    at = data.find(MARK)
    return struct.unpack('!I', data[at + 6:at + 10])[0] if at >= 0 else None


class End:
    """The kernel's end of a wire: a netdev with a packet socket."""

    def __init__(self, name, mtu=9000):
        self.name = name
        for words in (f'mtu {mtu}', 'promisc on', 'up'):
            subprocess.run(['ip', 'link', 'set', self.name, *words.split()], check=True)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        # Received frames stay in the socket until all are sent. The default buffer holds about 200
        # frames.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.bind((self.name, 0))

    def send(self, data):
        self.socket.send(data)

    def counted(self):
        """Returns the packets that the netdev received and sent, by /proc/net/dev (for a NIC, the
        counters of the chip)."""
        with open('/proc/net/dev', encoding='ascii') as file:
            fields = re.search(rf'^\s*{self.name}:(.*)$', file.read(), re.MULTILINE).group(1).split()
        return int(fields[1]), int(fields[9])

    def dropped(self):
        """Returns the number of frames that the socket dropped since the last call."""
        return struct.unpack('II', self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]

    def forget(self):
        """Discards the frames that the socket holds."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(65536)
        except BlockingIOError:
            pass
        self.socket.setblocking(True)

    def has_one(self, first):
        """Returns whether a frame with number `first` or higher has arrived, or arrives within 0.2
        s."""
        while select.select([self.socket], [], [], 0.2)[0]:
            data = self.socket.recv(65536)
            if (number_of(data) or 0) >= first:
                return True
        return False

    def receive(self, first, wanted):
        """Returns the received frames with number `first` or higher, up to the one with number
        `wanted`. Others are old: txonly sends whatever its buffers contain."""
        frames, end = [], time.monotonic() + GIVE_UP
        while not frames or number_of(frames[-1]) != wanted:
            ready, _, _ = select.select([self.socket], [], [], max(0, end - time.monotonic()))
            check(ready, f'{self.name}: frame {wanted} does not arrive; {len(frames)} others did')
            data = self.socket.recv(65536)
            if (number_of(data) or 0) >= first:
                frames.append(data)
        return frames


def nic_end(device):
    """Returns the End of a NIC of the kernel."""
    name = os.path.basename(glob.glob(f'/sys/bus/pci/devices/{device}/net/*')[0])
    # A ring that never fills up: when the ring of a NIC is full, QEMU's hub reorders frames.
    subprocess.run(['ethtool', '-G', name, 'rx', '4096'], check=True)
    # The default qdisc, fq_codel, silently drops frames that are queued for long. pfifo drops only
    # when it is full, and then send() fails.
    subprocess.run(['tc', 'qdisc', 'replace', 'dev', name, 'root', 'pfifo', 'limit', '10000'], check=True)
    return End(name)


# Testpmd

def has_prompt(text):
    """Returns whether the prompt is in a text. Another thread of testpmd prints events and log lines, possibly in
    the middle of the prompt."""
    return PROMPT in text or PROMPT in EVENT.sub('', text)


class Testpmd:
    """A dpdk-testpmd process, and its output so far."""

    def __init__(self, transcript, arguments=(), options=(), before=(), lcores='-l0,1'):
        self.text, self.news, self.transcript = '', threading.Condition(), transcript
        command = [*before, 'dpdk-testpmd', lcores, *(options or eal()), '--', '-i', *(arguments or ARGUMENTS)]
        self.transcript.write('\n$ ' + ' '.join(command) + '\n')
        self.process = subprocess.Popen(['stdbuf', '-oL', *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd='/tmp')
        threading.Thread(target=self.listen, daemon=True).start()
        try:
            self.wait_prompt(0)
        except Failure:
            self.process.kill()
            self.process.wait()
            raise

    def listen(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self.news:
                self.text += data.decode(errors='replace')
                self.transcript.write(data.decode(errors='replace'))
                if not data:
                    self.text += '\n(it ended)\n' + PROMPT
                self.news.notify_all()
            if not data:
                return

    def wait_prompt(self, start):
        with self.news:
            if not self.news.wait_for(lambda: has_prompt(self.text[start:]), GIVE_UP):
                raise Failure('no prompt after:\n' + self.text[start:][-2000:])

    def ask(self, command):
        """Sends a command. Returns its output, up to the next prompt."""
        start = len(self.text)
        self.say(command)
        self.wait_prompt(start)
        return self.text[start:]

    def ask_all(self, *commands):
        for command in commands:
            self.ask(command)

    def say(self, command):
        try:
            self.process.stdin.write(command.encode() + b'\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure('testpmd has ended:\n' + self.text[-2000:]) from None

    def has_ended(self):
        return '\n(it ended)\n' in self.text

    def quit(self):
        self.say('quit')
        return self.process.wait(GIVE_UP)


def forward_counts(text):
    """Returns {port: (RX-total, RX-dropped, TX-total, TX-dropped)} from the output of `stop`."""
    found = re.findall(r'Forward statistics for port (\d+).*?RX-packets: \d+\s+RX-dropped: (\d+)\s+RX-total: (\d+)'
                       r'.*?TX-packets: \d+\s+TX-dropped: (\d+)\s+TX-total: (\d+)', text, re.DOTALL)
    return {int(port): (int(rx), int(rx_lost), int(tx), int(tx_lost)) for port, rx_lost, rx, tx_lost, tx in found}


def xstats(pmd, port):
    return {name: int(value) for name, value in
            re.findall(r'^(\w+): (\d+)\s*$', pmd.ask(f'show port xstats {port}'), re.MULTILINE)}


class Suite:
    """The cases, in the order in which they run. One testpmd runs across most of them."""

    DRIVER = 'net_gantry_e1000e'

    def __init__(self, transcript):
        self.transcript = transcript
        self.ends = tuple(nic_end(device) for device in WIRES)
        self.pmd = None
        self.number = 0

    def run(self, *command, say=None):
        """Runs another program to its end."""
        done = subprocess.run(command, input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=GIVE_UP, check=False)
        self.transcript.write('\n$ ' + ' '.join(command) + '\n' + done.stdout)
        return done

    def hops(self, side):
        """Returns the packet counters of each hop from one side to the other. Ports without
        hardware counters count 0."""
        into, out = xstats(self.pmd, side), xstats(self.pmd, 1 - side)
        return {'the sending NIC': self.ends[side].counted()[1],
                'the chip, in': into.get('rx_hw_good_packets', 0), 'the driver, in': into['rx_good_packets'],
                'the driver, out': out['tx_good_packets'], 'the chip, out': out.get('tx_hw_good_packets', 0),
                'the receiving NIC': self.ends[1 - side].counted()[0]}

    def cross(self, side, count=200, length=128, to=None, bad_checksums=False):
        """Sends frames at one side. All must arrive at the other side, in order. Returns (sent
        frames, received frames)."""
        first = self.number + 1
        self.number += count
        sent = [frame(to or MACS[side], number, length, bad_checksums) for number in range(first, self.number + 1)]
        before = self.hops(side)
        for data in sent:
            self.ends[side].send(data)
        came = self.ends[1 - side].receive(first, self.number)
        numbers = [number_of(data) for data in came]
        if numbers != list(range(first, self.number + 1)):
            # A missing frame was lost, or was overtaken by the last one.
            late = 0
            while self.ends[1 - side].has_one(first):
                late += 1
            hops = {hop: now - before[hop] for hop, now in self.hops(side).items()}
            missing = [number - first for number in range(first, self.number + 1) if number not in numbers]
            raise Failure(f'of {count} frames {len(came)} came {"in" if numbers == sorted(numbers) else "out of"} order, {late} '
                          f'more after the last one; lost or late: {missing}; the socket dropped '
                          f'{self.ends[1 - side].dropped()}; counted: {hops}; '
                          f'xstats: {[xstats(self.pmd, port) for port in (0, 1)]}')
        return sent, came

    def wait_quiet(self, side):
        """Waits until the frames of txonly, thousands of them queued in QEMU, have arrived: until a
        frame arrives alone."""
        came, before = self.ends[1 - side], None
        while before is None or came.counted()[0] != before + 1:
            before = came.counted()[0]
            self.cross(side, 1)

    def begin(self, mode, *before):
        self.pmd.ask_all(*before, f'set fwd {mode}', 'clear port stats all', 'clear port xstats all')
        check('already' not in self.pmd.ask('start'), 'it was not stopped')

    def stop(self, expected=None):
        """Stops forwarding. Checks testpmd's counts: `expected` frames from each side, none
        dropped."""
        counts = forward_counts(self.pmd.ask('stop'))
        if expected is not None:
            check(counts[0] == (expected[0], 0, expected[1], 0) and counts[1] == (expected[1], 0, expected[0], 0),
                  f'testpmd counts {counts}, not {expected} from each side')

    # The cases

    def wait_links(self):
        """Waits until the links are up: until a frame crosses in each direction."""
        self.begin('io')
        deadline = time.monotonic() + GIVE_UP
        for side in (0, 1):
            first = self.number + 1
            while not self.ends[1 - side].has_one(first):
                check(time.monotonic() < deadline, 'no frame crosses')
                self.number += 1
                self.ends[side].send(frame(MACS[side], self.number))
            # When a later frame arrives, no frame sent while the links came up is still in flight.
            self.number += 1
            self.ends[side].send(frame(MACS[side], self.number))
            self.ends[1 - side].receive(self.number, self.number)
        self.stop()

    def launch(self):
        return Testpmd(self.transcript)

    def starts(self):
        self.pmd = self.launch()
        text = self.pmd.ask('show port info all')
        check(len(re.findall(f'Driver name: {self.DRIVER}\\s', text)) == 2, 'not two ports of ours:\n' + text)
        for mac in MACS:
            check(mac.upper() in text, f'no port {mac}')
        for port in (0, 1):
            self.pmd.ask(f'set eth-peer {port} {PEERS[port]}')
        self.wait_links()

    def io_leaves_frames_as_they_are(self):
        self.begin('io')
        for side in (0, 1):
            sent, came = self.cross(side, 200 + side)
            same(came, sent)
        self.stop((200, 201))
        for port, count in ((0, 200), (1, 201)):
            counted, wanted = xstats(self.pmd, port), self.wanted_xstats(count, 401 - count)
            found = {name: counted.get(name) for name in wanted}
            check(found == wanted, f'port {port}: xstats {found}, not {wanted}')

    def wanted_xstats(self, came, went):
        return {'rx_hw_good_packets': came, 'rx_good_packets': came, 'tx_hw_good_packets': went, 'tx_good_packets': went,
                'rx_missed_errors': 0}

    def mac_writes_addresses(self):
        self.begin('mac')
        for side in (0, 1):
            sent, came = self.cross(side)
            wanted = mac_bytes(PEERS[1 - side]) + mac_bytes(MACS[1 - side])
            same(came, [wanted + data[12:] for data in sent])
        self.stop((200, 200))

    def five_tuple_swap(self):
        self.begin('5tswap')
        for side in (0, 1):
            sent, came = self.cross(side)
            same(came, [data[6:12] + data[:6] + data[12:26] + data[30:34] + data[26:30] + data[36:38] + data[34:36]
                        + data[38:] for data in sent])
        self.stop((200, 200))

    def csum_has_the_nic_compute(self):
        self.pmd.ask('port stop all')
        for port in (0, 1):
            for what in ('ip', 'udp'):
                text = self.pmd.ask(f'csum set {what} hw {port}')
                check('hw' in text and 'not supported' not in text, text)
        self.pmd.ask('port start all')
        self.begin('csum')
        for side in (0, 1):
            sent, came = self.cross(side, bad_checksums=True)
            for was, now in zip(sent, came):
                right = frame(MACS[side], number_of(was))
                same([now[14:]], [right[14:]])
        text = self.pmd.ask('stop')
        check(re.findall(r'Bad-ipcsum: (\d+)', text)[:2] == ['200', '200'], 'bad checksums were not seen:\n' + text)
        for port in (0, 1):
            self.pmd.ask_all('port stop all', f'csum set ip sw {port}', f'csum set udp sw {port}', 'port start all')

    def rxonly_sends_nothing(self):
        self.begin('rxonly')
        first = self.number + 1
        for number in range(first, first + 300):
            self.ends[0].send(frame(MACS[0], number))
        self.number += 300
        deadline = time.monotonic() + GIVE_UP
        while xstats(self.pmd, 0)['rx_good_packets'] < 300:
            check(time.monotonic() < deadline, 'they do not come')
        counts = forward_counts(self.pmd.ask('stop'))
        check(counts[0][0] == 300 and counts[0][2] == counts[1][2] == 0, f'testpmd counts {counts}')
        self.begin('io')
        _, came = self.cross(0, 1)
        check(len(came) == 1, 'something was sent')
        self.stop((1, 0))

    def txonly_sends_all_that_it_counts(self):
        for end in self.ends:
            end.forget()
        self.begin('txonly')
        deadline = time.monotonic() + GIVE_UP
        while min(xstats(self.pmd, port)['tx_good_packets'] for port in (0, 1)) < 2000:
            check(time.monotonic() < deadline, 'too few are sent')
        counts = forward_counts(self.pmd.ask('stop'))
        for port in (0, 1):
            # The NIC sends frames that are still in the ring.
            while xstats(self.pmd, port)['tx_hw_good_packets'] < counts[port][2]:
                check(time.monotonic() < deadline, f'port {port} counts {counts[port]}, its chip '
                      f'{xstats(self.pmd, port)["tx_hw_good_packets"]}')
            check(xstats(self.pmd, port)['tx_hw_good_packets'] == counts[port][2], 'the chip counts more')
        data = self.ends[0].socket.recv(65536)
        check(data[:12] == mac_bytes(PEERS[0]) + mac_bytes(MACS[0]) and data[12:14] == b'\x08\0' and
              data[26:34] == socket.inet_aton('198.18.0.1') + socket.inet_aton('198.18.0.2'), data.hex())
        self.begin('io')
        for side in (0, 1):
            self.wait_quiet(side)
        self.stop()

    def promiscuous_off_and_on(self):
        foreign = '02:00:00:00:00:99'
        self.begin('io', 'set promisc all off')
        for number in range(50):
            self.ends[0].send(frame(foreign, 0x7fff0000 + number))
        _, came = self.cross(0, 10)
        check(len(came) == 10, 'foreign frames were received')
        self.stop((10, 0))
        self.begin('io', 'set promisc all on')
        self.cross(0, 10, to=foreign)
        self.stop((10, 0))

    def large_mtu(self):
        self.pmd.ask('port stop all')
        for port in (0, 1):
            text = self.pmd.ask(f'port config mtu {port} 8000')
            check('fail' not in text.lower(), text)
            check('MTU: 8000' in self.pmd.ask(f'show port info {port}'), 'no MTU of 8000')
        self.pmd.ask('port start all')
        self.begin('io')
        for side in (0, 1):
            sent, came = self.cross(side, 20, 7000)
            same(came, sent)
        self.stop((20, 20))
        self.pmd.ask('port stop all')
        check('> device max MTU' in self.pmd.ask('port config mtu 0 20000'), 'an MTU of 20000 is taken')
        self.pmd.ask_all('port config mtu 0 1500', 'port config mtu 1 1500', 'port start all')

    def ports_stop_and_start(self):
        for _ in range(3):
            check('Done' in self.pmd.ask('port stop 0'), 'no stop')
            check('Done' in self.pmd.ask('port start 0'), 'no start')
        self.begin('io')
        self.cross(0)
        self.cross(1)
        self.stop((200, 200))

    def detached_and_attached(self):
        for command, answer in (('port stop 0', 'Done'), ('port detach 0', 'is detached')):
            check(answer in self.pmd.ask(command), command)
        check(PORTS[0] not in self.pmd.ask('show device info all'), 'still there')
        layered = f'bus=vfio_pci,addr={PORTS[0]}/class=eth/driver=net_gantry_e1000e{DRIVER_ARGUMENTS}'
        for name in (f'vfio_pci:{PORTS[0]}{DRIVER_ARGUMENTS}', layered):
            text = self.pmd.ask(f'port attach {name}')
            check('Port 0 is attached' in text and 'Now total ports is 2' in text, text)
            self.pmd.ask_all('port start 0', 'set eth-peer 0 ' + PEERS[0])
            self.begin('io')
            self.cross(0)
            self.cross(1)
            self.stop((200, 200))
            check(PORTS[0] in self.pmd.ask(f'show device info {PORTS[0]}'), 'the device is not shown')
            self.pmd.ask('port stop 0')
            text = self.pmd.ask('port detach 0')
            check('is detached' in text and 'Now total ports is 1' in text, text)
        text = self.pmd.ask(f'port attach vfio_pci:{PORTS[0]}{DRIVER_ARGUMENTS}')
        check('Port 0 is attached' in text, text)
        self.pmd.ask('port start 0')

    def proc_info_reads_the_counters(self):
        self.begin('io')
        self.cross(0, 123)
        self.stop((123, 0))
        done = self.run('dpdk-proc-info', *eal(), '--', '--stats')
        ports = re.findall(r'NIC statistics for port (\d+).*?RX-packets:\s*(\d+).*?TX-packets:\s*(\d+)', done.stdout,
                           re.DOTALL)
        check(done.returncode == 0 and ports == [('0', '123', '0'), ('1', '0', '123')], done.stdout)
        done = self.run('dpdk-proc-info', *eal(), '--', '--xstats')
        chips = [re.findall(rf'^{way}_hw_good_packets: (\d+)', done.stdout, re.MULTILINE) for way in ('rx', 'tx')]
        check(done.returncode == 0 and chips == [['123', '0'], ['0', '123']], done.stdout)
        # The primary process must still forward.
        self.begin('io')
        self.cross(1)
        self.stop((0, 200))

    def secondaries_find_the_ports(self):
        """Without a device named, a secondary process uses those of the primary one."""
        done = self.run('dpdk-proc-info', *PLUGINS, '--no-pci', '--', '--stats')
        ports = re.findall(r'NIC statistics for port (\d+)', done.stdout)
        check(done.returncode == 0 and ports == ['0', '1'], done.stdout)

    def dumpcap_captures(self):
        """dpdk-dumpcap loads plugins from DPDK's folder only, and cannot name devices."""
        with plugins_installed():
            done = self.run('dpdk-dumpcap', '-D')
            check(re.findall(r'^\d+\. (\S+)', done.stdout, re.MULTILINE) == list(PORTS), done.stdout)
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, 'packets')
                os.chmod(folder, 0o777)
                dumpcap = subprocess.Popen(['dpdk-dumpcap', '-i', '0', '-c', '20', '-P', '-w', path],
                                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                try:
                    self.begin('io')
                    end = time.monotonic() + GIVE_UP
                    while dumpcap.poll() is None and time.monotonic() < end:
                        self.cross(0, 20)
                    said = dumpcap.communicate(timeout=GIVE_UP)[0]
                finally:
                    dumpcap.kill()
                self.transcript.write('\n$ dpdk-dumpcap\n' + said)
                self.pmd.ask('stop')
                with open(path, 'rb') as file:
                    captured = file.read().count(MARK)
            check(dumpcap.returncode == 0 and captured >= 20, f'{captured} frames: {said}')

    def telemetry_tells(self):
        done = self.run('dpdk-telemetry.py', say='/ethdev/list\n/ethdev/stats,0\n/ethdev/xstats,1\n/dmamap/container,default\nquit\n')
        answers = [json.loads(text) for text in re.findall(r'\{.*\}', done.stdout)]
        found = {key: answer[key] for answer in answers for key in answer}
        check(found['/ethdev/list'] == [0, 1], done.stdout)
        check(found['/ethdev/stats']['opackets'] == 200 and found['/ethdev/stats']['ipackets'] == 0, done.stdout)
        check(found['/ethdev/xstats']['rx_hw_good_packets'] == 200, done.stdout)
        check(found['/dmamap/container']['devices'] == 2, done.stdout)

    def it_ends_and_leaves_nothing(self):
        check(self.pmd.quit() == 0, 'it ends badly')
        # The EAL keeps the files of its hugepages for the next start, for every program.
        in_files = len(glob.glob('/dev/hugepages/rtemap_*'))
        free, total = (int(open(f'/sys/kernel/mm/hugepages/hugepages-2048kB/{name}', encoding='ascii').read())
                       for name in ('free_hugepages', 'nr_hugepages'))
        check(free + in_files == total, f'{free} of {total} hugepages are free, {in_files} are in files of the EAL')

    def external_memory(self):
        """External memory is at an address that the kernel chooses, far above the 39 bits of this
        VT-d."""
        self.pmd = Testpmd(self.transcript, (*ARGUMENTS, '--mp-alloc=xmemhuge'))
        for text in ("devices cannot reach the EAL's new memory", 'pool mb_pool_0 is not in container default'):
            check(text in self.pmd.text, f'nothing says: {text}\n{self.pmd.text}')
        self.it_ends_and_leaves_nothing()

    def crosses_and_ends(self, length):
        """Checks that testpmd with another kind of memory forwards and ends."""
        self.wait_links()
        self.begin('io')
        for side in (0, 1):
            sent, came = self.cross(side, 100, length)
            same(came, sent)
        self.stop((100, 100))
        self.it_ends_and_leaves_nothing()

    def without_hugepages(self):
        self.pmd = Testpmd(self.transcript, options=['--no-huge', '-m', '128', *eal(SMALL_PAGES)])
        self.crosses_and_ends(1500)

    def external_huge_memory(self):
        self.pmd = Testpmd(self.transcript, (*ARGUMENTS, '--mp-alloc=xmemhuge'))
        self.crosses_and_ends(1500)

    def external_small_memory(self):
        self.pmd = Testpmd(self.transcript, (*ARGUMENTS, '--mp-alloc=xmem'), eal(SMALL_PAGES))
        self.crosses_and_ends(1500)

    def devbind_binds(self):
        """Unbinds a port from vfio-pci and binds it again. Each call is slow, because the tool runs
        lspci many times."""
        link = f'/sys/bus/pci/devices/{PORTS[0]}/driver'
        done = self.run('dpdk-devbind.py', '-u', PORTS[0])
        check(done.returncode == 0 and not os.path.exists(link), f'still bound\n{done.stdout}')
        done = self.run('dpdk-devbind.py', '--status-dev', 'net', '-b', 'vfio-pci', PORTS[0])
        check(done.returncode == 0 and os.path.basename(os.readlink(link)) == 'vfio-pci', f'not bound\n{done.stdout}')
        for port in PORTS:
            check(re.search(rf'^{port} .*drv=vfio-pci', done.stdout, re.MULTILINE), done.stdout)


CASES = (
    ('it starts on our ports', Suite.starts),
    ('io: frames cross as they are; xstats are exact', Suite.io_leaves_frames_as_they_are),
    ('mac: addresses are written', Suite.mac_writes_addresses),
    ('5tswap: addresses and ports are swapped', Suite.five_tuple_swap),
    ('csum: the NIC computes checksums', Suite.csum_has_the_nic_compute),
    ('rxonly: all come, nothing goes', Suite.rxonly_sends_nothing),
    ('txonly: the chip sends what testpmd counts', Suite.txonly_sends_all_that_it_counts),
    ('promiscuous mode off and on', Suite.promiscuous_off_and_on),
    ('an MTU of 8000', Suite.large_mtu),
    ('ports stop and start', Suite.ports_stop_and_start),
    ('ports are detached and attached', Suite.detached_and_attached),
    ('dpdk-proc-info reads the counters', Suite.proc_info_reads_the_counters),
    ('secondary processes find the ports', Suite.secondaries_find_the_ports),
    ('dpdk-telemetry.py tells them', Suite.telemetry_tells),
    ('dpdk-dumpcap captures', Suite.dumpcap_captures),
    ('it ends and leaves nothing', Suite.it_ends_and_leaves_nothing),
    ('dpdk-devbind.py unbinds, binds and shows', Suite.devbind_binds),
    ('no hugepages', Suite.without_hugepages),
    ('external memory out of reach is refused with lines', Suite.external_memory),
)

# Memory at addresses that the kernel chooses: needs 48-bit IOVAs (profile aw48).
MEMORY_CASES = (
    ('external memory in hugepages', Suite.external_huge_memory),
    ('external memory in small pages', Suite.external_small_memory),
)


def reason_to_skip(build, *programs):
    """Returns why these programs cannot run on the plugins of a build on this host, or None."""
    if os.geteuid() != 0 or not all(map(shutil.which, programs)):
        return f'it needs root and {" and ".join(programs)}'
    plugin = f'{build}/drivers/libgantry_net_af_xdp.so'
    if 'san.so' in subprocess.run(['ldd', plugin], check=True, stdout=subprocess.PIPE, text=True).stdout:
        return 'a program without a sanitizer cannot load plugins with one'
    return None


def run_cases(word, make_suite, cases, path):
    """Runs cases in sequence, with a transcript in the file `path`. Returns the exit status. A case
    returns a reason to skip it."""
    count = {'ok     ': 0, 'FAILED ': 0, 'skipped': 0}
    with open(path, 'w', encoding='utf-8') as transcript:
        suite = make_suite(transcript)
        for name, case in cases:
            start, reason = time.monotonic(), None
            transcript.write(f'\n\n=== {name}\n')
            try:
                reason = case(suite)
                verdict = 'skipped' if reason else 'ok     '
            except (Failure, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as error:
                verdict, reason = 'FAILED ', f'{type(error).__name__}: {error}'
            count[verdict] += 1
            print(f'{verdict} {word}: {name}' + (f' ({reason})' if reason else '') +
                  f' [{time.monotonic() - start:.0f} s]', flush=True)
            if verdict == 'FAILED ':
                if suite.pmd is None or suite.pmd.has_ended():
                    break
                suite.pmd.ask('stop')
        if suite.pmd is not None:
            suite.pmd.process.kill()
        transcript.flush()
    print('{} passed, {} failed, {} skipped'.format(*count.values()))
    return 1 if count['FAILED '] else 0


def set_up(build):
    """Mounts the build folder where the EAL takes plugins from, which is not below a folder that everyone may write to,
    and keeps this kernel's own addresses out of the frames."""
    for folder in ('/run/gantry-build', '/var/run/dpdk'):
        os.makedirs(folder, exist_ok=True)
    subprocess.run(['mount', '--bind', build, '/run/gantry-build'], check=True)
    for name in ('all', 'default'):
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w', encoding='ascii') as file:
            file.write('1')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--memory', action='store_true')
    parser.add_argument('--transcript', default='/tmp/transcript')
    args = parser.parse_args()
    set_up(args.build)
    return run_cases('testpmd', Suite, MEMORY_CASES if args.memory else CASES, args.transcript)


if __name__ == '__main__':
    sys.exit(main())
