# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""README.md and doc/*.md as the tests read them: fenced blocks, commands, links, messages. Used by test_documents.py
and devtools/newcomer."""

import dataclasses
import glob
import os
import re

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
LANGUAGES = ('sh', 'c', 'text')


@dataclasses.dataclass
class Block:
    """A fenced block: its language, its first line's number, its text."""
    language: str
    number: int
    text: str


def names():
    """All documents, by their paths in the tree."""
    return ['README.md', *sorted(os.path.relpath(path, TREE) for path in glob.glob(f'{TREE}/doc/*.md'))]


def read(name):
    with open(f'{TREE}/{name}', encoding='utf-8') as file:
        return file.read()


def blocks(name):
    """The fenced blocks of a document."""
    found, lines = [], read(name).split('\n')
    opened = None
    for number, line in enumerate(lines, 1):
        if not line.startswith('```'):
            continue
        if opened is None:
            opened = (line[3:].strip(), number)
        else:
            found.append(Block(opened[0], opened[1] + 1, '\n'.join(lines[opened[1]:number - 1])))
            opened = None
    return found


def split_commands(text):
    """The commands of a shell block: joined at backslashes, with their here-documents, without comments."""
    found, lines = [], text.split('\n')
    while lines:
        command = lines.pop(0)
        while command.endswith('\\'):
            command = command[:-1].rstrip() + ' ' + lines.pop(0).lstrip()
        end = re.search(r'<<(\w+)$', command)
        if end:
            while lines and not command.endswith(f'\n{end.group(1)}'):
                command += '\n' + lines.pop(0)
        else:
            command = re.sub(r'\s+#\s.*$', '', command)
        if command.strip() and not command.startswith('#'):
            found.append(command.strip())
    return found


def commands(name):
    """All commands of a document's shell blocks, in order."""
    return [command for block in blocks(name) if block.language == 'sh' for command in split_commands(block.text)]


def code(name):
    """The C code of a guide: its blocks one after the other, with an empty line between."""
    return '\n\n'.join(block.text for block in blocks(name) if block.language == 'c') + '\n'


def prose(name):
    """A document without its fenced blocks: (number of the line, text)."""
    inside = False
    for number, line in enumerate(read(name).split('\n'), 1):
        if line.startswith('```'):
            inside = not inside
        elif not inside:
            yield number, line


def anchors(name):
    """The anchors of a document's headings, as web views make them."""
    found = set()
    for _, line in prose(name):
        heading = re.match(r'#+ (.*)', line)
        if heading:
            text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading.group(1)).replace('`', '')
            found.add(re.sub(r'[^\w\- ]', '', text.lower()).replace(' ', '-'))
    return found


def links(name):
    """Links within the tree: (number of the line, path in the tree, anchor or '')."""
    for number, line in prose(name):
        for target in re.findall(r'\]\(([^)\s]+)\)', re.sub(r'`[^`]*`', '', line)):
            if '://' in target:
                continue
            path, _, anchor = target.partition('#')
            path = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            yield number, path, anchor


STRING = r'"((?:[^"\\\n]|\\.)*)"'
MACRO = r'(?:PRI\w+|[A-Z][A-Z0-9_]+)'
LITERAL = re.compile(rf'(?:{MACRO}\s*)?{STRING}(?:\s*{MACRO})*(?:\s*{STRING}(?:\s*{MACRO})*)*')
CONVERSION = re.compile(r'%[-0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]?')


def c_texts(source):
    """The string literals of C sources, joined as the compiler joins them; what differs at run time is '...'."""
    source = re.sub(r'^\s*#\s*include.*$', '', source, flags=re.MULTILINE)
    for match in LITERAL.finditer(source):
        pieces = re.findall(rf'{STRING}|({MACRO})', match.group(0))
        text = ''.join('' if macro.startswith('PRI') else '...' if macro else literal for literal, macro in pieces)
        yield CONVERSION.sub('...', text).replace('\\"', '"')


def script_texts(source):
    """The lines of a script; what differs at run time is '...'."""
    for line in source.split('\n'):
        yield re.sub(r'\$?\{[^{}]*\}|\$\([^()]*\)|\$\w+', '...', line)


def messages(name):
    """The messages of troubleshooting.md that are Gantry's own: (number of the line, text)."""
    section = ''
    for number, line in prose(name):
        if line.startswith('## '):
            section = line[3:]
        if line.startswith('| `') and section != 'Messages of others':
            for text in re.findall(r'`([^`]*)`', line.split('|')[1]):
                yield number, text


def is_said(message, texts):
    """Whether a message is a piece of one of the texts; '...' in it stands for anything."""
    pattern = re.compile('.*'.join(re.escape(part) for part in message.split('...')))
    return any(pattern.search(text) for text in texts)
