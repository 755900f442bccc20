# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""The files and the repository that devtools/check-style looks at, and the form of its findings.
"""

import os
import subprocess


class CannotCheck(Exception):
    """A part of the check cannot run here; the text says why."""


def finding(path, line, what):
    """A finding. It sorts by file and line; its last member is what the user reads."""
    return path, line, f'{path}:{line}: {what}'


class Tree:
    """A source tree: its files, relative to its root, and its git repository if it has one."""

    def __init__(self, root, files=(), commits=None, build=None, everything=False):
        self.root = os.path.realpath(root)
        self.commits, self.everything = commits, everything
        self.build = os.path.realpath(build or os.path.join(self.root, 'build'))
        self.chosen = [os.path.relpath(os.path.realpath(f), self.root) for f in files]
        self.has_git = self.git('rev-parse', '--git-dir') is not None

    def git(self, *arguments):
        """What git prints, or None if it fails."""
        try:
            done = subprocess.run(['git', '-C', self.root, *arguments], check=False, capture_output=True, text=True,
                                  errors='replace')
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None

    def path(self, name):
        return os.path.join(self.root, name)

    def files(self):
        """All files: those that git has or would add, without a repository those of the folders."""
        if self.chosen:
            return sorted(self.chosen)
        if self.has_git:
            listed = self.git('ls-files', '-z', '--cached', '--others', '--exclude-standard').split('\0')
        else:
            listed = self.walk()
        return sorted({f for f in listed if f and os.path.isfile(self.path(f)) and not os.path.islink(self.path(f))})

    def walk(self):
        for folder, folders, names in os.walk(self.root):
            # build*/ at the top: packages and logs, which .gitignore names.
            folders[:] = [f for f in folders if f != '.git' and not os.path.exists(f'{folder}/{f}/build.ninja')
                          and not (folder == self.root and f.startswith('build'))]
            yield from (os.path.relpath(os.path.join(folder, name), self.root) for name in names)

    def sources(self):
        return [f for f in self.files() if f.endswith(('.c', '.h'))]

    def changed(self):
        """The files that differ from the last commit, or that the range of commits changes."""
        if not self.has_git:
            raise CannotCheck('the tree is no git repository, so no file is known to have changed: use --all')
        names = self.git('diff', '--name-only', '-z', '--diff-filter=d', self.commits or 'HEAD')
        if names is None:
            raise CannotCheck(f'git does not know the commits {self.commits or "HEAD"}')
        new = '' if self.commits else self.git('ls-files', '-z', '--others', '--exclude-standard')
        return set((names + new).split('\0')) - {''}

    def lines(self, name):
        """The lines of a text file without their ends; None if it is no text, or not there."""
        try:
            with open(self.path(name), 'rb') as file:
                data = file.read()
            return None if b'\0' in data else data.decode().split('\n')
        except (FileNotFoundError, UnicodeDecodeError):
            return None
