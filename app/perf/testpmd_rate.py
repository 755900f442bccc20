#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Measures packets a second forwarded by net_gantry_e1000e and by DPDK's own net_e1000_em on the same NICs.

Started in the emulated machine (profile wire), or on two 82574L on one wire, with the build folder as its argument:

    devtools/vm/run --profile wire --timeout 900 -- app/perf/testpmd_rate.py BUILD

dpdk-testpmd, mode io, forwards from each NIC to the other one; the frames that it sent at the start
circulate. The two drivers are measured alternately, A B A B. Each round has several windows; a
window's figure is the packets that both ports received in it.

With --profile each driver runs once more, and perf (package linux-perf) samples its lcore. In an
emulated machine a register write takes as long as the emulated chip's work, and is attributed to
the instructions that follow it: these are shown apart.
"""

import argparse
import collections
import json
import os
import re
import statistics
import subprocess
import sys
import time

FRAMES = 8                      # bursts of 32 that circulate, for each port
LCORE = '1'                     # the forwarding lcore
HOT = 0.02                      # fraction of all samples from which an instruction or function is shown
KINDS = {
    'net_gantry_e1000e': ['--no-pci', '-d', '/run/gantry-build/drivers/libgantry_bus_vfio_pci.so',
                          '-d', '/run/gantry-build/drivers/libgantry_net_e1000e.so'],
    'net_e1000_em': [],
}


class Testpmd:
    """A forwarding dpdk-testpmd."""

    def __init__(self, kind, devices, options):
        prefix = 'vfio_pci:' if kind == 'net_gantry_e1000e' else ''
        command = ['dpdk-testpmd', '-l', '0,' + LCORE, '--no-telemetry', '--huge-unlink', *KINDS[kind],
                   *(word for device in devices for word in ('-a', prefix + device)),
                   '--', '-i', '--total-num-mbufs=8192', '--rxd=512', '--txd=512', *options]
        self.process = subprocess.Popen(['stdbuf', '-oL', *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd='/tmp')
        self.read_to_prompt()

    def read_to_prompt(self):
        text = b''
        while not text.endswith(b'testpmd> '):
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                sys.exit('testpmd-rate: testpmd ended:\n' + text.decode())
            text += data
        return text.decode()

    def ask(self, command):
        self.process.stdin.write(command.encode() + b'\n')
        self.process.stdin.flush()
        return self.read_to_prompt()

    def quit(self):
        self.process.stdin.write(b'quit\n')
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()

    def received(self):
        """Returns the time, and the packets that both ports have received and lost."""
        text = self.ask('show port stats all')
        now = time.monotonic()
        counts = re.findall(r'RX-packets: (\d+)\s+RX-missed: (\d+)', text)
        return now, sum(int(good) for good, _ in counts), sum(int(missed) for _, missed in counts)


def forwarding(kind, devices, options):
    pmd = Testpmd(kind, devices, options)
    pmd.ask(f'start tx_first {FRAMES}')
    time.sleep(0.5)
    return pmd


def measure(kind, devices, options, windows, seconds):
    """Returns the packets a second of each window."""
    pmd = forwarding(kind, devices, options)
    rates = []
    for _ in range(windows):
        before, good_before, missed_before = pmd.received()
        time.sleep(seconds)
        after, good_after, missed_after = pmd.received()
        if missed_after != missed_before:
            sys.exit(f'testpmd-rate: {kind}: {missed_after - missed_before} frames were lost: no figure counts')
        rates.append((good_after - good_before) / (after - before))
    drops = [int(count) for count in re.findall(r'[RT]X-dropped: (\d+)', pmd.ask('stop'))]
    pmd.quit()
    return rates, sum(drops)


def profile(kind, devices, options, seconds):
    """Prints the hot functions of the forwarding lcore, and the hot instructions in each."""
    pmd = forwarding(kind, devices, options)
    data = '/tmp/testpmd-rate.perf'
    subprocess.run(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '997', '-C', LCORE, '-o', data, '--', 'sleep', str(seconds)],
                   check=True)
    pmd.quit()
    said = subprocess.run(['perf', 'script', '-i', data, '-F', 'ip,sym,dso'], check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    functions = collections.defaultdict(collections.Counter)
    for line in said.splitlines():
        # Address, function, "(file)"; a function without a name is "[unknown]".
        address, function, file = line.split(maxsplit=1)[0], *re.search(r'(\S+) \((.*)\)', line).groups()
        functions[function, os.path.basename(file)][address] += 1
    total = sum(addresses.total() for addresses in functions.values())
    print(f'{kind}, {total} samples:')
    for (function, file), addresses in sorted(functions.items(), key=lambda row: -row[1].total()):
        if addresses.total() < HOT * total:
            continue
        hot = ', '.join(f'{count / total:.1%} at {address}' for address, count in addresses.most_common(3) if count >= HOT * total)
        print(f'  {addresses.total() / total:6.1%}  {function} ({file}){": " + hot if hot else ""}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--rounds', type=int, default=4)
    parser.add_argument('--windows', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=1)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--profile', action='store_true')
    parser.add_argument('--option', action='append', default=[], help="of testpmd's, for both drivers, such as --option=--rxfreet=64")
    args = parser.parse_args()
    devices = [name for name in os.environ.get('GANTRY_DEVICES', '').split()
               if open(f'/sys/bus/pci/devices/{name}/device', encoding='ascii').read() == '0x10d3\n'][:2]
    if len(devices) < 2:
        sys.exit('testpmd-rate: two 82574L on one wire are wanted in $GANTRY_DEVICES')
    for folder in ('/run/gantry-build', '/var/run/dpdk'):
        os.makedirs(folder, exist_ok=True)
    if not os.path.ismount('/run/gantry-build'):
        subprocess.run(['mount', '--bind', args.build, '/run/gantry-build'], check=True)

    rates, drops, ratios = {kind: [] for kind in KINDS}, dict.fromkeys(KINDS, 0), []
    for number in range(args.rounds):
        # The driver that is measured first alternates, too.
        for kind in list(KINDS) if number % 2 == 0 else list(KINDS)[::-1]:
            some, lost = measure(kind, devices, args.option, args.windows, args.seconds)
            rates[kind] += some
            drops[kind] += lost
        ours, theirs = (statistics.median(rates[kind][-args.windows:]) for kind in KINDS)
        ratios.append(ours / theirs)
    result = {kind: {'median': statistics.median(rates[kind]), 'min': min(rates[kind]), 'max': max(rates[kind]),
                     'dropped': drops[kind], 'n': len(rates[kind])} for kind in KINDS}
    result['ratio'] = {'median': statistics.median(ratios), 'min': min(ratios), 'max': max(ratios), 'n': len(ratios)}
    if args.profile:
        for kind in KINDS:
            profile(kind, devices, args.option, 3 * args.seconds)
    if args.json:
        print(json.dumps(result))
        return
    for kind in KINDS:
        row = result[kind]
        print(f'{kind:20} {row["median"]:10.0f} packets/s  ({row["min"]:.0f} to {row["max"]:.0f}, {row["n"]} windows, '
              f'{row["dropped"]} dropped)')
    print(f'{"ratio":20} {result["ratio"]["median"]:10.2f}            ({result["ratio"]["min"]:.2f} to '
          f'{result["ratio"]["max"]:.2f}, {len(ratios)} rounds)')


if __name__ == '__main__':
    main()
