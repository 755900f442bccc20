#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests devtools/check-layers on small source trees: each rule, kept and broken. Run by Meson."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../../devtools/check-layers')
# The folders that the rules name. Each gets a file without symbols, because a folder without
# objects is an error.
FOLDERS = ['drivers/bus/vfio_pci', 'drivers/net/e1000e', 'drivers/net/af_xdp', 'drivers/dma/edu', 'lib/dmamap',
           'lib/dmamap/iova', 'lib/dmamap/pin', 'lib/dmamap/xlate', 'lib/dmamap/iommu', 'lib/dmamap/container',
           'lib/vfio_front', 'lib/vfio_mock', 'examples/l2fwd']


class CheckLayers(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tree, self.build = self.folder.name, os.path.join(self.folder.name, 'build')
        os.mkdir(self.build)
        self.commands = []
        self.compile('quiet.c', '')
        quiet = self.commands.pop()
        self.commands = [{**quiet, 'file': f'../{folder}/quiet.c'} for folder in FOLDERS]

    def write(self, path, text):
        path = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text + '\n')
        return path

    def compile(self, path, text):
        source, output = self.write(path, text), path.replace('/', '_') + '.o'
        subprocess.run(['cc', '-c', source, '-o', os.path.join(self.build, output)], check=True)
        self.commands.append({'directory': self.build, 'file': os.path.relpath(source, self.build), 'output': output})

    def check(self, folders=(), flags=()):
        with open(os.path.join(self.build, 'compile_commands.json'), 'w', encoding='utf-8') as f:
            json.dump(self.commands, f)
        return subprocess.run([sys.executable, PROGRAM, *flags, '--tree', self.tree, self.build, *folders],
                              capture_output=True, text=True, check=False)

    def assert_broken(self, *lines):
        done = self.check()
        self.assertEqual(done.stdout.splitlines(), list(lines))
        self.assertEqual(done.returncode, 1)

    def test_layers_pass(self):
        self.compile('lib/dmamap/iova/low.c', 'int low(void) { return 0; }')
        self.compile('lib/dmamap/iova/mid.c', 'int low(void); int mid(void) { return low(); }')
        self.compile('lib/dmamap/iova/top.c', 'int low(void); int mid(void); int top(void) { return low() + mid(); }')
        done = self.check()
        self.assertEqual((done.stdout, done.returncode), ('', 0))
        self.assertIn('0: low.c, quiet.c\n    1: mid.c\n    2: top.c\n',
                      self.check(['lib/dmamap/iova'], ['--show']).stdout)

    def test_two_files_in_a_cycle(self):
        self.compile('drivers/dma/edu/a.c', 'int b(void); int a(void) { return b(); }')
        self.compile('drivers/dma/edu/b.c', 'int a(void); int b(void) { return a(); }')
        self.assert_broken('drivers/dma/edu: cycle of 2 files: a.c, b.c', '    a.c uses b.c: b', '    b.c uses a.c: a')

    def test_a_cycle_through_data_and_a_third_file(self):
        self.compile('drivers/dma/edu/a.c', 'int b(void); int level; int a(void) { return b(); }')
        self.compile('drivers/dma/edu/b.c', 'int c(void); int b(void) { return c(); }')
        self.compile('drivers/dma/edu/c.c', 'extern int level; int c(void) { return level; }')
        self.assert_broken('drivers/dma/edu: cycle of 3 files: a.c, b.c, c.c', '    a.c uses b.c: b',
                           '    b.c uses c.c: c', '    c.c uses a.c: level')

    def test_what_a_static_function_of_the_same_name_calls_is_no_cycle(self):
        self.compile('drivers/dma/edu/a.c', 'static int b(void) { return 0; } int a(void) { return b(); }')
        self.compile('drivers/dma/edu/b.c', 'int a(void); int b(void) { return a(); }')
        self.assertEqual(self.check().returncode, 0)

    def test_folders_that_do_not_know_each_other(self):
        self.compile('lib/dmamap/pin/pin.c', 'int pin(void) { return 0; }')
        self.compile('lib/dmamap/xlate/x.c', 'int pin(void); int x(void) { return pin(); }')
        self.assert_broken('lib/dmamap/xlate/x.c may not use lib/dmamap/pin/pin.c: pin')

    def test_what_pin_may_use_of_the_top_folder(self):
        self.compile('lib/dmamap/dm_file.c', 'int read_file(void) { return 0; }')
        self.compile('lib/dmamap/pin/pin.c', 'int read_file(void); int pin(void) { return read_file(); }')
        self.assertEqual(self.check().returncode, 0)
        self.compile('lib/dmamap/iova/iova.c', 'int read_file(void); int iova(void) { return read_file(); }')
        self.assert_broken('lib/dmamap/iova/iova.c may not use lib/dmamap/dm_file.c: read_file')

    def test_a_library_includes_nothing_of_a_driver(self):
        self.write('drivers/bus/vfio_pci/private.h', '')
        self.write('lib/dmamap/dm_any.h', '# include <private.h>')
        self.assert_broken('lib/dmamap/dm_any.h may not include private.h: a header of drivers/')

    def test_a_driver_includes_what_is_public(self):
        self.write('drivers/bus/vfio_pci/bus_vfio_pci_driver.h', '')
        self.write('drivers/bus/vfio_pci/private.h', '')
        self.write('lib/dmamap/dmamap.h', '')
        self.write('lib/dmamap/pin/dm_pin.h', '')
        self.write('drivers/net/e1000e/e1000e.h', '#include <dmamap.h>\n#include <bus_vfio_pci_driver.h>')
        self.assertEqual(self.check().returncode, 0)
        self.write('drivers/net/e1000e/hw.c', '#include <dm_pin.h>\n#include "private.h"')
        self.assert_broken('drivers/net/e1000e/hw.c may not include dm_pin.h: not a public header',
                           'drivers/net/e1000e/hw.c may not include private.h: not a public header')

    def test_nothing_to_check_is_an_error(self):
        self.assertEqual(self.check(['lib/none']).returncode, 2)
        self.commands = []
        self.assertEqual(self.check().returncode, 2)
        os.remove(os.path.join(self.build, 'compile_commands.json'))
        done = subprocess.run([sys.executable, PROGRAM, self.build], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('not a build folder', done.stderr)


if __name__ == '__main__':
    unittest.main()
