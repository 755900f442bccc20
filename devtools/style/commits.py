# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Checks the messages of commits: `area: imperative`, at most 72 characters, a blank line before the body.

Merge commits are not looked at, nor is what was committed before the rule: the check begins at the last tag, or, while
there is no tag, at the first commit that .git-blame-ignore-revs names.
"""

import re

from tree import CannotCheck, finding

IGNORE_REVS = '.git-blame-ignore-revs'
LONGEST = 72
# One area or more, such as "xlate, vfio_front" or "app/test".
SUBJECT = re.compile(r'[A-Za-z0-9_.][\w.*+/-]*(?:, [\w.*+/-]+)*: (\S.*)')
# Verbs that begin many subjects. Other forms of them tell what was done instead of what to do.
VERBS = ('add', 'change', 'correct', 'fix', 'implement', 'improve', 'introduce', 'make', 'move', 'refactor', 'remove', 'rename',
         'replace', 'update')
NOUNS = ('changes', 'fixes', 'moves', 'updates')


def other_forms(verb):
    """The third person, the past and the participle of a verb."""
    stem = verb[:-1] if verb.endswith('e') else verb
    return {verb + 's', stem + 'es', stem + 'ed', stem + 'ing'}


NOT_IMPERATIVE = {form: verb for verb in VERBS for form in other_forms(verb) if form not in NOUNS}


def judge(message):
    """What is wrong with a message, in words."""
    lines = message.rstrip('\n').split('\n')
    subject = lines[0]
    if len(subject) > LONGEST:
        yield f'subject of {len(subject)} characters: at most {LONGEST}'
    match = SUBJECT.fullmatch(subject)
    if not match:
        yield 'subject is not of the form "area: imperative"'
    else:
        word = match.group(1).split()[0].lower()
        if word in NOT_IMPERATIVE:
            yield f'subject is not imperative: "{NOT_IMPERATIVE[word]}" instead of "{word}"'
        if subject.endswith('.'):
            yield 'subject ends with a full stop'
    if len(lines) > 1 and lines[1].strip():
        yield 'no blank line between subject and body'


def ignored(tree):
    """Line, hash and subject of each commit that IGNORE_REVS names; the comment before a hash is its subject."""
    subject = ''
    for number, line in enumerate(tree.lines(IGNORE_REVS) or (), 1):
        if line.startswith('#'):
            subject = line[1:].strip()
        elif line.strip():
            yield number, line.strip(), subject


def find_commit(tree, revision, subject):
    """The commit of HEAD's history with this hash, or else with this subject; None if there is none."""
    if tree.git('merge-base', '--is-ancestor', revision, 'HEAD') is not None:
        return revision
    log = tree.git('log', '--format=%H %s', 'HEAD') or ''
    return next((line[:40] for line in log.splitlines() if line[41:] == subject), None)


def start_of_check(tree):
    """The commit after which the check begins; None in a shallow clone that has only later ones."""
    tag = tree.git('describe', '--tags', '--abbrev=0')
    if tag:
        return tag.strip()
    for _, revision, subject in ignored(tree):
        commit = find_commit(tree, revision, subject)
        if commit or (tree.git('rev-parse', '--is-shallow-repository') or '').strip() == 'true':
            return commit
    raise CannotCheck(f'there is no tag, and {IGNORE_REVS} names no commit of this history: use --range')


def check_ignored(tree):
    """A wrong hash makes git blame fail. A history without the commit, such as a shallow one, is left alone."""
    for number, revision, subject in ignored(tree):
        commit = find_commit(tree, revision, subject)
        if commit not in (revision, None):
            yield finding(IGNORE_REVS, number, f'"{subject}" is {commit} in this history, not {revision}')


def check(tree):
    if not tree.has_git:
        raise CannotCheck('the tree is no git repository')
    yield from check_ignored(tree)
    commits = tree.commits
    if commits is None:
        start = start_of_check(tree)
        commits = f'{start}..HEAD' if start else 'HEAD'
    log = tree.git('log', '--no-merges', '-z', '--format=%h%n%B', commits, '--')
    if log is None:
        raise CannotCheck(f'git does not know the commits {commits}')
    for entry in log.split('\0'):
        commit, _, message = entry.partition('\n')
        if commit:
            for what in judge(message):
                yield finding(f'commit {commit}', 1, f'{what}: {message.split(chr(10))[0]}')
