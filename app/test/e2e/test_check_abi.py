#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks that devtools/check-abi tells compatible changes of a library from others, in a tree of one small library."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../../devtools/check-abi')
MESON = '''project('p', 'c')
option = get_option('drivers')
shared_library('dmamap', 'lib/dmamap/dmamap.c', version: '1', c_args: '-g')
'''
OPTIONS = "option('drivers', type: 'boolean', value: true)\n"
HEADER = '''struct dmamap_container_conf { int a; };
struct dmamap_zone_conf { int a; };
struct dmamap_container;
int dmamap_first(struct dmamap_container *c, const struct dmamap_container_conf *conf);
int dmamap_second(struct dmamap_container *c, const struct dmamap_zone_conf *conf);
'''
SOURCE = '''#include "dmamap.h"
struct dmamap_container { int hidden; };
int dmamap_first(struct dmamap_container *c, const struct dmamap_container_conf *conf) { return c->hidden + conf->a; }
int dmamap_second(struct dmamap_container *c, const struct dmamap_zone_conf *conf) { return c->hidden + conf->a; }
'''


@unittest.skipUnless(shutil.which('abidiff') and shutil.which('git'), 'no abidiff, or no git')
class CheckAbi(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tree = self.folder.name + '/tree'
        self.write('meson.build', MESON)
        self.write('meson_options.txt', OPTIONS)
        self.write('lib/dmamap/dmamap.h', HEADER)
        self.write('lib/dmamap/dmamap.c', SOURCE)
        self.git('init', '-q')
        self.git('add', '--all')
        self.git('commit', '-q', '-m', 'lib: begin')
        subprocess.run(['meson', 'setup', 'build'], cwd=self.tree, check=True, stdout=subprocess.DEVNULL)

    def write(self, name, text):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def git(self, *arguments):
        identity = ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false']
        subprocess.run(['git', *identity, '-C', self.tree, *arguments], check=True)

    def check(self, *options):
        environment = {**os.environ, 'GANTRY_CACHE': self.folder.name + '/cache'}
        return subprocess.run([sys.executable, PROGRAM, '--tree', self.tree, *options], capture_output=True, text=True,
                              env=environment, check=False)

    def assert_verdict(self, verdict, status, header=HEADER, source=SOURCE):
        self.write('lib/dmamap/dmamap.h', header)
        self.write('lib/dmamap/dmamap.c', source)
        done = self.check()
        self.assertIn(f' abi: dmamap: {verdict}\n', done.stdout, done.stderr)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def test_without_a_tag_a_commit_is_named(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr),
                         (2, 'check-abi: this history has no tag: name a commit with --base\n'))
        self.assertEqual(self.check('--base', 'HEAD').returncode, 0)
        self.assertEqual(self.check('--base', 'nonesuch').returncode, 2)

    def test_changes_since_the_last_tag(self):
        self.git('tag', 'v1')
        self.assert_verdict('no change', 0)
        # What programs do not see.
        self.assert_verdict('no change', 0, source=SOURCE.replace('int hidden;', 'long more; int hidden;'))
        added = 'int dmamap_third(void);\n'
        said = self.assert_verdict('only additions', 0, HEADER + added, SOURCE + 'int dmamap_third(void) { return 3; }\n')
        self.assertIn('dmamap_third', said)
        # Its size goes along.
        self.assert_verdict('no change', 0, HEADER.replace('container_conf { int a;', 'container_conf { int a; long b;'))
        self.assert_verdict('incompatible', 1, HEADER.replace('container_conf { int a;', 'container_conf { long b; int a;'))
        self.assert_verdict('incompatible', 1, HEADER.replace('zone_conf { int a;', 'zone_conf { int a; long b;'))
        said = self.assert_verdict('incompatible', 1, source=SOURCE[:SOURCE.index('int dmamap_second')])
        self.assertIn('1 Removed function', said)
        self.assertIn('dmamap_second', said)


if __name__ == '__main__':
    unittest.main()
