# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Functions that the runners share: command line, environment, lock of the emulated machine.

A runner (devtools/vm/run, devtools/local/run) provides devices bound to vfio-pci, runs a command
there, and returns its exit status. The environment of the command has GANTRY_RUNNER (vm:PROFILE or
local), GANTRY_DEVICES (PCI addresses, separated by blanks) and GANTRY_OUT (a folder whose files go
to --out).
"""

import argparse
import fcntl
import os
import shlex
import sys
import tempfile

# Exit statuses.
RUNNER_FAILED = 125     # the runner failed, not the command
TIMED_OUT = 124
SKIPPED = 77            # means a skipped test to Meson
# Environment variable with the inherited file descriptor of a lock that a parent holds.
LOCK_FD = 'GANTRY_VM_LOCK'
# The lock's file in the folder for temporary files; kernel-build and kernel-modules take it too.
LOCK_NAME = 'gantry-vm.lock'


class RunnerError(Exception):
    """The runner failed, not the command. The text is one line for the user."""


def parser(description):
    """Returns an ArgumentParser with the options of every runner. The caller adds its own."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument('--timeout', type=float, default=300, metavar='S', help='stop the command after S seconds')
    result.add_argument('--out', metavar='DIR', help='folder for the files that the command writes to $GANTRY_OUT')
    result.add_argument('--env', action='append', default=[], metavar='K=V', help='set K in the environment of the command')
    result.add_argument('--script', metavar='FILE', help='run this program instead of a command')
    result.add_argument('command', nargs='*', help='command to run, after --')
    return result


def parse(arguments):
    """Parses the command line. Returns the options: `command` is the argument list to run, `env` a
    dictionary."""
    args = arguments.parse_args()
    if bool(args.command) == bool(args.script):
        arguments.error('give either a command after -- or --script')
    if args.script:
        if not os.access(args.script, os.X_OK):
            arguments.error(f'{args.script}: not an executable file')
        args.command = [os.path.abspath(args.script)]
    for pair in args.env:
        if not pair.partition('=')[0].isidentifier() or '=' not in pair:
            arguments.error(f'--env {pair}: not of the form NAME=VALUE')
    args.env = dict(pair.split('=', 1) for pair in args.env)
    return args


def shell_exports(environment):
    """Returns an environment as `export` lines of a shell script."""
    return ''.join(f'export {key}={shlex.quote(value)}\n' for key, value in environment.items())


def lock_machine():
    """Waits for the lock of the emulated machine. Returns its file descriptor; closing it releases
    the lock.

    One machine runs at a time: two would compete for the cores, and test results would depend on
    that. If a parent holds the lock (hold_machine_lock()), this does not wait.
    """
    if LOCK_FD in os.environ:
        return os.dup(int(os.environ[LOCK_FD]))
    path = os.path.join(tempfile.gettempdir(), LOCK_NAME)
    file = os.open(path, os.O_RDWR if os.path.exists(path) else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print('gantry-vm: waiting for another emulated machine to end', file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def hold_machine_lock():
    """Locks the machine for the rest of this program. The runners that it starts inherit the
    lock."""
    file = lock_machine()
    os.set_inheritable(file, True)
    os.environ[LOCK_FD] = str(file)
