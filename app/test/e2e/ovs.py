# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Open vSwitch on DPDK for tests: a switch with its own database, from the folder of a Debian suite
that devtools/vm/clients-setup makes."""

import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
import vfio_clients as clients  # noqa: E402
from test_testpmd import check  # noqa: E402

SUITE = 'bookworm'
VERSION = '3.1'
RUN = '/run/gantry-ovs'
LOG = RUN + '/vswitchd.log'
PROGRAM = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'


class Switch:
    """Open vSwitch and its database server, in the chroot of SUITE. `extra`: EAL options.
    `before`: words before the program, such as gantry-run."""

    def __init__(self, transcript, extra, before=(), settings=()):
        self.transcript, self.extra, self.before, self.settings = transcript, extra, before, settings
        folders = {name: RUN for name in ('OVS_RUNDIR', 'OVS_DBDIR', 'OVS_LOGDIR', 'OVS_SYSCONFDIR')}
        self.root = [*clients.enter(SUITE), 'env', *(f'{name}={value}' for name, value in folders.items())]
        self.processes = []

    def run(self, *words):
        done = clients.run(self.transcript, *self.root, *words)
        check(done.returncode == 0, f'{" ".join(words)}: {done.stdout}{self.last_words()}')
        return done.stdout

    def last_words(self):
        """Returns the end of ovs-vswitchd's log, and whether it runs."""
        try:
            with open(LOG, encoding='utf-8', errors='replace') as file:
                lines = file.readlines()[-10:]
        except FileNotFoundError:
            return ''
        status = self.processes[-1].poll()
        return f'{"".join(lines)}ovs-vswitchd {"runs" if status is None else f"has ended with {status}"}'

    def vsctl(self, *words):
        return self.run('ovs-vsctl', '--timeout=60', f'--db=unix:{RUN}/db.sock', *words)

    def appctl(self, *words):
        return self.run('ovs-appctl', '-t', f'{RUN}/vswitchd.ctl', *words)

    def spawn(self, *words):
        # pylint: disable-next=consider-using-with
        self.processes.append(subprocess.Popen([*self.root, *words], stdin=subprocess.DEVNULL, stdout=self.transcript,
                                               stderr=self.transcript))

    def start(self):
        shutil.rmtree(RUN, ignore_errors=True)
        os.makedirs(RUN)
        self.run('ovsdb-tool', 'create', f'{RUN}/conf.db', '/usr/share/openvswitch/vswitch.ovsschema')
        self.spawn('ovsdb-server', f'--remote=punix:{RUN}/db.sock', f'{RUN}/conf.db')
        end = time.monotonic() + base.GIVE_UP
        while not os.path.exists(f'{RUN}/db.sock'):
            check(time.monotonic() < end, 'there is no database')
            time.sleep(0.05)
        self.vsctl('--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.', 'other_config:dpdk-init=true',
                   f'other_config:dpdk-extra={self.extra}', *(f'other_config:{setting}' for setting in self.settings))
        self.spawn(*self.before, PROGRAM, f'unix:{RUN}/db.sock', f'--pidfile={RUN}/vswitchd.pid',
                   f'--unixctl={RUN}/vswitchd.ctl', f'--log-file={LOG}')
        self.vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev')

    def add(self, name, devargs, *options):
        """Adds a port; its device arguments may contain commas."""
        self.vsctl('add-port', 'br0', name, '--', 'set', 'Interface', name, 'type=dpdk', f'options:dpdk-devargs="{devargs}"',
                   *options)
        self.check_port(name)

    def remove(self, name):
        self.vsctl('del-port', name)

    def get(self, name, column):
        return self.vsctl('get', 'Interface', name, column).strip().strip('"')

    def set(self, name, setting):
        self.vsctl('set', 'Interface', name, setting)
        self.check_port(name)

    def check_port(self, name):
        error = self.get(name, 'error')
        check(error == '[]', f'{name}: {error}')

    def end(self):
        self.appctl('exit')
        status = self.processes[1].wait(base.GIVE_UP)
        check(status == 0, f'ovs-vswitchd ends with {status}')

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(RUN, ignore_errors=True)


def cross(ends, first, count=100, step=10, cut=0):
    """Checks that frames cross the switch unchanged, in both directions. `cut`: bytes at the end of
    a frame that are not compared."""
    for side in (0, 1):
        # Frames are lost until the switch has noticed that the link is up.
        deadline = time.monotonic() + base.GIVE_UP
        number = first + side * 500
        while not ends[1 - side].has_one(number):
            check(time.monotonic() < deadline, 'no frame crosses')
            ends[side].send(base.frame(base.PEERS[1 - side], number))
        sent = [base.frame(base.PEERS[1 - side], number + 1 + i, 64 + step * i) for i in range(count)]
        for data in sent:
            ends[side].send(data)
        came = ends[1 - side].receive(number + 1, base.number_of(sent[-1]))
        check(len(came) == len(sent), f'{len(came)} frames, not {len(sent)}')
        base.same([data[:len(right) - cut] for data, right in zip(came, sent)],
                  [data[:len(data) - cut] for data in sent])
