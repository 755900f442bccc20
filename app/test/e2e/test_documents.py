#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks that README.md and doc/*.md are true. Each command is run by a test, each link leads somewhere, each message
that is explained is one of the sources, and the guide's driver is the example.

usage: test_documents.py BUILD                checks, and the commands that any host can run
       test_documents.py BUILD --machine      commands that need devices; in the emulated machine, profile default
       test_documents.py BUILD --long         commands that take minutes

documents.toml says for each command which test runs it. A command that is not listed there fails this test. So does an
entry that no document has, or whose test does not exist or does not do what the entry says.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import documents  # noqa: E402

TREE = documents.TREE
REGISTRY = os.path.dirname(os.path.realpath(__file__)) + '/documents.toml'
VIOMMU = 'doc/guide_viommu.md'
GUIDE, EXAMPLE = 'doc/guide_write_a_driver.md', 'examples/edu_copy/main.c'
HOWS = ('host', 'machine', 'long', 'newcomer', 'test', 'program')
# Words that begin a command, which has no place in a block of text.
PROGRAMS = re.compile(r'^(\$ |sudo |make |meson |ninja |gantry-(run|broker|bind|l2fwd) |(devtools|usertools|build)/\S'
                      r'|dpdk-|systemctl |cc |apt)')
OURS = re.compile(r'(devtools|usertools|app|lib/dmamap|lib/vfio_\w+|drivers|examples|config)/[\w./-]*$')
SHOWN = 30  # last lines of a command that failed
GIVE_UP = 120
# Folders whose programs have messages.
SPEAKERS = ('lib', 'drivers', 'usertools', 'examples', 'devtools')


class Tally:
    """Verdicts, as all tests of the tree give them."""

    def __init__(self):
        self.passed = self.failed = 0

    def judge(self, name, faults):
        faults = list(faults)
        print(f'{"FAILED " if faults else "ok     "} documents: {name}', flush=True)
        for fault in faults:
            print(f'  | {fault}', flush=True)
        self.passed += not faults
        self.failed += bool(faults)


def load_registry():
    """Entries by (document, command)."""
    with open(REGISTRY, 'rb') as file:
        return {(name, entry['command']): entry for name, entries in tomllib.load(file).items() for entry in entries}


# Checks of the documents

def languages():
    """Each block says what it is, and commands are in shell blocks."""
    for name in documents.names():
        for block in documents.blocks(name):
            if block.language not in documents.LANGUAGES:
                known = ', '.join(documents.LANGUAGES)
                yield f'{name}:{block.number}: a block of language "{block.language}"; there are {known}'
            if block.language == 'text':
                for i, line in enumerate(block.text.split('\n')):
                    if PROGRAMS.search(line):
                        yield f'{name}:{block.number + i}: a command in a block of text: {line}'


def listed(registry):
    """Each command is in the registry, and each entry in a document."""
    said = {(name, command) for name in documents.names() for command in documents.commands(name)}
    for name, command in sorted(said - set(registry)):
        yield f'{name}: no test is known to run: {command}'
    for name, command in sorted(set(registry) - said):
        yield f'documents.toml: {name} has no such command: {command}'


def meson_tests(build):
    """The tests of a build: name, command line, suites. Some versions of Meson lead to files by way of the build
    folder (BUILD/../source/file); here paths are normal."""
    told = subprocess.run(['meson', 'introspect', '--tests', build], check=True, text=True, stdout=subprocess.PIPE)
    tests = {test['name']: test for test in json.loads(told.stdout)}
    for test in tests.values():
        test['cmd'] = [os.path.normpath(word) if word.startswith('/') else word for word in test['cmd']]
    return tests


def test_text(test):
    """All that a test is: its command line, and the files of the tree in it."""
    text = ' '.join(test['cmd']) + '\n'
    for word in test['cmd']:
        if word.startswith(TREE + '/') and os.path.isfile(word) and not word.endswith('.so'):
            with open(word, encoding='utf-8', errors='replace') as file:
                text += file.read()
    return text


def entries_hold(registry, tests):
    """Each entry says how its command is run. A test that it names exists, and has what shows that it runs it."""
    for (name, command), entry in registry.items():
        where = f'{name}: {command.splitlines()[0]}'
        if entry.get('run') not in HOWS:
            yield f'{where}: run = "{entry.get("run")}"; there are {", ".join(HOWS)}'
        elif entry['run'] == 'test' and entry.get('test') not in tests:
            yield f'{where}: there is no test "{entry.get("test")}"'
        elif entry['run'] == 'test' and not shows(entry, test_text(tests[entry['test']])):
            yield f'{where}: test {entry["test"]} has nothing of "{entry.get("shown")}"'
        elif entry['run'] == 'program' and not shows_program(entry):
            yield f'{where}: {entry["program"]} has nothing of "{entry.get("shown")}"'


