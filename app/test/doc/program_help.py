# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""What a program's --help says of its options: the truth for manual pages and completions.

Options are taken from usage lines ("usage: NAME ...", and lines that begin with the name again) and
from lines that describe options ("  --backend=auto|type1  text"), not from running text.
"""

import re
import subprocess

OPTION = re.compile(r'(?<![\w-])(--?[A-Za-z][\w-]*)(=\S*)?')


def help_text(command):
    """What a program prints for --help; an exception if it fails or prints on standard error."""
    done = subprocess.run([*command, '--help'], check=True, capture_output=True, text=True,
                          timeout=60)
    if done.stderr:
        raise ValueError(f'{command[-1]} --help: prints on standard error: {done.stderr}')
    return done.stdout


def option_parts(name, text):
    """The parts of a help text that name options."""
    usage = re.compile(rf'^(usage: |\s+){re.escape(name)}\b')
    for line in text.splitlines():
        if usage.match(line):
            # What a usage line says of its form comes after several blanks.
            yield re.split(r'\s{2,}', usage.sub('', line).strip())[0]
        elif re.match(r'\s+-', line):
            yield re.split(r'\s{2,}', line.strip())[0]


def options(name, text):
    """The options of a help text, with their values: {'--backend': {'auto', ...}, '-q': set()}."""
    found = {}
    for part in option_parts(name, text):
        for negatable in re.findall(r'--\[no-\]([\w-]+)', part):
            found.setdefault(f'--{negatable}', set())
            found.setdefault(f'--no-{negatable}', set())
        for option, value in OPTION.findall(part):
            # One word, or words in capitals, stand for something.
            words = value[1:].rstrip('],').split('|') if '|' in value else []
            found.setdefault(option, set()).update(word for word in words if word.islower())
    return found
