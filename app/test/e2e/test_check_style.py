#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks that devtools/check-style finds what it is for, in repositories of a few files that are made here."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TREE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../..'))
PROGRAM = os.path.join(TREE, 'devtools/check-style')
SETTINGS = ['.editorconfig', '.clang-format', '.clang-tidy', 'devtools/style/names.txt',
            'devtools/style/spelling-ignore.txt']
GOOD = 'int\nmain(void)\n{\n\treturn 0;\n}\n'


def has(program, version=''):
    if shutil.which(program) is None:
        return False
    done = subprocess.run([program, '--version'], capture_output=True, text=True, check=False)
    return f'version {version}' in done.stdout


class CheckStyle(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tree = self.folder.name
        for name in SETTINGS:
            with open(os.path.join(TREE, name), encoding='utf-8') as file:
                self.write(name, file.read())
        self.write('lib/good.c', GOOD)
        self.git('init', '-q')
        self.base = self.commit('Before the rule.')
        self.write('.git-blame-ignore-revs', f'# Before the rule.\n{self.base}\n')
        self.commit('tree: hold the rule')

    def write(self, name, text):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def git(self, *arguments):
        identity = ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false']
        return subprocess.run(['git', *identity, '-C', self.tree, *arguments], check=True, capture_output=True,
                              text=True).stdout.strip()

    def commit(self, message):
        self.git('add', '--all')
        self.git('commit', '-q', '--allow-empty', '--cleanup=verbatim', '-m', message)
        return self.git('rev-parse', 'HEAD')

    def check(self, *options):
        return subprocess.run([sys.executable, PROGRAM, '--tree', self.tree, *options], capture_output=True, text=True,
                              check=False)

    def assert_found(self, part, *lines, options=()):
        done = self.check('--only', part, *options)
        self.assertEqual(done.stdout.splitlines(), [*lines, '0 passed, 1 failed, 0 skipped'], done.stderr)
        self.assertEqual(done.returncode, 1)

    def assert_clean(self, part, *options):
        done = self.check('--only', part, *options)
        self.assertEqual((done.stdout, done.returncode), ('1 passed, 0 failed, 0 skipped\n', 0), done.stderr)

    def test_a_good_tree_passes(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('skipped check-style tidy: ' + ('no compile_commands.json in ' if has('clang-tidy') else ''), done.stdout)
        self.assertIn(' 0 failed, ', done.stdout)

    @unittest.skipUnless(has('clang-format', '14.'), 'no clang-format 14')
    def test_a_line_that_clang_format_would_change(self):
        self.assert_clean('format')
        self.write('lib/bad.c', 'int main(void) {\n\treturn 0;\n}\n')
        done = self.check('--only', 'format')
        self.assertIn('lib/bad.c:1: not as clang-format lays it out: clang-format -i lib/bad.c\n', done.stdout)
        self.assertNotIn('good.c', done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_what_editorconfig_says(self):
        self.assert_clean('text')
        self.write('lib/bad.c', 'int a; \n        int b;\nint c;\r\n/* ' + 'x ' * 49 + '*/\nint d;')
        self.write('bad.py', 'if True:\n\tpass\n\n')
        self.write('bad.sh', b'echo \xff\n')
        self.write('Makefile', 'all:\n        echo\n')
        self.assert_found('text',
                          'Makefile:2: indented with spaces: use tabs',
                          'bad.py:2: indented with a tab: use spaces',
                          'bad.py:3: blank line at the end of the file',
                          'bad.sh:1: not UTF-8',
                          'lib/bad.c:1: blank at the end of the line',
                          'lib/bad.c:2: indented with spaces: use tabs',
                          'lib/bad.c:3: carriage return: lines end with a line feed only',
                          'lib/bad.c:4: 103 columns: at most 100',
                          'lib/bad.c:5: no newline at the end of the file')

    def test_lines_that_may_be_long(self):
        self.write('doc/any.md', 'word ' * 100 + 'end\n')
        self.write('lib/message.c', f'const char *s = "{"word " * 30}";\n')
        self.write('any.sh', f'# {"x" * 200}\n'.replace('# ', '#'))
        self.assert_clean('text')
        self.write('any.sh', f'echo {"x " * 60}end\n')
        self.assert_found('text', 'any.sh:1: 128 columns: at most 120')

    def test_files_that_git_ignores_are_not_looked_at(self):
        self.write('.gitignore', '/build/\n')
        self.write('build/bad.c', 'int a; \n')
        self.assert_clean('text')

    @unittest.skipUnless(shutil.which('codespell'), 'no codespell')
    def test_spelling(self):
        self.write('doc/any.md', 'VAs are right.\n')
        self.assert_clean('spelling')
        misspelled = 'rec' + 'ieve'
        self.write('doc/any.md', f'VAs are right.\n{misspelled} it.\n')
        self.assert_found('spelling', f'doc/any.md:2: spelling: {misspelled} ==> receive')

    def test_names(self):
        self.write('lib/bad.c', '/* A wish,\n a stranger. */\nconst char *s = "wish";\nint dm_wish;\n'
                                'int a_sentence_with_a_wish_in_it;\nint wishful;\n')
        self.assert_found('names', 'lib/bad.c:4: name dm_wish: request, or conf instead of "wish"')

    def test_commits(self):
        self.commit('doc: say what is new\n\nA body says why.')
        self.commit('xlate, vfio_front: hold one lock')
        self.assert_clean('commits')
        bad = {
            'No area here': 'subject is not of the form "area: imperative"',
            'doc: added a line': 'subject is not imperative: "add" instead of "added"',
            'doc: say what is new.': 'subject ends with a full stop',
            'doc: ' + 'x' * 68: 'subject of 73 characters: at most 72',
            'doc: say it\nat once': 'no blank line between subject and body',
        }
        found = {f'commit {self.commit(message)[:7]}:1: {what}: ' + message.split('\n', maxsplit=1)[0]
                 for message, what in bad.items()}
        done = self.check('--only', 'commits')
        self.assertEqual(set(done.stdout.splitlines()), found | {'0 passed, 1 failed, 0 skipped'})
        self.assert_clean('commits', '--range', 'HEAD~6..HEAD~5')

    def test_commits_from_the_last_tag_on(self):
        self.commit('No area here')
        self.assertEqual(self.check('--only', 'commits').returncode, 1)
        self.git('tag', 'v1')
        self.assert_clean('commits')
        bad = self.commit('Nor here')
        self.assert_found('commits', f'commit {bad[:7]}:1: subject is not of the form "area: imperative": Nor here')

    def test_merges_are_left_alone(self):
        self.git('checkout', '-q', '-b', 'side', 'HEAD~1')
        self.commit('doc: say it')
        self.git('merge', '-q', '-m', 'Whatever it says', '-')
        self.assert_clean('commits')

    def test_a_reformat_commit_that_has_another_hash(self):
        self.write('.git-blame-ignore-revs', f'# Before the rule.\n{"1" * 40}\n')
        self.assert_found('commits', '.git-blame-ignore-revs:2: "Before the rule." is '
                                     f'{self.base} in this history, not {"1" * 40}')

    def test_without_git_the_commits_are_skipped_and_files_are_found(self):
        shutil.rmtree(os.path.join(self.tree, '.git'))
        done = self.check('--only', 'commits')
        self.assertEqual((done.stdout.splitlines()[0], done.returncode),
                         ('skipped check-style commits: the tree is no git repository', 0))
        self.write('build/build.ninja', '')
        self.write('build/bad.c', 'int a; \n')
        self.assert_clean('text')
        self.write('lib/bad.c', 'int a; \n')
        self.assert_found('text', 'lib/bad.c:1: blank at the end of the line')

    @unittest.skipUnless(shutil.which('clang-tidy'), 'no clang-tidy')
    def test_tidy_looks_at_changed_files(self):
        bad = '#include <string.h>\nint f(const char *a);\nint f(const char *a) { if (a); return strlen(a) > 3; }\n'
        self.write('lib/old.c', bad)
        self.commit('lib: add a file')
        self.write('lib/new.c', bad)
        self.write('.gitignore', '/build/\n')
        self.write('build/compile_commands.json', json.dumps(
            [{'directory': self.tree, 'file': f'lib/{name}.c', 'command': f'cc -c lib/{name}.c'}
             for name in ('good', 'old', 'new')]))
        done = self.check('--only', 'tidy')
        self.assertIn('lib/new.c:3: ', done.stdout, done.stderr)
        self.assertNotIn('lib/old.c', done.stdout)
        self.assertEqual(done.returncode, 1)
        done = self.check('--only', 'tidy', '--all')
        self.assertIn('lib/old.c:3: ', done.stdout)
        self.assertNotIn('lib/good.c', done.stdout)
        self.assert_clean('tidy', 'lib/good.c')


if __name__ == '__main__':
    unittest.main()
