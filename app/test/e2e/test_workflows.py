#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks the files of .github/workflows: they are YAML, and their steps call programs and targets that this tree has.

What a step may do is listed here, so that no logic gets into these files: install git and make, fetch the tree, and
call one program of it.
"""

import itertools
import os
import re
import subprocess
import sys
import unittest

try:
    import yaml
except ImportError:
    yaml = None

TREE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../..'))
FOLDER = os.path.join(TREE, '.github/workflows')
PREPARE = re.compile(r'(?:apt-get -q update && apt-get -q -y install|dnf -q -y install) git make')
TRUST = 'git config --global --add safe.directory "$GITHUB_WORKSPACE"'
CHECKOUT = re.compile(r'actions/checkout@v\d+')
MATRIX = re.compile(r'\$\{\{ matrix\.(\w+) \}\}')


def targets():
    """The targets that the Makefile calls .PHONY."""
    with open(os.path.join(TREE, 'Makefile'), encoding='utf-8') as file:
        return {name for names in re.findall(r'^\.PHONY:(.*)$', file.read(), re.MULTILINE) for name in names.split()}


def combinations(matrix):
    """The variables of each job that a matrix stands for."""
    lists = {key: value for key, value in matrix.items() if key not in ('include', 'exclude')}
    made = [dict(zip(lists, values)) for values in itertools.product(*lists.values())] if lists else []
    return made + matrix.get('include', []) or [{}]


def expand(text, variables):
    return MATRIX.sub(lambda match: variables[match[1]], text)


def problems_of_command(command, known):
    """What is wrong with a step's command, in words; None if nothing is."""
    if '\n' in command or PREPARE.fullmatch(command) or command == TRUST:
        return 'has several lines' if '\n' in command else None
    program, *arguments = command.split()
    path = os.path.join(TREE, program)
    if program == 'make' or program == '.ci/host':
        if len(arguments) != 1 or arguments[0] not in known:
            return f'{" ".join(arguments) or "nothing"} is no target of the Makefile'
    elif arguments:
        return 'is no call of one program of the tree'
    if program != 'make' and not (os.path.isfile(path) and os.access(path, os.X_OK)):
        return f'{program} is no program of the tree'
    return None


def problems_of(name, document, known):
    """All that is wrong with a workflow."""
    for job, description in document['jobs'].items():
        if not 0 < description.get('timeout-minutes', 0) <= 360:
            yield f'{name}: {job}: no timeout-minutes that the service allows'
        for variables in combinations(description.get('strategy', {}).get('matrix', {})):
            image = expand(description['container']['image'], variables)
            if image.split(':')[0] not in ('debian', 'ubuntu', 'fedora') or ':' not in image:
                yield f'{name}: {job}: .ci/host does not know {image}'
            for step in description['steps']:
                if 'uses' in step:
                    wrong = None if CHECKOUT.fullmatch(step['uses']) else f'uses {step["uses"]}'
                else:
                    wrong = problems_of_command(expand(step['run'], variables), known)
                if wrong:
                    yield f'{name}: {job}: {wrong}'


@unittest.skipUnless(yaml, 'no python3-yaml')
class Workflows(unittest.TestCase):
    def load(self, name):
        with open(os.path.join(FOLDER, name), encoding='utf-8') as file:
            document = yaml.safe_load(file)
        # YAML 1.1 reads the key `on` as a truth value.
        document['on'] = document.pop(True)
        return document

    def test_all_steps_are_calls_of_what_the_tree_has(self):
        names = sorted(os.listdir(FOLDER))
        self.assertEqual(names, ['host.yml', 'machine.yml', 'sanitizers.yml'])
        problems = [p for name in names for p in problems_of(name, self.load(name), targets())]
        self.assertEqual(problems, [])

    def test_when_they_run(self):
        self.assertEqual(self.load('host.yml')['on'], ['push'])
        self.assertEqual(self.load('sanitizers.yml')['on'], ['pull_request'])
        nightly = self.load('machine.yml')['on']['schedule'][0]['cron']
        self.assertRegex(nightly, r'^\d+ \d+ \* \* \*$')

    def test_distributions(self):
        matrix = self.load('host.yml')['jobs']['host']['strategy']['matrix']['include']
        self.assertEqual([one['image'].split(':')[0] for one in matrix], ['debian', 'debian', 'ubuntu', 'fedora'])

    def test_nothing_is_written_by_them(self):
        for name in os.listdir(FOLDER):
            self.assertEqual(self.load(name)['permissions'], {'contents': 'read'})

    def test_what_is_found(self):
        def workflow(**step):
            return {'jobs': {'j': {'timeout-minutes': 5, 'container': {'image': 'debian:12'}, 'steps': [step]}}}

        for step, found in (({'run': '.ci/host nonesuch'}, 'nonesuch is no target of the Makefile'),
                            ({'run': 'make nonesuch'}, 'nonesuch is no target of the Makefile'),
                            ({'run': 'devtools/nonesuch'}, 'devtools/nonesuch is no program of the tree'),
                            ({'run': 'if true; then .ci/run; fi'}, 'is no call of one program of the tree'),
                            ({'run': '.ci/run\n.ci/run'}, 'has several lines'),
                            ({'uses': 'somebody/else@main'}, 'uses somebody/else@main')):
            self.assertEqual(list(problems_of('w', workflow(**step), targets())), [f'w: j: {found}'])
        self.assertEqual(list(problems_of('w', workflow(run='make test'), targets())), [])

    def test_host_knows_its_arguments(self):
        done = subprocess.run([os.path.join(TREE, '.ci/host')], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, 'usage: .ci/host TARGET\n'))


if __name__ == '__main__':
    sys.exit(unittest.main())
