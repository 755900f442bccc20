#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests the unmodified dpdk-testpmd as an ordinary user, on maps of XDP programs that others attached.

One port has a pinned map, the other one gets its map from a device plugin's socket in the EAL's runtime directory.
clients/xsk-map attaches the programs. Run by Meson with the build folder as its argument; needs root. Works in private
network and mount namespaces, which end with the process. --transcript FILE gets the commands to testpmd and its output.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
import test_testpmd_afxdp as afxdp  # noqa: E402
from test_testpmd import check, same  # noqa: E402

SKIPPED = 77
PREFIX = f'gantry-map-{os.getpid()}'
NOBODY = 65534
# What a pod of DPDK's guide has. Without CAP_IPC_LOCK a limit of 8 MiB would hold the pool once, not for each port.
CAPABILITIES = 1 << 13 | 1 << 14
ARGUMENTS = ('--total-num-mbufs=4096', '--no-mlockall')
USER = ('setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', '--inh-caps=-all,+net_raw,+ipc_lock',
        '--ambient-caps=+net_raw,+ipc_lock', '--bounding-set=-all,+net_raw,+ipc_lock')


class Plugin:
    """A xsk-map process."""

    def __init__(self, iface, how, path):
        self.process = subprocess.Popen([f'{os.environ["BUILD"]}/app/test/clients/xsk-map', iface, how, path],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == 'ready\n', f'xsk-map does not start on {iface}')

    def state(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def wait_state(self, wanted):
        deadline = time.monotonic() + base.GIVE_UP
        while self.state() != wanted:
            check(time.monotonic() < deadline, f'{self.state()} instead of {wanted}')
            time.sleep(0.01)

    def end(self):
        self.process.stdin.close()
        self.process.wait(base.GIVE_UP)


class Suite(afxdp.Suite):
    """Cases of test_testpmd, and cases about the maps."""

    def __init__(self, transcript):
        super().__init__(transcript)
        self.folder = os.environ['FOLDER']
        self.socket = f'{self.folder}/dpdk/{PREFIX}/afxdp_dp/near1/afxdp.sock'
        os.makedirs(os.path.dirname(self.socket))
        for path, folders, _ in os.walk(self.folder):
            for name in folders:
                os.chown(os.path.join(path, name), NOBODY, NOBODY)
        self.pinned = Plugin('near0', 'pin', f'{os.environ["BPFFS"]}/xsks_map')
        self.served = Plugin('near1', 'serve', self.socket)

    def launch(self):
        eal = ['-d', 'libgantry_net_af_xdp.so', '--no-pci', '--no-huge', '-m', '64', '--no-telemetry', f'--file-prefix={PREFIX}',
               f'--vdev=net_gantry_af_xdp0,iface=near0,use_pinned_map=1,dp_path={os.environ["BPFFS"]}/xsks_map',
               '--vdev=net_gantry_af_xdp1,iface=near1,use_cni=1']
        return base.Testpmd(self.transcript, ARGUMENTS, tuple(eal), USER)

    def it_is_an_ordinary_user(self):
        with open(f'/proc/{self.pmd.process.pid}/status', encoding='ascii') as file:
            status = dict(re.findall(r'^(\w+):\s*(.*)$', file.read(), re.MULTILINE))
        check(status['Name'] == 'dpdk-testpmd', str(status))
        check(status['Uid'].split() == [str(NOBODY)] * 4, status['Uid'])
        check(int(status['CapEff'], 16) == CAPABILITIES == int(status['CapBnd'], 16), f'{status["CapEff"]} {status["CapBnd"]}')

    def frames_cross(self):
        self.begin('io')
        for side in (0, 1):
            sent, came = self.cross(side)
            same(came, sent)
        self.stop((200, 200))

    def states_are(self, entries):
        for plugin in (self.pinned, self.served):
            plugin.wait_state(f'attached 1, entries {entries}')

    def entries_are_there(self):
        self.states_are(1)

    def stopped_ports_have_none(self):
        self.pmd.ask('port stop all')
        self.states_are(0)
        self.pmd.ask('port start all')
        self.states_are(1)
        self.frames_cross()

    def a_killed_program_leaves_the_map(self):
        self.pmd.process.send_signal(signal.SIGKILL)
        self.pmd.process.wait(base.GIVE_UP)
        self.states_are(0)

    def it_starts_again(self):
        """The plugin answers once, so the next program needs another one."""
        self.served.end()
        self.served = Plugin('near1', 'serve', self.socket)
        self.starts()
        self.frames_cross()

    def it_ends_well(self):
        check(self.pmd.quit() == 0, 'testpmd ends with an error')
        self.states_are(0)

    def without_a_plugin_it_does_not_start(self):
        text = ''
        try:
            text = self.launch().text
        except base.Failure as failure:
            text = str(failure)
        check('cannot connect to the device plugin at /tmp/afxdp_dp/near1/afxdp.sock: No such file' in text, text)


CASES = (
    ('it starts on both maps', Suite.starts),
    ('it is an ordinary user with CAP_NET_RAW and CAP_IPC_LOCK', Suite.it_is_an_ordinary_user),
    ('its sockets are in the maps', Suite.entries_are_there),
    ('frames cross as they are', Suite.frames_cross),
    ('stopped ports are not in the maps', Suite.stopped_ports_have_none),
    ('a killed program leaves the maps, and the programs stay', Suite.a_killed_program_leaves_the_map),
    ('it starts again', Suite.it_starts_again),
    ('it ends well, and the programs stay', Suite.it_ends_well),
    ('without a plugin it does not start', Suite.without_a_plugin_it_does_not_start),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('build')
    parser.add_argument('--transcript', default='/dev/null')
    args = parser.parse_args()
    reason = base.reason_to_skip(args.build, 'dpdk-testpmd')
    if reason:
        print('skipped testpmd_afxdp_map:', reason)
        return SKIPPED
    # unshare(1) creates the namespaces for this process, then runs this program again.
    if os.environ.get('GANTRY_OWN_NAMESPACE') != 'yes':
        with tempfile.TemporaryDirectory() as folder:
            # The tree may lie where an ordinary user reaches nothing.
            paths = {name: os.path.join(folder, name.lower()) for name in ('BUILD', 'BPFFS', 'FOLDER')}
            for path in paths.values():
                os.mkdir(path)
            os.chmod(folder, 0o755)
            os.chown(paths['FOLDER'], NOBODY, NOBODY)
            os.environ.update(paths, GANTRY_OWN_NAMESPACE='yes', LD_LIBRARY_PATH=f'{paths["BUILD"]}/drivers',
                              XDG_RUNTIME_DIR=paths['FOLDER'])
            return subprocess.run(['unshare', '--net', '--mount', '--', sys.executable, *sys.argv], check=False).returncode
    subprocess.run(['mount', '--bind', args.build, os.environ['BUILD']], check=True)
    subprocess.run(['mount', '-t', 'bpf', 'bpffs', os.environ['BPFFS']], check=True)
    afxdp.wires()
    return base.run_cases('testpmd_afxdp_map', Suite, CASES, args.transcript)


if __name__ == '__main__':
    sys.exit(main())
