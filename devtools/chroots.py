# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Chroots of Debian suites, from the archive that apt of this machine reads.

Used by devtools/matrix, devtools/packages and devtools/dts/run. Mounts are made only in a mount
namespace of the process that needs them, so they end with that process.
"""

import ctypes
import os
import shutil
import subprocess

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 0x20, 0x1000, 0x4000, 1 << 18
TREE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
LIBC = ctypes.CDLL(None, use_errno=True)
# Where a chroot has the folder GANTRY_DPDK_SOURCE (devtools/dpdk-headers-setup).
DPDK_SOURCE = '/dpdk-source'
APT = ['apt-get', '-q', '-y', '--no-install-recommends', '-o', 'APT::Sandbox::User=root']


class NotAvailable(Exception):
    """Something is neither here nor in the archive. The text says what."""


def call(command, **keywords):
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace', **keywords)


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else 'it printed nothing'


def unshare(flags):
    if LIBC.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), 'no namespaces of its own')


def mount(source, target, flags, kind=None):
    """mount(2). Call own_namespace() first."""
    kind = kind.encode() if kind else None
    if LIBC.mount(source.encode(), target.encode(), kind, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f'cannot mount {source} at {target}')


def mount_readonly(source, target):
    mount(source, target, MS_BIND)
    mount(source, target, MS_BIND | MS_REMOUNT | MS_RDONLY)


def mount_dpdk_source(root):
    """Mounts the folder GANTRY_DPDK_SOURCE, if it is set and there, read-only in a chroot."""
    source = os.environ.get('GANTRY_DPDK_SOURCE', '')
    if os.path.isdir(source):
        os.makedirs(root + DPDK_SOURCE, exist_ok=True)
        mount_readonly(source, root + DPDK_SOURCE)


def headers_environment(cache):
    """The environment of devtools/deps.sh headers in a chroot: its cache, unless that is None, and
    the mounted source of DPDK, if there is one."""
    environment = {'GANTRY_CACHE': cache} if cache else {}
    source = os.environ.get('GANTRY_DPDK_SOURCE')
    if source:
        environment['GANTRY_DPDK_SOURCE'] = DPDK_SOURCE if os.path.isdir(source) else source
    return environment


def own_namespace(flags=0):
    """Gives this process a mount namespace, and the namespaces of flags."""
    unshare(CLONE_NEWNS | flags)
    mount('none', '/', MS_REC | MS_PRIVATE)


def archive():
    """The address of Debian's archive, as this machine's apt knows it."""
    sites = call(['apt-get', 'indextargets', '--format', '$(ORIGIN)|$(SITE)',
                  'Created-By: Packages']).stdout
    sites = [line.split('|')[1] for line in sites.splitlines()
             if line.startswith('Debian|') and 'security' not in line]
    if not sites:
        raise NotAvailable('apt knows no archive of Debian: run apt-get update')
    return sites[0]


def remove(path):
    """Removes a folder, but nothing that is mounted below it."""
    call(['rm', '-rf', '--one-file-system', path])


def make_root(suite, root, name):
    """Makes a chroot with the smallest system of a suite, unless it is there. name is the program
    that the message names. Its apt accepts an archive that has expired if this machine's does."""
    if os.path.exists(f'{root}/etc/debian_version'):
        return
    if shutil.which('debootstrap') is None:
        raise NotAvailable('debootstrap is not installed: run make deps')
    # Not .tmp.*: a set-up that runs beside this one removes that (devtools/deps-lib.sh).
    new = root + '.new'
    remove(new)
    print(f'{name}: {suite}: making a chroot in {root}', flush=True)
    done = call(['debootstrap', '--variant=minbase', suite, new, archive()],
                preexec_fn=own_namespace)
    if done.returncode != 0:
        remove(new)
        raise NotAvailable(f'no chroot can be made: {last_line(done.stdout)}')
    if 'Check-Valid-Until "false"' in call(['apt-config', 'dump', 'Acquire::Check-Valid-Until']).stdout:
        with open(f'{new}/etc/apt/apt.conf.d/90gantry-valid-until', 'w', encoding='ascii') as file:
            file.write('Acquire::Check-Valid-Until "false";\n')
    os.rename(new, root)


def packages(name, parts):
    """Returns the package names of a list config/NAME in the sections `parts`; None: in all."""
    names, wanted = [], parts is None
    with open(f'{TREE}/config/{name}', encoding='utf-8') as file:
        for line in file:
            if line.startswith('#'):
                wanted = parts is None or line[1:].split('(')[0].strip() in parts
            elif wanted and line.strip():
                names.append(line.split()[0])
    return names


def enter(root):
    """Mounts this machine's devices and the tree (read-only, at /src) in a chroot, and makes its
    build folder /build."""
    # ip netns exec wants / to be a mount point.
    mount(root, root, MS_BIND)
    for folder in ('src', 'build', 'proc', 'sys', 'dev', 'run'):
        os.makedirs(f'{root}/{folder}', exist_ok=True)
    mount('proc', f'{root}/proc', 0, 'proc')
    mount('/sys', f'{root}/sys', MS_BIND | MS_REC)
    mount('/dev', f'{root}/dev', MS_BIND | MS_REC)
    mount('tmpfs', f'{root}/run', 0, 'tmpfs')
    mount_readonly(TREE, f'{root}/src')
    mount_dpdk_source(root)


def environment_words():
    """Returns the words that set the environment of a command in a chroot."""
    return ['env', 'LC_ALL=C', f'PATH={os.environ["PATH"]}:/usr/sbin:/sbin', 'HOME=/root']


def commands(root):
    """Returns the words before a command that runs in a chroot."""
    return ['chroot', root, *environment_words()]


def install(within, names, program):
    """Installs the missing ones of the packages `names` in a chroot. Retries once with new package
    lists. program is the one that the message names."""
    if all(call([*within, 'dpkg', '-s', name]).returncode == 0 for name in names):
        return
    print(f'{program}: installing packages', flush=True)
    environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    done = call([*within, *APT, 'install', *names], env=environment)
    if done.returncode != 0:
        call([*within, *APT, 'update'])
        done = call([*within, *APT, 'install', *names], env=environment)
    if done.returncode != 0:
        raise NotAvailable(f'apt-get cannot install {" ".join(names)}: {last_line(done.stdout)}')


def fetch_driver_headers(within, *more):
    """Fetches DPDK's driver headers in a chroot, and what the words `more` name
    (devtools/dpdk-headers-setup). Returns None on success, else the reason of the failure."""
    environment = [f'{key}={value}' for key, value in headers_environment('/build/cache').items()]
    done = call([*within, 'env', *environment, '/src/devtools/dpdk-headers-setup', *more])
    return None if done.returncode == 0 else last_line(done.stdout)
