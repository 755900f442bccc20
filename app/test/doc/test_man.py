#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Compares manual pages with headers, programs and what Meson installs. Checks their form.

usage: test_man.py --source TREE --build BUILD [--cflags FLAGS] [--program NAME=PATH]...

Each check is a function that returns what is wrong, a line each. The last case breaks pages on
purpose, and wants the check that it names to fail. The compiler is $CC, or cc.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import program_help  # noqa: E402
from man_page import Page, plain  # noqa: E402

CC = shlex.split(os.environ.get('CC', 'cc'))
WARNINGS = ['-std=gnu17', '-Wall', '-Wextra', '-Werror']
HEADERS = {'dmamap.h': 'lib/dmamap', 'dmamap_mbuf.h': 'lib/dmamap_mbuf'}
# Not for users: inline functions pass a size to these, or stand on them.
INTERNAL = re.compile(r'_sized$|^dmamap_unit_|^dmamap_va2iova_outside$')
SECTIONS = {
    '1': ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
    '3': ['NAME', 'LIBRARY', 'SYNOPSIS', 'DESCRIPTION', 'THREADS', 'RETURN VALUES', 'EXAMPLES',
          'ERRORS', 'SEE ALSO'],
    '7': ['NAME', 'DESCRIPTION', 'EXAMPLES', 'SEE ALSO'],
}
SECTIONS['8'] = SECTIONS['1']
# One sentence is one line; the references are checked here.
ALLOWED = ('input text line longer than 80 bytes', 'operating system explicitly specified',
           'referenced manual not found')
TOKEN = re.compile(r'\w+|[^\w\s]')


def tokens(text):
    return ' '.join(TOKEN.findall(text))


class Header:
    """The functions of a public header: prototypes, and the errors that their comments name."""

    FUNCTION = re.compile(
        r'(?:/\*\*((?:(?!\*/).)*)\*/\s*)?'                     # its comment
        r'^(?:static inline\s+)?((?:const )?(?:struct |unsigned )?\w+[\s*]+)'  # its type
        r'(dmamap_\w+)(\([^;{]*?\))\s*[;{]', re.DOTALL | re.MULTILINE)

    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        self.prototypes, self.errors = {}, {}
        for comment, result, name, params in self.FUNCTION.findall(text):
            if INTERNAL.search(name) or result.split()[0] in ('return', 'typedef'):
                continue
            self.prototypes[name] = tokens(f'{result} {name}{params}')
            self.errors[name] = set(re.findall(r'-(E[A-Z0-9]+)\b', comment))


