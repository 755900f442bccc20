# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Runs clang-format, codespell and clang-tidy, and makes findings of what they print.
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import tempfile

from tree import CannotCheck, finding

CLANG_FORMAT_VERSION = 14   # others lay some lines out otherwise
IGNORED_WORDS = 'devtools/style/spelling-ignore.txt'
# Not prose, and not ours: plots, the licence's text.
NOT_SPELLED = re.compile(r'.*\.svg|LICENSE|devtools/style/spelling-ignore\.txt')
DIAGNOSTIC = re.compile(r'^([^:\n]+):(\d+):\d+: (?:warning|error): (.*)$', re.MULTILINE)


def run(tree, *command):
    return subprocess.run(command, cwd=tree.root, check=False, capture_output=True, text=True, errors='replace')


def need(program):
    if shutil.which(program) is None:
        raise CannotCheck(f'{program} is not installed: run devtools/deps.sh packages')


def check_format(tree):
    need('clang-format')
    version = re.search(r'version (\d+)', run(tree, 'clang-format', '--version').stdout)
    if not version or int(version.group(1)) != CLANG_FORMAT_VERSION:
        raise CannotCheck(f'clang-format is version {version.group(1) if version else "unknown"}, '
                          f'and the tree is formatted with {CLANG_FORMAT_VERSION}')
    sources = tree.sources()
    if not sources:
        return
    done = run(tree, 'clang-format', '--dry-run', '-Werror', *sources)
    for name, line, _ in DIAGNOSTIC.findall(done.stderr):
        yield finding(os.path.relpath(tree.path(name), tree.root), int(line),
                      f'not as clang-format lays it out: clang-format -i {name}')
    if done.returncode != 0 and not DIAGNOSTIC.search(done.stderr):
        yield finding('.clang-format', 1, done.stderr.strip().replace('\n', ' '))


def check_spelling(tree):
    need('codespell')
    names = [f for f in tree.files() if not NOT_SPELLED.fullmatch(f) and tree.lines(f) is not None]
    if not names:
        return
    ignored = ['-I', IGNORED_WORDS] if os.path.exists(tree.path(IGNORED_WORDS)) else []
    done = run(tree, 'codespell', '-q', '2', *ignored, *names)
    for name, line, what in re.findall(r'^(.*?):(\d+): (.* ==> .*)$', done.stdout, re.MULTILINE):
        yield finding(os.path.normpath(name), int(line), f'spelling: {what}')


def commands_of(tree):
    """How each C file of the tree is compiled, once, by its path; the first of several programs that it is part of."""
    database = os.path.join(tree.build, 'compile_commands.json')
    try:
        with open(database, encoding='utf-8') as file:
            entries = json.load(file)
    except OSError as e:
        raise CannotCheck(f'no compile_commands.json in {tree.build}: run make build, or name a build with --build') from e
    commands = {}
    for entry in entries:
        name = os.path.relpath(os.path.join(entry['directory'], entry['file']), tree.root)
        if name.endswith('.c') and not name.startswith('..'):
            commands.setdefault(name, entry)
    return commands


def check_tidy(tree):
    need('clang-tidy')
    commands = commands_of(tree)
    wanted = set(tree.files() if tree.everything or tree.chosen else tree.changed())
    names = sorted(wanted & set(commands))
    with tempfile.TemporaryDirectory() as folder:
        # One command a file: clang-tidy would look at it once for each.
        with open(os.path.join(folder, 'compile_commands.json'), 'w', encoding='utf-8') as file:
            json.dump([commands[name] for name in names], file)
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for findings in pool.map(lambda name: tidy_file(tree, folder, commands[name], name), names):
                yield from findings


def tidy_file(tree, folder, command, name):
    # The build can be gcc's, with options that clang does not know.
    done = run(tree, 'nice', 'clang-tidy', '--quiet', '--extra-arg=-Wno-unknown-warning-option', '-p', folder,
               tree.path(name))
    found, said = [], DIAGNOSTIC.findall(done.stdout)
    for path, line, what in said:
        # As the compiler was told the path. What is in headers of the system is not ours.
        path = os.path.relpath(os.path.join(command['directory'], path), tree.root)
        if not path.startswith('..'):
            found.append(finding(path, int(line), what.replace(',-warnings-as-errors', '')))
    if done.returncode != 0 and not said:
        found.append(finding(name, 1, 'clang-tidy: ' + ' '.join(done.stderr.split())[-300:]))
    return found
