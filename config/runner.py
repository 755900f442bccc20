# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""What do all runners have in common? Their command line, and what the command they run finds in its environment.

A runner provides devices bound to vfio-pci, runs a command where they are, and returns its exit status. The
command finds GANTRY_RUNNER (vm:PROFILE or local), GANTRY_DEVICES (the addresses, with blanks between) and
GANTRY_OUT (a folder whose files go to --out).
"""

import argparse
import fcntl
import os
import shlex
import sys
import tempfile

RUNNER_FAILED = 125     # the runner, not the command, is what failed
TIMED_OUT = 124
SKIPPED = 77            # what Meson takes for a skipped test
LOCK_KEPT = 'GANTRY_VM_LOCK'    # in the environment of those whose caller has the lock: the file's number


class RunnerError(Exception):
    """The runner, not the command in it, is what failed; the text is one line for the user."""


def parser(description):
    """The options that every runner takes; one adds its own."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument('--timeout', type=float, default=300, metavar='S', help='seconds before it is stopped')
    result.add_argument('--out', metavar='DIR', help='where the files that the command leaves in $GANTRY_OUT go')
    result.add_argument('--env', action='append', default=[], metavar='K=V', help='set K for the command')
    result.add_argument('--script', metavar='FILE', help='run this program instead of a command')
    result.add_argument('command', nargs='*', help='what to run, after --')
    return result


def parse(arguments):
    """Parses the command line and leaves in `command` what is to be run."""
    args = arguments.parse_args()
    if bool(args.command) == bool(args.script):
        arguments.error('give either a command after -- or --script')
    if args.script:
        if not os.access(args.script, os.X_OK):
            arguments.error(f'{args.script} is no executable file')
        args.command = [os.path.abspath(args.script)]
    for pair in args.env:
        if not pair.partition('=')[0].isidentifier() or '=' not in pair:
            arguments.error(f'--env {pair}: is not NAME=VALUE')
    args.env = dict(pair.split('=', 1) for pair in args.env)
    return args


def shell_exports(environment):
    """The environment as lines of a shell script."""
    return ''.join(f'export {key}={shlex.quote(value)}\n' for key, value in environment.items())


def lock_machine():
    """One machine at a time: two would fight for the cores, and what a test sees would depend on it."""
    if LOCK_KEPT in os.environ:
        return os.dup(int(os.environ[LOCK_KEPT]))
    path = os.path.join(tempfile.gettempdir(), 'gantry-vm.lock')
    file = os.open(path, os.O_RDWR if os.path.exists(path) else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('gantry-vm: waiting for another emulated machine to end', file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def keep_machine():
    """Takes the lock for all machines that this program and what it starts will run."""
    file = lock_machine()
    os.set_inheritable(file, True)
    os.environ[LOCK_KEPT] = str(file)
