#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Compares what the public headers of a library declare, what its version map lists, and what it exports.

usage: test_abi.py LIBRARY VERSION_MAP HEADER...

A function counts as declared if a header has a prototype of it that is not inline. The preprocessor is that of
$CC, or cc.
"""

import os
import re
import shlex
import subprocess
import sys

# Bodies of functions and structures, innermost first.
BRACES = re.compile(r'\{[^{}]*\}')


def declared(header):
    """The functions for which a header has prototypes that are not inline."""
    folder, name = os.path.split(header)
    command = [*shlex.split(os.environ.get('CC', 'cc')), '-E', '-x', 'c', '-I', folder, '-']
    text = subprocess.run(command, input=f'#include "{name}"\n', check=True, capture_output=True, text=True).stdout
    # Lines of other headers are left out: a line marker names the file that follows.
    own, inside = [], False
    for line in text.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            inside = os.path.basename(marker.group(1)) == name
        elif inside:
            own.append(line)
    text = '\n'.join(own)
    while BRACES.search(text):
        text = BRACES.sub('@', text)
    # An inline function ends with its body, everything else with a semicolon.
    text = re.sub(r'\bstatic\s+inline\b[^;@]*@', '', text)
    statements = (s for s in text.split(';') if 'typedef' not in s)
    return {m.group(1) for m in (re.search(r'\b(\w+)\s*\(', s) for s in statements) if m}


def listed(version_map):
    """The symbols that a version map makes global; none may be a pattern."""
    with open(version_map, encoding='ascii') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.DOTALL)
    names = []
    for block in re.findall(r'global:(.*?)(?:local:|\})', text, re.DOTALL):
        names += re.findall(r'[^\s;]+', block)
    return names


def exported(library):
    """The symbols that a shared library defines for others; not the names of its versions."""
    output = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True, text=True).stdout
    names = (line.split() for line in output.splitlines())
    return {n[2].split('@')[0] for n in names if len(n) == 3 and n[1] != 'A'}


def main():
    library, version_map, *headers = sys.argv[1:]
    in_headers = set().union(*(declared(h) for h in headers))
    in_map = listed(version_map)
    in_library = exported(library)
    failures = 0

    def judge(name, wrong):
        nonlocal failures
        failures += bool(wrong)
        print(f'FAILED  abi: {name}: {" ".join(sorted(wrong))}' if wrong else f'ok      abi: {name}')

    judge('headers declare something', set() if in_headers else {os.path.basename(h) for h in headers})
    judge('the version map has no pattern', {n for n in in_map if re.search(r'[*?\[]', n)})
    judge('the version map is sorted, and names nothing twice', set() if in_map == sorted(set(in_map)) else {version_map})
    judge('all that is declared is in the version map', in_headers - set(in_map))
    judge('all in the version map is declared', set(in_map) - in_headers)
    judge('the library exports the version map, and nothing else', in_library ^ set(in_map))
    print(f'{6 - failures} passed, {failures} failed, 0 skipped')
    return failures > 0


if __name__ == '__main__':
    sys.exit(main())
