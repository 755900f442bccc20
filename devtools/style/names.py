# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Looks for words that names in C sources do without: those of names.txt.

A word counts where it is a name, or a part of one between underscores. Names of many parts are sentences, as those of
test cases are, and may have any word.
"""

import re

from tree import finding

LIST = 'devtools/style/names.txt'
LONGEST = 3     # parts
NAME = re.compile(r'\b[A-Za-z_]\w*')
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.DOTALL)


def read_list(lines):
    """{word: what to write instead}"""
    entries = (line.partition(':') for line in lines if line.strip() and not line.startswith('#'))
    return {word.strip(): instead.strip() for word, _, instead in entries}


def blank(match):
    """Comments and strings go, their lines stay."""
    return '\n' * match.group().count('\n') or ' '


def check(tree):
    words = read_list(tree.lines(LIST) or [])
    for path in tree.sources():
        code = NOT_CODE.sub(blank, '\n'.join(tree.lines(path) or []))
        for number, line in enumerate(code.split('\n'), 1):
            for name in NAME.findall(line):
                parts = name.lower().strip('_').split('_')
                for word in set(parts) & set(words) if len(parts) <= LONGEST else ():
                    yield finding(path, number, f'name {name}: {words[word]} instead of "{word}"')
