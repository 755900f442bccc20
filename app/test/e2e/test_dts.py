#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks devtools/dts without DTS and without a machine: how results are read and judged, and how
dpdk-testpmd is started."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
TREE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../..'))


def load(name):
    """Returns the program devtools/dts/NAME as a module."""
    loader = importlib.machinery.SourceFileLoader('dts_' + name, f'{TREE}/devtools/dts/{name}')
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


run, guest = load('run'), load('guest')

# As DTS 25.11 writes results.json (dts/framework/test_result.py, serialize_model()).
RESULTS = {
    'execution_errors': [],
    'test_suites': {
        'vlan': {'setup': {'result': 'PASS'}, 'one': {'setup': {'result': 'PASS'}, 'result': 'PASS'},
                 'two': {'result': 'FAIL', 'reason': 'no packet'}, 'teardown': {'result': 'PASS'}},
        'l2fwd': {'setup': {'result': 'ERROR', 'reason': 'no cores'}, 'three': {'result': 'BLOCK'}},
        'pmd_rss': {'result': 'SKIP', 'reason': 'no hash'},
    },
}


def outcome(result):
    return run.Outcome(result, 'why')


class Results(unittest.TestCase):
    def test_each_case_has_its_result_and_reason(self):
        self.assertEqual(run.outcomes(RESULTS), {
            ('vlan', 'one'): run.Outcome('PASS'), ('vlan', 'two'): run.Outcome('FAIL', 'no packet'),
            ('l2fwd', 'setup'): run.Outcome('ERROR', 'no cores'), ('l2fwd', 'three'): run.Outcome('BLOCK'),
            ('pmd_rss', ''): run.Outcome('SKIP', 'no hash')})

    def test_an_error_of_the_run_is_a_result(self):
        found = run.outcomes({'execution_errors': ['no sshd', 'no NIC'], 'test_suites': {}})
        self.assertEqual(found, {('(run)', ''): run.Outcome(run.BROKEN, 'no sshd; no NIC')})

    def test_what_passes_on_dpdks_driver_has_to_pass_on_ours(self):
        for dpdk, gantry, wanted in (('PASS', 'PASS', 'passed'), ('PASS', 'FAIL', 'failed'), ('PASS', 'SKIP', 'failed'),
                                     ('PASS', 'ABSENT', 'failed'), ('PASS', 'BLOCK', 'failed'), ('FAIL', 'PASS', 'passed'),
                                     ('SKIP', 'PASS', 'passed'), ('FAIL', 'FAIL', 'skipped'), ('SKIP', 'SKIP', 'skipped')):
            with self.subTest(dpdk=dpdk, gantry=gantry):
                self.assertEqual(run.judge({'dpdk': outcome(dpdk), 'gantry': outcome(gantry)}), wanted)

    def test_a_driver_alone_has_to_pass(self):
        for driver in run.DRIVERS:
            self.assertEqual(run.judge({driver: outcome('PASS')}), 'passed')
            self.assertEqual(run.judge({driver: outcome('FAIL')}), 'failed')
            self.assertEqual(run.judge({driver: outcome('SKIP')}), 'skipped')

    def test_a_case_that_one_driver_lacks_is_absent_in_the_table(self):
        counts, text = run.checks.Counts(), io.StringIO()
        with contextlib.redirect_stdout(text):
            run.show({('vlan', 'one'): {'dpdk': outcome('PASS')}}, ['dpdk', 'gantry'], counts)
        self.assertIn('FAILED dts: vlan: one\n', text.getvalue())
        self.assertIn('net_gantry_e1000e: ABSENT', text.getvalue())
        self.assertEqual((counts.passed, counts.failed, counts.skipped), (0, 1, len(run.SKIPPED)))

    def test_a_setup_that_fails_on_ours_alone_is_a_failure(self):
        counts, text = run.checks.Counts(), io.StringIO()
        with contextlib.redirect_stdout(text):
            run.show({('vlan', 'setup'): {'gantry': outcome('ERROR')}}, ['dpdk', 'gantry'], counts)
        self.assertIn('FAILED dts: vlan: setup\n', text.getvalue())
        self.assertEqual(counts.failed, 1)

    def test_a_run_without_results_fails(self):
        counts = run.checks.Counts()
        with contextlib.redirect_stdout(io.StringIO()):
            run.show({('(run)', ''): {'dpdk': outcome(run.BROKEN)}}, ['dpdk', 'gantry'], counts)
        self.assertEqual((counts.passed, counts.failed), (0, 1))

    def test_suites_that_the_lists_lack_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ('TestSuite_vlan.py', 'TestSuite_new.py', 'TestSuite_virtio_fwd.py', '__init__.py'):
                with open(f'{folder}/{name}', 'w', encoding='ascii'):
                    pass
            self.assertEqual(run.unlisted(folder), ['new'])


