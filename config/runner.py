# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""What do all runners have in common? Their command line, and what the command they run finds in its environment.

A runner provides devices bound to vfio-pci, runs a command where they are, and returns its exit status. The
command finds GANTRY_RUNNER (vm:PROFILE or local), GANTRY_DEVICES (the addresses, with blanks between) and
GANTRY_OUT (a folder whose files go to --out).
"""

import argparse
import os
import shlex

RUNNER_FAILED = 125     # the runner, not the command, is what failed
TIMED_OUT = 124


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
