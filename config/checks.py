# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""What do the checks of the tree have in common? The builds that they run, the hugepages that these want, and counts.
"""

import contextlib
import os
import re
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
COUNTS = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', re.MULTILINE)
HUGEPAGES = '/sys/kernel/mm/hugepages/hugepages-2048kB/'
SANITIZERS = {
    'ASAN_OPTIONS': 'detect_stack_use_after_return=1:strict_string_checks=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
}
# Environment, options of Meson, and what to build (nothing named: all).
BUILDS = {
    'build': ({}, [], []),
    'build-asan': (SANITIZERS, ['-Db_sanitize=address,undefined'], []),
    'build-clang': ({'CC': 'clang'}, [], []),
    'build-tsan': ({'TSAN_OPTIONS': 'halt_on_error=1'}, ['-Db_sanitize=thread'], ['app/test/gantry-test']),
    'build-fuzz': ({'CC': 'clang'}, ['-Dfuzz=true', '-Dfuzz_seconds=20'], ['fuzz']),
}


class Counts:
    """What has passed, failed and been skipped so far."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0

    def add_one(self, passed):
        self.passed += passed
        self.failed += not passed

    def add_output(self, output, result_ok):
        """Counts what a program said at its end; one that says nothing counts as one."""
        lines = COUNTS.findall(output)
        if not lines:
            self.add_one(result_ok)
            return
        passed, failed, skipped = (sum(int(line[i]) for line in lines) for i in range(3))
        self.passed += passed
        self.skipped += skipped
        # A program that dies after its count has failed, whatever the count says.
        self.failed += failed if failed or result_ok else 1

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


def run(command, environment, quiet=False):
    """Runs a command in the tree; a quiet one's output is shown only if it fails. Returns whether it went well."""
    print(f'+ {" ".join(command)}\n', end='', flush=True)     # in one piece: two may run at a time
    done = subprocess.run(command, cwd=TREE, env={**os.environ, **environment}, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if quiet else None,
                          stderr=subprocess.STDOUT if quiet else None)
    if quiet and done.returncode != 0:
        sys.stdout.write(done.stdout.decode(errors='replace'))
    return done.returncode == 0


def build(name, only=()):
    """Sets the folder up if it is new, and builds all that is wanted there, or only some. Returns whether that went well."""
    environment, options, targets = BUILDS[name]
    if not os.path.exists(f'{TREE}/{name}/build.ninja'):
        if not run(['meson', 'setup', '--werror', *options, name], environment, quiet=True):
            return False
    return run(['ninja', '--quiet', '-C', name, *(only or targets)], environment, quiet=True)


def read_number(path):
    with open(path, encoding='ascii') as file:
        return int(file.read())


def set_hugepages(number):
    """Says how many hugepages this machine is to have; through sudo for those who are not root."""
    command = ['tee', HUGEPAGES + 'nr_hugepages']
    if os.geteuid() != 0:
        command.insert(0, 'sudo')
    subprocess.run(command, input=str(number), text=True, stdout=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def hugepages(wanted):
    """So many free hugepages of 2 MiB while this lasts, given back afterwards; yields whether they are there."""
    if not os.path.exists(HUGEPAGES):
        yield False
        return
    before = read_number(HUGEPAGES + 'nr_hugepages')
    missing = wanted - read_number(HUGEPAGES + 'free_hugepages')
    if missing > 0:
        set_hugepages(before + missing)
    enough = read_number(HUGEPAGES + 'free_hugepages') >= wanted
    if not enough:
        print(f'{os.path.basename(sys.argv[0])}: {wanted} hugepages of 2 MiB cannot be had: free memory, or write '
              f'{before + missing} to {HUGEPAGES}nr_hugepages', flush=True)
    try:
        yield enough
    finally:
        if missing > 0:
            set_hugepages(before)
