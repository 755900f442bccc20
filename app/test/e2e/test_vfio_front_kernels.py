#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests unmodified programs that use VFIO on kernels without a part of VFIO.

Runs in the emulated machine with the build folder and the name of a set, which is also the name of
the profile.

  no-container  CONFIG_VFIO_CONTAINER off: programs fail alone, and run on iommufd under gantry-run
  no-group      CONFIG_VFIO_GROUP off: programs find no group, and a message of gantry-run says why
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import test_testpmd as base  # noqa: E402
import test_vfio_front as front  # noqa: E402
import test_vfio_front_programs as programs  # noqa: E402
import vfio_clients as clients  # noqa: E402
from test_testpmd import PORTS, check  # noqa: E402

CLIENT = f'{clients.BUILD}/app/test/clients/vfio-client'
GANTRY_TEST = f'{clients.BUILD}/app/test/gantry-test'
EDU = ('0000:00:10.0', '0000:00:11.0')
MANY = 70000
TESTPMD = ('dpdk-testpmd', '-l', '0,1', *(word for port in PORTS for word in ('-a', port)), '--', front.MBUFS)
NO_DEVICE = 'No probed ethernet devices'
UNDER = clients.under_gantry('--backend=auto')
# Least number of facts of doc/conformance.md that must pass under gantry-run.
LEAST_FACTS = 18
FACTS = ('env', 'GANTRY_FRONT=iommufd', clients.GANTRY_RUN, '--coalesce=off', '--log=/dev/null', GANTRY_TEST, 'conformance_vm')


class Test:
    """The cases."""

    def __init__(self, transcript):
        self.transcript = transcript

    def run(self, how, *command, say=None):
        return clients.run(self.transcript, *how.words, *command, say=say)

    def said(self):
        """Returns the messages of Gantry since the last call."""
        text = clients.said()
        self.transcript.write(text)
        if os.path.exists(clients.LOG):
            os.remove(clients.LOG)
        return text

    @staticmethod
    def kernel(files):
        """Checks that this kernel has, or lacks, these files: the precondition of the other
        cases."""
        for path, wanted in files.items():
            check(os.path.exists(path) == wanted, f'{path} is {"missing" if wanted else "there"}')

    def testpmd_alone(self):
        """Testpmd finds no container, and goes on without a device: DPDK does not treat that as an
        error."""
        done = self.run(clients.ALONE, *TESTPMD)
        check('Cannot open VFIO container /dev/vfio/vfio' in done.stdout and NO_DEVICE in done.stdout, done.stdout[-2000:])

    # no-container

    def client_alone(self):
        done = self.run(clients.ALONE, CLIENT, 'devices', EDU[0])
        check(done.returncode == 1 and '/dev/vfio/vfio: open: No such file or directory' in done.stdout, done.stdout)

    def client(self, answer, *words):
        done = self.run(UNDER, CLIENT, *words)
        check(done.returncode == 0 and answer in done.stdout, done.stdout[-2000:])
        clients.check_said(UNDER, self.transcript)

    def testpmd(self, program):
        """Frames cross unchanged, and the kernel sees maps of iommufd."""
        with clients.KernelCalls() as calls:
            pmd = front.Forwarder(self.transcript, UNDER, program)
            try:
                pmd.wait_links()
                pmd.cross_exactly()
                pmd.quit()
            finally:
                pmd.kill()
        clients.check_said(UNDER, self.transcript)
        check(calls.maps is None or calls.maps > 0, 'the kernel saw no map')
        check(calls.faults == 0, f'{calls.faults} IOMMU faults')

    def testpmd_lives(self):
        """A secondary process, and ports that are detached and attached."""
        front.Test(self.transcript, False).life(front.PLAIN, UNDER)
        clients.check_said(UNDER, self.transcript)

    def qemu(self):
        """The firmware of the guest sends a frame through an assigned NIC; a second NIC is
        hot-plugged."""
        programs.Test(self.transcript, False, False).qemu(UNDER, None)
        clients.check_said(UNDER, self.transcript)

    def type1_is_refused(self):
        """With --backend=type1 the program gets the kernel's errno, and one line says why."""
        done = self.run(clients.under_gantry('--backend=type1'), CLIENT, 'devices', EDU[0])
        check(done.returncode == 1 and '/dev/vfio/vfio: open: No such file or directory' in done.stdout, done.stdout)
        text = self.said()
        check(text.count('this kernel has no containers (CONFIG_VFIO_CONTAINER)') == 1, text)

    def facts(self):
        done = clients.run(self.transcript, *FACTS)
        counts = re.search(r'^(\d+) passed, (\d+) failed, (\d+) skipped', done.stdout, re.MULTILINE)
        check(done.returncode == 0 and counts and int(counts[1]) >= LEAST_FACTS and int(counts[2]) == 0,
              done.stdout[-3000:])
        print(f'        {counts[0]}')

    # no-group

    def explains(self, *command):
        """A program ends as it does alone, and exactly one line says what the kernel lacks, for any
        number of groups."""
        alone, done = self.run(clients.ALONE, *command), self.run(UNDER, *command)
        check(done.returncode == alone.returncode, f'it ends with {done.returncode}, alone with {alone.returncode}')
        lines = [line for line in self.said().splitlines() if 'this kernel has VFIO device files only' in line]
        check(len(lines) == 1 and 'CONFIG_VFIO_GROUP' in lines[0], f'{lines}')


