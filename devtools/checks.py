# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Functions that the checks of the tree share: builds, hugepages for tests, counts of results.

Imported by devtools/test, sweep, conformance, matrix, dts/run, bench, bench-afxdp and
soak/run.
"""

import contextlib
import fcntl
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
# Instrumented code compiles in two thirds of the time that it takes with -O2, and runs a tenth slower.
FAST_BUILD = '-Doptimization=1'
# Build folder -> (environment, options of Meson with % for the cache folder, targets; no target:
# all).
BUILDS = {
    'build': ({}, [], []),
    'build-asan': (SANITIZERS, ['-Db_sanitize=address,undefined', '-Dlock_checks=true', FAST_BUILD], []),
    'build-coverage': ({}, ['-Db_coverage=true', '-Dbuildtype=debug', '-Dc_args=-fprofile-update=atomic'], []),
    'build-clang': ({'CC': 'clang'}, [], []),
    'build-tsan': ({'TSAN_OPTIONS': 'halt_on_error=1'}, ['-Db_sanitize=thread', '-Dlock_checks=true', FAST_BUILD],
                   ['app/test/gantry-test', 'app/test/front/front-client', 'app/test/public/dmamap-program']),
    'build-arm64': ({}, ['--cross-file', '%/arm64/cross.ini'], ['app/test/gantry-test']),
    'build-fuzz': ({'CC': 'clang'}, ['-Dfuzz=true', '-Dfuzz_seconds=20'], ['fuzz']),
}


class Counts:
    """Numbers of passed, failed and skipped cases."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0

    def add_one(self, passed):
        self.passed += passed
        self.failed += not passed

    def add_output(self, output, result_ok):
        """Adds the lines "N passed, N failed, N skipped" of a program's output. Without such a line
        it counts as one.

        result_ok: whether the program itself succeeded.
        """
        lines = COUNTS.findall(output)
        if not lines:
            self.add_one(result_ok)
            return
        passed, failed, skipped = (sum(int(line[i]) for line in lines) for i in range(3))
        self.passed += passed
        self.skipped += skipped
        # A program that fails after a count without failures adds one failure.
        self.failed += failed if failed or result_ok else 1

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


def run(command, environment, quiet=False):
    """Runs a command in the tree. With `quiet`, shows its output only if it fails. Returns whether
    it succeeded."""
    # One write, because two commands may run at a time.
    print(f'+ {" ".join(command)}\n', end='', flush=True)
    done = subprocess.run(command, cwd=TREE, env={**os.environ, **environment}, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if quiet else None,
                          stderr=subprocess.STDOUT if quiet else None)
    if quiet and done.returncode != 0:
        sys.stdout.write(done.stdout.decode(errors='replace'))
    return done.returncode == 0


def cache_dir():
    return subprocess.run([TREE + '/devtools/cache-dir'], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def build(name, only=()):
    """Sets a build folder up if it is new, and builds the targets `only`, or those of BUILDS.
    Returns whether it succeeded."""
    environment, options, targets = BUILDS[name]
    if not os.path.exists(f'{TREE}/{name}/build.ninja'):
        options = [option.replace('%', cache_dir()) for option in options]
        if not run(['meson', 'setup', '--werror', *options, name], environment, quiet=True):
            return False
    return run(['ninja', '--quiet', '-C', name, *(only or targets)], environment, quiet=True)


def read_number(path):
    with open(path, encoding='ascii') as file:
        return int(file.read())


def add_hugepages(count):
    """Adds 2 MiB hugepages to those of this machine, or takes some away; with sudo if not root.
    Other programs may do so at the same time. Returns how many were added."""
    path = HUGEPAGES + 'nr_hugepages'
    command = ['tee', path] if os.geteuid() == 0 else ['sudo', 'tee', path]
    with open(path, encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_number(path)
        subprocess.run(command, input=str(before + count), text=True, stdout=subprocess.DEVNULL, check=False)
        return read_number(path) - before


@contextlib.contextmanager
def hugepages(wanted):
    """Reserves hugepages so that `wanted` of 2 MiB are free during the block. Yields whether they
    are. Gives back those that it has added. Programs that run at the same time may use the same
    ones: devtools/test runs tests side by side only if one of them uses none of this machine's."""
    if not os.path.exists(HUGEPAGES):
        yield False
        return
    missing = wanted - read_number(HUGEPAGES + 'free_hugepages')
    added = add_hugepages(missing) if missing > 0 else 0
    enough = read_number(HUGEPAGES + 'free_hugepages') >= wanted
    if not enough:
        print(f'{os.path.basename(sys.argv[0])}: fewer than {wanted} free hugepages of 2 MiB: free memory, or write '
              f'{read_number(HUGEPAGES + "nr_hugepages") + missing - added} to {HUGEPAGES}nr_hugepages', flush=True)
    try:
        yield enough
    finally:
        if added > 0:
            add_hugepages(-added)
