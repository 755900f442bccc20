# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks files by .editorconfig, as https://editorconfig.org defines it.

The properties charset (utf-8), end_of_line (lf), insert_final_newline, trim_trailing_whitespace, indent_style and
max_line_length are checked. A line may be longer if string literals in it are what is too long: messages are not
broken, so that they can be searched for. So may a line of one word, such as an address.
"""

import itertools
import re

from tree import finding

BRACES = re.compile(r'\{([^{}]*,[^{}]*)\}')
# What a pattern's parts stand for, in the order in which they are tried.
GLOB = [(r'\*\*', '.*'), (r'\*', '[^/]*'), (r'\?', '[^/]'), (r'\[[^\]]*\]', None), (r'.', None)]
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')


def alternatives(pattern):
    """The patterns without braces that a pattern with braces stands for."""
    match = BRACES.search(pattern)
    if not match:
        return [pattern]
    before, after = pattern[:match.start()], pattern[match.end():]
    return list(itertools.chain.from_iterable(alternatives(before + choice + after)
                                              for choice in match.group(1).split(',')))


def glob_to_regex(pattern):
    parts = []
    for match in re.finditer('|'.join(f'({part})' for part, _ in GLOB), pattern):
        replacement = GLOB[match.lastindex - 1][1]
        if replacement is None:
            replacement = match.group() if match.group().startswith('[') else re.escape(match.group())
        parts.append(replacement)
    # A pattern without a slash is one of names, in any folder.
    return ('' if '/' in pattern.strip('/') else '(?:.*/)?') + ''.join(parts)


class Rules:
    """The sections of .editorconfig, in their order: later ones win."""

    def __init__(self, lines):
        self.sections = []
        for line in lines:
            line = line.strip()
            if line.startswith('[') and line.endswith(']'):
                regex = '|'.join(glob_to_regex(p.lstrip('/')) for p in alternatives(line[1:-1]))
                self.sections.append((re.compile(regex), {}))
            elif '=' in line and line[0] not in '#;' and self.sections:
                key, _, value = line.partition('=')
                self.sections[-1][1][key.strip().lower()] = value.strip().lower()

    def of(self, name):
        properties = {}
        for regex, section in self.sections:
            if regex.fullmatch(name):
                properties.update(section)
        return properties


def too_long(line, limit, tab_width):
    """Whether a line is longer than it may be."""
    width = len(line.expandtabs(tab_width))
    if width <= limit or len(line.split()) <= 1:
        return False
    is_comment = line.lstrip().startswith(('#', '/*', '*'))
    return is_comment or len(LITERAL.sub('""', line).expandtabs(tab_width)) > limit


def check_line(line, rules):
    """What is wrong with a line, in words."""
    if rules.get('end_of_line') == 'lf' and '\r' in line:
        yield 'carriage return: lines end with a line feed only'
    if rules.get('trim_trailing_whitespace') == 'true' and line.rstrip('\r') != line.rstrip():
        yield 'blank at the end of the line'
    indent = line[:len(line) - len(line.lstrip(' \t'))]
    tab_width = int(rules.get('tab_width', 8))
    if rules.get('indent_style') == 'space' and '\t' in indent:
        yield 'indented with a tab: use spaces'
    if rules.get('indent_style') == 'tab' and ' ' * tab_width in indent and line.strip() != '\\':
        yield 'indented with spaces: use tabs'
    limit = rules.get('max_line_length', 'off')
    if limit.isdigit() and too_long(line, int(limit), tab_width):
        yield f'{len(line.expandtabs(tab_width))} columns: at most {limit}'


def check_file(name, data, rules):
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        if rules.get('charset') == 'utf-8' and b'\0' not in data:
            yield finding(name, data[:e.start].count(b'\n') + 1, 'not UTF-8')
        return
    lines = text.split('\n')
    for number, line in enumerate(lines, 1):
        for what in check_line(line, rules):
            yield finding(name, number, what)
    if rules.get('insert_final_newline') == 'true' and text and not text.endswith('\n'):
        yield finding(name, len(lines), 'no newline at the end of the file')
    if text.endswith('\n\n'):
        yield finding(name, len(lines) - 1, 'blank line at the end of the file')


def check(tree):
    rules = Rules(tree.lines('.editorconfig') or [])
    for name in tree.files():
        with open(tree.path(name), 'rb') as file:
            data = file.read()
        if b'\0' not in data:
            yield from check_file(name, data, rules.of(name))
