#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Runs the suites of the unmodified dpdk-test that use real devices, on devices of Gantry.

Run by Meson; needs root. PORTS is the kind of device:
  af_xdp  on the host: both ends of a veth pair, in a private network namespace
  e1000e  in the emulated machine (profile wire): both ends of a wire

Each suite has a process of its own. A case passes if the suite says "Test OK", each test of it that
was counted passed, and the process ends well.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from test_testpmd import reason_to_skip  # noqa: E402

SKIPPED = 77
TIMEOUT = 240           # seconds
PREFIX = f'gantry-suites-{os.getpid()}'
PLUGINS = '/run/gantry-build/drivers'
# pmd_perf_autotest sends 2,048 frames from each of two ports, and then receives them. It gives up after
# 10,000 polls without a frame, which is soon on a busy machine: so it may run again.
PERF = 'pmd_perf_autotest'
PERF_ORDER = 'set_rxtx_sc poll_after_xmit'
PERF_FRAMES = 4096
PERF_TRIES = 5


class Suite:
    """One suite of dpdk-test on some devices."""

    def __init__(self, name, devices, before='', memory=256, perf_frames=0):
        self.name, self.devices, self.before = name, devices, before
        self.memory, self.perf_frames = memory, perf_frames

    def text(self):
        return f'{self.name}, {self.before}' if self.before else self.name

    def run(self, options):
        """Returns what is wrong, or None; and the output."""
        command = ['dpdk-test', '-l', '0,1', '--no-pci', '--no-telemetry', f'--file-prefix={PREFIX}', *options(self.memory),
                   *self.devices]
        said = ''.join(line + '\n' for line in (self.before, self.name, 'quit') if line)
        try:
            done = subprocess.run(command, input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired as expired:
            return f'it did not end within {TIMEOUT} s', (expired.stdout or b'').decode(errors='replace')
        return self.wrong(done), done.stdout

    def wrong(self, done):
        if done.returncode != 0:
            return f'dpdk-test ended with {done.returncode}'
        if done.stdout.count('Test OK') != 1:
            return 'it did not say "Test OK"'
        failed = re.search(r'Tests Failed : *([1-9]\d*)', done.stdout)
        if failed:
            return f'{failed.group(1)} of its tests failed'
        if self.perf_frames:
            for wanted in (f'start to receive total expect {self.perf_frames}\n', '\n0 packets lost'):
                if wanted not in done.stdout:
                    return f'it did not say "{wanted.strip()}"'
        return None


# Each returns a function that gives EAL options by megabytes of memory, and the suites.

def on_af_xdp():
    end = 'numrxqueues 4 numtxqueues 4'
    for command in ('sysctl -qw net.ipv6.conf.default.disable_ipv6=1',
                    f'ip link add near {end} type veth peer name far {end}', 'ip link set near up', 'ip link set far up'):
        subprocess.run(command.split(), check=True)
    pair = ['--vdev=net_gantry_af_xdp0,iface=near', '--vdev=net_gantry_af_xdp1,iface=far']
    # The suites of adapters make a pool of 524,288 mbufs for each port.
    queues = ['--vdev=event_sw0', '--vdev=net_gantry_af_xdp0,iface=near,queue_count=4']
    adapters = [Suite(f'event_eth_rx_{kind}_autotest', queues, memory=3072) for kind in ('adapter', 'intr_adapter')]

    def options(memory):
        return ['-d', f'{PLUGINS}/libgantry_net_af_xdp.so', '--no-huge', '-m', str(memory)]
    return options, [Suite(PERF, pair, PERF_ORDER, 512, PERF_FRAMES), *adapters]


def on_e1000e():
    wire = ['-a', 'vfio_pci:0000:01:00.0', '-a', 'vfio_pci:0000:02:00.0']

    def options(_):
        return ['-d', f'{PLUGINS}/libgantry_bus_vfio_pci.so', '-d', f'{PLUGINS}/libgantry_net_e1000e.so']
    return options, [Suite(PERF, wire, PERF_ORDER, perf_frames=PERF_FRAMES)]


KINDS = {'af_xdp': on_af_xdp, 'e1000e': on_e1000e}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('ports', choices=KINDS)
    args = parser.parse_args()
    reason = reason_to_skip(args.build, 'dpdk-test')
    if reason:
        print('skipped dpdk_suites:', reason)
        return SKIPPED
    # unshare(1) creates the namespaces for this process, then runs this program again.
    if os.environ.get('GANTRY_OWN_NAMESPACE') != 'yes':
        os.environ['GANTRY_OWN_NAMESPACE'] = 'yes'
        os.execvp('unshare', ['unshare', '--net', '--mount', '--', sys.executable, *sys.argv])
    # The EAL refuses plugins below a world-writable folder.
    os.makedirs('/run/gantry-build', exist_ok=True)
    subprocess.run(['mount', '--bind', args.build, '/run/gantry-build'], check=True)
    options, suites = KINDS[args.ports]()
    failed = 0
    for suite in suites:
        for attempt in range(PERF_TRIES if suite.perf_frames else 1):
            wrong, output = suite.run(options)
            if not wrong:
                break
            print(f'dpdk_suites {args.ports}: {suite.text()}: try {attempt + 1}: {wrong}', flush=True)
        print('FAILED' if wrong else 'ok    ', f' dpdk_suites {args.ports}: {suite.text()}', f'({wrong})' if wrong else '',
              flush=True)
        if wrong:
            failed += 1
            print(''.join(f'  | {line}\n' for line in output.splitlines()[-60:]), end='')
    shutil.rmtree(f'/var/run/dpdk/{PREFIX}', ignore_errors=True)
    print(f'{len(suites) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