class Checker:
    """The checks, and what they look at."""

    def __init__(self, args):
        self.args = args
        self.man = os.path.join(args.source, 'doc', 'man')
        self.headers, self.flags = {}, list(args.cflags)
        for name, folder in HEADERS.items():
            self.headers[name] = Header(os.path.join(args.source, folder, name))
            self.flags += ['-I', os.path.join(args.source, folder)]
        self.help = {}
        for program in args.program:
            name, _, path = program.partition('=')
            self.help[name] = program_help.help_text([path])
        self.dir = tempfile.mkdtemp()

    def read(self):
        """All pages of the tree: {file: Page}."""
        pages = {}
        for name in sorted(os.listdir(self.man)):
            if re.search(r'\.\d$', name):
                with open(os.path.join(self.man, name), encoding='ascii') as file:
                    pages[name] = Page(name, file.read())
        return pages

    def compile(self, text, *more):
        """What the compiler says of a C file that it refuses."""
        command = [*CC, *WARNINGS, *self.flags, '-x', 'c', '-', *(more or ['-fsyntax-only'])]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.stderr.splitlines()[:5] if done.returncode else []

    def run_tool(self, page, command):
        path = os.path.join(self.dir, page.name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(page.text)
        done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        return done.stdout.replace(self.dir + '/', '').splitlines()

    # Form.

    def lint(self, page):
        lines = self.run_tool(page, ['mandoc', '-Tlint', '-Wall'])
        return [line for line in lines if re.match(rf'mandoc: {re.escape(page.name)}:', line)
                and not any(allowed in line for allowed in ALLOWED)]

    def groff(self, page):
        return self.run_tool(page, ['groff', '-mdoc', '-Tutf8', '-dAD=l', '-ww', '-z'])

    def sections(self, page):
        missing = [section for section in SECTIONS[page.section] if section not in page.sections]
        return [f'{page.name}: lacks {section}' for section in missing]

    def literal_text(self, page):
        """groff sets ' and - as other characters, and a reader copies those."""
        wrong = [line for display in page.literals() for line in display.splitlines()
                 if re.search(r"['`^~]", line) or re.search(r'(?<!\\)-', line)]
        return [f'{page.name}: not to be copied, escape it: {line}' for line in wrong]

    # Headers.

    def prototypes(self, page):
        wrong = []
        for name, prototype in page.prototypes().items():
            header = self.headers.get((page.includes() or [''])[0])
            declared = header.prototypes.get(name) if header else None
            if declared is None:
                wrong.append(f'{page.name}: {name}() is not declared in {page.includes()}')
            elif declared != tokens(prototype):
                wrong.append(f'{page.name}: {tokens(prototype)}; the header has {declared}')
        if page.section == '3' and list(page.prototypes()) != page.names():
            wrong.append(f'{page.name}: names and synopsis differ')
        return wrong

    def synopsis(self, page):
        """Declares each function once more, after its header."""
        if not page.prototypes():
            return []
        text = ''.join(f'#include <{header}>\n' for header in page.includes())
        for name, prototype in page.prototypes().items():
            text += f'typedef __typeof__(&{name}) {name}_is_declared;\n{prototype};\n'
        return [f'{page.name}: {line}' for line in self.compile(text)]

    def example(self, page):
        if 'EXAMPLES' not in page.sections or '#include' not in ''.join(page.literals('EXAMPLES')):
            return [f'{page.name}: no example in C'] if page.section == '3' else []
        output = os.path.join(self.dir, 'example.o')
        return [f'{page.name}: {line}' for display in page.literals('EXAMPLES')
                for line in self.compile(plain(display), '-c', '-o', output)]

    def errors(self, page):
        wanted = {error for header in self.headers.values() for name in page.prototypes()
                  for error in header.errors.get(name, set())}
        return [f'{page.name}: the header names {error}, ERRORS does not'
                for error in sorted(wanted - page.errors())]

    # Programs.

    def options(self, page):
        name = page.name.rsplit('.', 1)[0]
        if name not in self.help:
            return []
        has, wanted = page.options(), program_help.options(name, self.help[name])
        wrong = [f'{page.name}: {option} is not in --help' for option in has.keys() - wanted.keys()]
        wrong += [f'{page.name}: lacks {option}' for option in wanted.keys() - has.keys()]
        for option in has.keys() & wanted.keys():
            if has[option] != wanted[option]:
                wrong.append(f'{page.name}: {option}: values {has[option]}, not {wanted[option]}')
        return wrong

    PAGE_CHECKS = {
        'mandoc finds nothing to warn of': lint,
        'groff finds nothing to warn of': groff,
        'each page has the sections of its kind': sections,
        'literal text can be copied': literal_text,
        'each prototype is that of the header': prototypes,
        'each synopsis compiles after the header': synopsis,
        'each example compiles without a warning': example,
        'the errors that a header names are in the page': errors,
        'options and their values are those of --help': options,
    }
    TOOLS = {lint: 'mandoc', groff: 'groff'}

    # The set of pages.

    def functions_have_pages(self, pages):
        documented = {name for page in pages.values() for name in page.prototypes()}
        public = {name for content in self.headers.values() for name in content.prototypes}
        for folder in HEADERS.values():
            path = os.path.join(self.args.source, folder, 'version.map')
            with open(path, encoding='ascii') as file:
                public.update(re.findall(r'^\s+(dmamap_\w+);', file.read(), re.MULTILINE))
        return [f'{name}(): no page' for name in sorted(public - documented)
                if not INTERNAL.search(name)]

    def links(self, pages):
        wrong = []
        for page in pages.values():
            stem = page.name.rsplit('.', 1)[0]
            if page.link and stem not in pages.get(page.link, page).names():
                wrong.append(f'{page.name}: its page {page.link} does not name it')
        return wrong + [f'{page.name}: {name} has no page or link' for page in pages.values()
                        for name in page.names() if f'{name}.{page.section}' not in pages]

    def references(self, pages):
        return [f'{page.name}: there is no {name}({number})' for page in pages.values()
                for name, number in page.references()
                if name.startswith(('dmamap', 'gantry')) and f'{name}.{number}' not in pages]

    def programs_have_pages(self, pages):
        return [f'{name}: no page' for name in self.help
                if f'{name}.1' not in pages and f'{name}.8' not in pages]

    def installed(self, pages):
        """Every page is installed, but those of programs that are not."""
        path = os.path.join(self.args.build, 'meson-info', 'intro-installed.json')
        with open(path, encoding='utf-8') as file:
            targets = json.load(file).values()
        names = {os.path.basename(target) for target in targets}
        places = {os.path.basename(target): target for target in targets if '/man/' in target}
        wrong = []
        for page in pages.values():
            stem = page.name.rsplit('.', 1)[0]
            is_program = page.section in '18'
            if is_program and (stem in names) != (page.name in places):
                wrong.append(f'{page.name}: installed without its program, or not with it')
            elif not is_program and page.name not in places:
                wrong.append(f'{page.name}: not installed')
            elif page.name in places and f'/man{page.section}/' not in places[page.name]:
                wrong.append(f'{page.name}: goes to {places[page.name]}')
        return wrong

    def program_runs(self, pages):
        """The example of dmamap(7) is a whole program."""
        path = os.path.join(self.dir, 'program')
        libs = os.path.join(self.args.build, 'lib', 'dmamap')
        text = plain(pages['dmamap.7'].literals('EXAMPLES')[0])
        wrong = self.compile(text, '-o', path, '-L', libs, '-ldmamap', f'-Wl,-rpath,{libs}')
        if wrong:
            return wrong
        done = subprocess.run([path], capture_output=True, text=True, check=False, timeout=60)
        wanted = re.fullmatch(r'0x[0-9a-f]+ is at IOVA 0x[0-9a-f]+\n', done.stdout)
        if done.returncode != 0 or not wanted:
            return [f'exit status {done.returncode}: {done.stdout}{done.stderr}']
        return []

    SET_CHECKS = {
        'each function of the headers has a page': functions_have_pages,
        'each program has a page': programs_have_pages,
        'each name of a page leads to it': links,
        'each reference leads to a page': references,
        'what is installed has its pages installed': installed,
        'the program of dmamap(7) runs': program_runs,
    }


# The file, what is replaced in it, by what, and the check that has to see it.
BREAKS = [
    ('dmamap_map.3', '.Sh ERRORS', '.Sh ERRORS\n.Xx', Checker.lint),
    ('dmamap_map.3', '.Sh ERRORS', '.Sh ERRORS\n.Xx', Checker.groff),
    ('dmamap_map.3', '.Sh THREADS', '.Sh LOCKS', Checker.sections),
    ('dmamap_device_info.3', r'\-ENOTSUP', '-ENOTSUP', Checker.literal_text),
    ('dmamap_map.3', '.Fa "size_t len"', '.Fa "size_t bytes"', Checker.prototypes),
    ('dmamap_map.3', '.Fo dmamap_map_check', '.Fo dmamap_map_try', Checker.prototypes),
    ('dmamap_map.3', '.Fo dmamap_map_check', '.Fo dmamap_map_try', Checker.synopsis),
    ('dmamap_map.3', '.Fa "uint32_t flags"', '.Fa "uint64_t flags"', Checker.synopsis),
    ('dmamap_map.3', 'void *va;', 'void *va, *unused;', Checker.example),
    ('dmamap_map.3', 'Bq Er ERANGE', 'Bq Er EDOM', Checker.errors),
    ('gantry-run.1', '.It Fl -isolate', '.It Fl -isolated', Checker.options),
    ('gantry-run.1', 'Cm off | start', 'Cm off | begin', Checker.options),
    ('gantry-bind.8', '.It Fl q\n', '.It Cm q\n', Checker.options),
]
SET_BREAKS = [
    ('dmamap_map.3', '.Fo dmamap_unmap', '.Fo dmamap_zone_free', Checker.functions_have_pages),
    ('dmamap_unmap.3', 'dmamap_map.3', 'dmamap_register.3', Checker.links),
    ('dmamap_map.3', '.Nm dmamap_unmap', '.Nm dmamap_unmap_all', Checker.links),
    ('dmamap_map.3', '.Xr dmamap_register 3', '.Xr dmamap_registers 3', Checker.references),
    ('dmamap.7', 'container_destroy(c) < 0', 'container_destroy(c) < 1', Checker.program_runs),
]


def sensitive(checker, pages):
    """Breaks pages on purpose. Returns the breaks that no check has seen."""
    wrong = []
    for name, old, new, check in BREAKS + SET_BREAKS:
        if shutil.which(Checker.TOOLS.get(check, 'sh')) is None or (name not in pages):
            continue
        if old not in pages[name].text:
            wrong.append(f'{name}: has no {old}')
            continue
        broken = Page(name, pages[name].text.replace(old, new, 1))
        of_page = check in Checker.PAGE_CHECKS.values()
        if not check(checker, broken if of_page else {**pages, name: broken}):
            wrong.append(f'{name}: {check.__name__}: does not see {new!r} for {old!r}')
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--source', required=True)
    parser.add_argument('--build', required=True)
    parser.add_argument('--cflags', type=shlex.split, default=[])
    parser.add_argument('--program', action='append', default=[])
    checker = Checker(parser.parse_args())
    pages = checker.read()
    counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}

    def case(name, wrong, skipped=''):
        state = 'skipped' if skipped else 'FAILED' if wrong else 'ok'
        counts[state] += 1
        print(f'{state:7} man: {name}{skipped}', *wrong, sep='\n  ', flush=True)

    try:
        for name, check in Checker.PAGE_CHECKS.items():
            tool = Checker.TOOLS.get(check, 'sh')
            if shutil.which(tool) is None:
                case(name, [], f' ({tool} is not installed)')
            else:
                case(name, [line for page in pages.values() if not page.link
                            for line in check(checker, page)])
        for name, check in Checker.SET_CHECKS.items():
            case(name, check(checker, pages))
        case('a page that is broken on purpose is seen', sensitive(checker, pages))
    finally:
        shutil.rmtree(checker.dir)
    print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
    return counts['FAILED'] > 0


if __name__ == '__main__':
    sys.exit(main())
