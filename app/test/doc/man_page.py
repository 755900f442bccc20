# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Reads manual pages in mdoc(7), as far as their test needs it."""

import re

ESCAPES = {
    r'\-': '-', r'\e': '\\', r'\&': '',
    r'\(aq': "'", r'\(ga': '`', r'\(ha': '^', r'\(ti': '~',
}
ESCAPE = re.compile(r'\\(?:\(..|.)')


def plain(text):
    """Text as a reader of the page gets it."""
    return ESCAPE.sub(lambda match: ESCAPES[match.group(0)], text)


def arguments(line):
    """The arguments of a macro: words, or what is in quotes."""
    return [plain(quoted or word) for quoted, word in re.findall(r'"([^"]*)"|(\S+)', line)][1:]


class Page:
    """A page: its sections, and what its macros say."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.section = name.rsplit('.', 1)[1]
        link = re.fullmatch(r'\.so (man\d/(\S+))\n', text)
        self.link = link.group(2) if link else None
        self.sections = {}
        for line in text.splitlines():
            if line.startswith('.Sh '):
                lines = self.sections.setdefault(line[4:], [])
            elif self.sections:
                lines.append(line)

    def lines(self, section, macro=''):
        """The lines of a section, or those of a macro."""
        lines = self.sections.get(section, [])
        return [line for line in lines if not macro or line.startswith(f'.{macro} ')]

    def names(self):
        """The names that the page has."""
        return [arguments(line)[0] for line in self.lines('NAME', 'Nm')]

    def includes(self):
        return [arguments(line)[0] for line in self.lines('SYNOPSIS', 'In')]

    def prototypes(self):
        """{function: its prototype}, of the synopsis."""
        found, result, name, params = {}, '', '', []
        for line in self.lines('SYNOPSIS'):
            if line.startswith('.Ft '):
                result = arguments(line)[0]
            elif line.startswith('.Fo '):
                name, params = arguments(line)[0], []
            elif line.startswith('.Fa '):
                params += arguments(line)
            elif line == '.Fc':
                found[name] = f'{result} {name}({", ".join(params)})'
        return found

    def literals(self, section=None):
        """The literal displays of a section, or of all, as they stand in the source."""
        lines = self.text if section is None else '\n'.join(self.sections.get(section, []))
        return re.findall(r'^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$', lines, re.MULTILINE)

    def errors(self):
        """The error numbers of the section ERRORS."""
        return set(re.findall(r'\bEr (E[A-Z0-9]+)', '\n'.join(self.lines('ERRORS'))))

    def references(self):
        """The pages that it refers to, each as name and section."""
        return re.findall(r'^\.Xr (\S+) (\d)', self.text, re.MULTILINE)

    def options(self):
        """The options that list items describe, each with the values that it can have."""
        found = {}
        for line in re.findall(r'^\.It (.*\bFl .*)$', self.text, re.MULTILINE):
            macro, option = '', ''
            for word in line.split():
                if word in ('Fl', 'Ar', 'Cm', 'Ns'):
                    macro = word
                elif re.match(r'\w|-', word) and macro == 'Fl':
                    option = f'-{word}'
                    found.setdefault(option, set())
                elif re.match(r'\w', word) and macro == 'Cm':
                    found[option].add(word)
        return found