def shows_program(entry):
    return exists(entry['program']) and shows(entry, documents.read(entry['program']))


def shows(entry, text):
    return bool(entry.get('shown')) and entry['shown'] in text


def suites_exist(tests):
    """The tests that run the entries of other kinds."""
    for name in ('documents', 'documents-machine', 'documents-long', 'newcomer'):
        if name not in tests:
            yield f'there is no test {name}'


def inline_commands(build):
    """What is named in running text is there: programs, targets of make, suites, profiles."""
    with open(f'{TREE}/Makefile', encoding='utf-8') as file:
        targets = set(re.findall(r'^([\w-]+):', file.read(), re.MULTILINE))
    suites = set(subprocess.run([f'{build}/app/test/gantry-test', '--list'], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.split())
    for name in documents.names():
        for number, line in documents.prose(name):
            for words in (text.split() for text in re.findall(r'`([^`]*)`', line)):
                yield from (f'{name}:{number}: {fault}' for fault in inline_faults(words, targets, suites))


def inline_faults(words, targets, suites):
    if not words:
        return
    if words[0] == 'make' and len(words) > 1 and words[1] not in targets and '=' not in words[1]:
        yield f'make has no target {words[1]}'
    if OURS.match(words[0]) and not exists(words[0]):
        yield f'there is no {words[0]}'
    if words[0].endswith('gantry-test'):
        for word in words[1:]:
            if re.fullmatch(r'[a-z]\w*', word) and not any(suite.startswith(word) for suite in suites):
                yield f'gantry-test has no suite {word}'
    for option, value in zip(words, words[1:]):
        if option == '--profile' and not os.path.exists(f'{TREE}/config/vm/profiles/{value}.conf'):
            yield f'there is no profile {value}'


def exists(path):
    """A path of the tree; of a folder's files one that is there will do for a name in capitals."""
    return os.path.exists(f'{TREE}/{path}') or re.search(r'/[A-Z]+$', path)


def dead_links():
    for name in documents.names():
        for number, path, anchor in documents.links(name):
            if not os.path.exists(f'{TREE}/{path}'):
                yield f'{name}:{number}: there is no {path}'
            elif anchor and path.endswith('.md') and anchor not in documents.anchors(path):
                yield f'{name}:{number}: {path} has no heading #{anchor}'


def unlisted_documents():
    """The index in README leads to every document."""
    linked = {path for _, path, _ in documents.links('README.md')}
    return (f'README.md: no link to {name}' for name in documents.names()[1:] if name not in linked)


def unknown_messages():
    """Each message that is explained is one of the sources."""
    texts = []
    for path in all_files():
        if path.startswith('lib/vfio_mock/') or path.endswith(('.md', '.build', '.map')):
            continue
        with open(f'{TREE}/{path}', encoding='utf-8', errors='replace') as file:
            texts += (documents.c_texts if path.endswith(('.c', '.h')) else documents.script_texts)(file.read())
    return (f'doc/troubleshooting.md:{number}: nobody says: {text}'
            for number, text in documents.messages('doc/troubleshooting.md') if not documents.is_said(text, texts))


def all_files():
    """The files below the folders that have messages."""
    return [os.path.relpath(os.path.join(folder, file), TREE) for top in SPEAKERS
            for folder, _, files in os.walk(f'{TREE}/{top}') for file in files if not file.endswith('.pyc')]


def other_options():
    """QEMU's options in the guide are those of the machines that tests run in."""
    folder, profiles = f'{TREE}/config/vm/profiles', ''
    for path in os.listdir(folder):
        with open(f'{folder}/{path}', encoding='utf-8') as file:
            profiles += file.read()
    for number, line in documents.prose(VIOMMU):
        for code in re.findall(r'`(-[A-Za-z][^`]*)`', line):
            for option in re.split(r'\s(?=-)', code):
                if option not in profiles:
                    yield f'{VIOMMU}:{number}: no profile has {option}'


def other_driver():
    """The guide's code is the example's, which begins with a comment that the guide lacks."""
    with open(f'{TREE}/{EXAMPLE}', encoding='utf-8') as file:
        example = file.read()
    if documents.code(GUIDE) != example[example.index('#include'):]:
        yield f'{GUIDE} and {EXAMPLE} differ: change both'


# Commands that are run as they stand

class Shell:
    """Runs commands in the tree, with what was built in PATH, and scratch files apart."""

    def __init__(self, build, scratch):
        self.build = build
        folders = [f'{build}/usertools/run', f'{build}/usertools/broker', f'{build}/examples/l2fwd',
                   f'{TREE}/usertools', os.environ['PATH'], '/usr/local/bin', '/usr/sbin', '/sbin']
        # Kernels that set-up has made are not made again.
        cache = subprocess.run([f'{TREE}/devtools/cache-dir'], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.environment = {**os.environ, 'PATH': ':'.join(folders), 'HOME': scratch, 'LC_ALL': 'C.UTF-8',
                            'GANTRY_CACHE': cache}

    def run_entry(self, command, entry):
        """Runs a command, with what comes before and after it. Documents call the build folder build."""
        if self.build != f'{TREE}/build':
            command = re.sub(r'(?<![\w/.-])build(?=[/ ]|$)', self.build, command)
        for script, how in ((entry.get('before'), {}), (command, entry), (entry.get('after'), {})):
            faults = list(self.run(script, how)) if script else []
            if faults:
                return [script, *faults]
        return []

    def run(self, command, entry):
        """Runs a command; with `until`, it is interrupted once it has said that. Yields what is wrong."""
        with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as said:
            # The command takes the shell's place, so that the signal reaches it.
            child = subprocess.Popen(['bash', '-c', command], cwd=TREE, env=self.environment, stdin=subprocess.DEVNULL,
                                     stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
            ended = self.wait(child, entry, said)
            said.seek(0)
            output = said.read()
        if not ended or child.returncode != entry.get('status', 0) or not re.search(entry.get('says', ''), output):
            how = f'status {child.returncode}' if ended else f'not ended within {entry.get("seconds", GIVE_UP)} s'
            yield f'{how}; wanted: status {entry.get("status", 0)}, "{entry.get("says", "")}"'
            lines = output.splitlines()
            yield from (line for line in lines[:-SHOWN] if 'FAILED' in line)
            yield from lines[-SHOWN:]

    @staticmethod
    def wait(child, entry, said):
        end = time.monotonic() + entry.get('seconds', GIVE_UP)
        asked = 'until' not in entry
        while child.poll() is None and time.monotonic() < end:
            if not asked:
                # Reading at an offset of its own leaves the writer's place alone.
                text = os.pread(said.fileno(), 1 << 20, 0).decode(errors='replace')
                if re.search(entry['until'], text):
                    os.killpg(child.pid, signal.SIGINT)
                    asked = True
            time.sleep(0.1)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return False
        return asked


def run_commands(tally, build, registry, how):
    """Runs all commands of a kind, document by document, in their order."""
    with tempfile.TemporaryDirectory() as scratch:
        shell = Shell(build, scratch)
        for name in documents.names():
            for command in documents.commands(name):
                entry = registry.get((name, command), {})
                if entry.get('run') == how:
                    tally.judge(f'{name}: {command.splitlines()[0]}', shell.run_entry(command, entry))


def check_documents(tally, build, registry):
    tests = meson_tests(build)
    tally.judge('each block says its language, and commands are in shell blocks', languages())
    tally.judge('each command is listed, each entry has its command', listed(registry))
    tally.judge('each entry names a test that runs it', entries_hold(registry, tests))
    tally.judge('the tests that run commands exist', suites_exist(tests))
    tally.judge('what running text names is there', inline_commands(build))
    tally.judge('links lead somewhere', dead_links())
    tally.judge('README leads to each document', unlisted_documents())
    tally.judge('messages that are explained are messages of the sources', unknown_messages())
    tally.judge("QEMU's options in the guide are those of profiles", other_options())
    tally.judge("the guide's driver is the example", other_driver())


def prepare_machine(build):
    """Installs the build in the machine, as the documents assume; what is written there is lost with it."""
    subprocess.run(['meson', 'install', '-C', build, '--no-rebuild', '--quiet'], check=True)
    subprocess.run(['ldconfig'], check=True, env={**os.environ, 'PATH': os.environ['PATH'] + ':/usr/sbin:/sbin'})
    os.makedirs('/run/gantry', exist_ok=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--machine', action='store_true')
    arguments.add_argument('--long', action='store_true')
    arguments.add_argument('build')
    args = arguments.parse_args()
    build, tally, registry = os.path.realpath(args.build), Tally(), load_registry()
    if args.machine:
        prepare_machine(build)
        run_commands(tally, build, registry, 'machine')
    elif args.long:
        run_commands(tally, build, registry, 'long')
    else:
        check_documents(tally, build, registry)
        run_commands(tally, build, registry, 'host')
    print(f'{tally.passed} passed, {tally.failed} failed, 0 skipped')
    return 1 if tally.failed else 0


if __name__ == '__main__':
    sys.exit(main())