class Runs(unittest.TestCase):
    """How often DTS is started, with a function in its place."""

    def run_all(self, suites, *answers):
        """Runs suites; DTS answers with the names of the suites that have results, or None. Returns all
        results, and the suites of each start."""
        starts, answers = [], list(answers)

        def run_dts(tree, out, seconds, suites):
            del tree, seconds
            self.assertEqual(out, f'out/{len(starts) + 1}')
            starts.append(list(suites))
            done = answers.pop(0)
            return None if done is None else {'test_suites': {suite: {} for suite in done},
                                              'execution_errors': [] if done else ['why']}

        with unittest.mock.patch.object(guest, 'run_dts', run_dts):
            return guest.run_all('tree', 'out', '9', suites), starts

    def test_dts_runs_once_if_all_suites_have_results(self):
        whole, starts = self.run_all(['vlan', 'mtu,one'], ['vlan', 'mtu'])
        self.assertEqual(whole, {'test_suites': {'vlan': {}, 'mtu': {}}, 'execution_errors': []})
        self.assertEqual(starts, [['vlan', 'mtu,one']])

    def test_dts_goes_on_behind_a_suite_that_has_ended_it(self):
        whole, starts = self.run_all(['a', 'b', 'c'], ['a', 'b'], ['c'])
        self.assertEqual(list(whole['test_suites']), ['a', 'b', 'c'])
        self.assertEqual((whole['execution_errors'], starts), ([], [['a', 'b', 'c'], ['c']]))

    def test_dts_that_gets_nowhere_is_an_error(self):
        for nothing, said in ((None, 'DTS has written no results'), ([], 'why')):
            whole, starts = self.run_all(['a', 'b'], ['a'], nothing)
            self.assertEqual(whole['execution_errors'], [said, 'not run: b'])
            self.assertEqual(len(starts), 2)


    def test_dts_that_hangs_behind_its_results_is_ended(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(guest, 'GRACE', 0.3):
            for command, status in (('touch results; exec sleep 60', -9), ('touch results; exit 5', 5), ('sleep 1; exit 4', 4)):
                with subprocess.Popen(['sh', '-c', command], cwd=folder) as dts:
                    guest.end_after_results(dts, folder + '/results')
                    self.assertEqual(dts.returncode, status)
                if os.path.exists(folder + '/results'):
                    os.unlink(folder + '/results')


class Testpmd(unittest.TestCase):
    """devtools/dts/testpmd with echo in the place of dpdk-testpmd."""

    def started(self, *arguments, gantry):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(f'{TREE}/devtools/dts/testpmd', folder)
            if gantry:
                with open(folder + '/gantry', 'w', encoding='ascii'):
                    pass
            done = subprocess.run([folder + '/testpmd', *arguments], check=True, text=True, stdout=subprocess.PIPE,
                                  env={**os.environ, 'GANTRY_DTS_TESTPMD': '/bin/echo'})
            return done.stdout.split()

    def test_our_bus_gets_the_devices(self):
        self.assertEqual(
            self.started('-l', '1-2', '-a', '0000:01:00.0', '-a', '0000:02:00.0', '--', '-i', '-a', 'x', gantry=True),
            ['--no-pci', '-l', '1-2', '-a', 'vfio_pci:0000:01:00.0', '-a', 'vfio_pci:0000:02:00.0', '--',
             '--total-num-mbufs=16384', '-i', '-a', 'x'])

    def test_dpdks_bus_gets_the_devices(self):
        self.assertEqual(self.started('-a', '0000:01:00.0', '--', '-i', gantry=False),
                         ['-a', '0000:01:00.0', '--', '--total-num-mbufs=16384', '-i'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