def no_container(cases, test):
    cases.run('the kernel has groups and iommufd, and no containers', test.kernel, {
        '/dev/vfio/vfio': False, '/dev/iommu': True, '/sys/class/vfio': True, '/sys/module/vfio_iommu_type1': False})
    cases.run('vfio-client alone: no container', test.client_alone)
    cases.run('testpmd alone: no device', test.testpmd_alone)
    cases.run('vfio-client: two devices', test.client, '2 devices copied', 'devices', *EDU)
    cases.run('vfio-client: a late device', test.client, 'the late device copied', 'late', *EDU)
    cases.run('vfio-client: a second map is EEXIST', test.client, 'a second map of other memory: File exists', 'twice', EDU[0])
    cases.run(f'vfio-client: {MANY} maps', test.client, f'{MANY} maps, as many unmaps', 'maps', str(MANY), EDU[0])
    cases.run('vfio-client with --backend=type1: no container', test.type1_is_refused)
    for version, suite in front.SUITES.items():
        program = front.Program(version, suite)
        cases.run(f'{program} forwards', test.testpmd, program)
    cases.run(f'{front.PLAIN}: a second process; ports leave and return', test.testpmd_lives)
    cases.run('QEMU 7.2 with two assigned NICs', test.qemu)
    cases.run('conformance: all facts that can be tried', test.facts)


def no_group(cases, test):
    cases.run('the kernel has iommufd and device files, and no groups', test.kernel, {
        '/dev/vfio/vfio': False, '/dev/iommu': True, '/sys/class/vfio': False, '/sys/class/vfio-dev': True,
        '/dev/vfio/devices': True})
    cases.run('testpmd alone: no device', test.testpmd_alone)
    cases.run('testpmd: missing groups are explained in one line', test.explains, *TESTPMD)
    cases.run('vfio-client: the missing group is explained', test.explains, CLIENT, 'devices', EDU[0])


SETS = {'no-container': no_container, 'no-group': no_group}


def main():
    args = clients.parse(__doc__, *SETS)
    clients.set_up(args.build)
    with open(args.transcript, 'w', encoding='utf-8') as transcript:
        cases = clients.Cases('vfio_front', transcript, args.only)
        SETS[args.set](cases, Test(transcript))
    return cases.end()


if __name__ == '__main__':
    sys.exit(main())
