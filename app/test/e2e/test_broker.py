#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests gantry-broker, and programs that get files from it through libgantry_vfio.so. On any host.

Usage: test_broker.py BUILD, as root. Run by Meson. The broker's --dev and --sysfs name folders of
this test, with common device nodes (null, zero, full, random) in place of VFIO's. The device number
tells which file a client got. The docstring of a case is its name in the output.
"""

import array
import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

NOBODY = 65534
ZERO, FULL, NULL, RANDOM = (1, 5), (1, 7), (1, 3), (1, 8)
# Group numbers that no host has, so that the VFIO files of this host do not interfere.
NODES = {'vfio/vfio': ZERO, 'vfio/4012': FULL, 'vfio/4013': NULL, 'vfio/4099': NULL, 'vfio/noiommu-4015': NULL,
         'vfio/devices/vfio4000': RANDOM, 'vfio/devices/vfio4009': RANDOM}
MIB = 1 << 20
GIVE_UP = 30


class Failure(Exception):
    """A check failed; the text says which."""


def check(holds, text):
    if not holds:
        raise Failure(text)


def wait_for(what, holds):
    end = time.monotonic() + GIVE_UP
    while not holds():
        check(time.monotonic() < end, f'{what}: not within {GIVE_UP} s')
        time.sleep(0.02)


class Host:
    """A fake host: folders with device nodes and sysfs. Also the paths of the programs of a
    build."""

    def __init__(self, folder, build):
        self.folder, self.dev, self.sysfs = folder, folder + '/dev', folder + '/sys'
        self.socket = folder + '/broker'
        self.broker = build + '/usertools/broker/gantry-broker'
        self.run = build + '/usertools/run/gantry-run'
        self.n_logs = 0
        os.chmod(folder, 0o755)
        os.makedirs(self.dev + '/vfio/devices')
        for name, number in NODES.items():
            os.mknod(f'{self.dev}/{name}', stat.S_IFCHR | 0o600, os.makedev(*number))
        os.symlink('/dev/null', self.dev + '/vfio/4016')
        for address, group in (('0000:01:00.0', 4012), ('0000:02:00.0', 4013), ('0000:02:00.1', 4013),
                               ('0000:03:00.0', 4015), ('0000:04:00.0', 4014), ('0000:06:00.0', 4016)):
            self.add_device(address, group)
        os.makedirs(self.sysfs + '/bus/pci/devices/0000:05:00.0')
        os.makedirs(self.sysfs + '/bus/pci/devices/0000:02:00.0/vfio-dev/vfio4000')
        with open(self.sysfs + '/kernel/iommu_groups/4015/name', 'w', encoding='ascii') as file:
            file.write('vfio-noiommu\n')

    def add_device(self, address, group):
        device = f'{self.sysfs}/bus/pci/devices/{address}'
        os.makedirs(device)
        os.makedirs(f'{self.sysfs}/kernel/iommu_groups/{group}', exist_ok=True)
        os.symlink(f'../../../../kernel/iommu_groups/{group}', device + '/iommu_group')

    def command(self, *arguments):
        return [self.broker, '--dev=' + self.dev, '--sysfs=' + self.sysfs, '--socket=' + self.socket, *arguments]

    def refused(self, *arguments):
        """Runs a broker that must end with status 125 and one line. Returns the line."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, timeout=GIVE_UP)
        check(done.returncode == 125, f'{arguments}: exit status {done.returncode}: {done.stderr}')
        check(done.stderr.count('\n') == 1, f'{arguments}: output is not one line: {done.stderr}')
        return done.stderr

    @contextlib.contextmanager
    def serving(self, *arguments):
        """Runs a broker during the block. Yields its process, and a function that returns its
        log."""
        self.n_logs += 1
        name = f'{self.folder}/log{self.n_logs}'
        with open(name, 'w', encoding='utf-8') as log:
            process = subprocess.Popen(self.command(*arguments), stderr=log)

        def read():
            with open(name, encoding='utf-8') as file:
                return file.read()
        try:
            wait_for('the broker listens', lambda: 'listens at' in read() or process.poll() is not None)
            check(process.poll() is None, f'{arguments}: the broker ended: {read()}')
            yield process, read
        finally:
            process.terminate()
            check(process.wait(GIVE_UP) == 0, f'{arguments}: exit status {process.returncode}: {read()}')
        check(not os.path.exists(self.socket), 'the socket is still there')


def forked(user, run):
    """Returns the result of a function that runs in a child as `user`: (user id, group id,
    supplementary group ids...)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(user[1:])
            os.setresgid(*[user[1] if len(user) > 1 else 0] * 3)
            os.setresuid(*[user[0]] * 3)
            os.write(write, json.dumps(run()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    check(os.waitpid(pid, 0)[1] == 0, 'the client failed')
    return json.loads(text)


def ask_raw(path, request):
    """Sends a request. Returns (errno, [major, minor] of the received file or None); None if the
    broker closed the connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        # connect() waits for the broker to accept. With a time-out it would fail at once instead.
        connection.connect(path)
        connection.settimeout(GIVE_UP)
        connection.send(request)
        data, control, _, _ = connection.recvmsg(64, 4096)
    if not data:
        return None
    fds = array.array('i')
    for level, kind, body in control:
        check((level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS), f'control message ({level}, {kind})')
        fds.frombytes(body)
    err, = struct.unpack('i', data)
    check(len(fds) == (err == 0), f'errno {err} came with {len(fds)} descriptors')
    number = None
    for fd in fds:
        number = os.fstat(fd).st_rdev
        os.close(fd)
    return err, number and [os.major(number), os.minor(number)]


def ask(path, name, version=1):
    return ask_raw(path, struct.pack('I64s', version, name.encode()))


def granted(answer, device):
    return answer is not None and answer[0] == 0 and tuple(answer[1]) == device


def refused(answer, err):
    return answer is not None and answer[0] == err


# Cases

def test_bad_input(host):
    """Each mistake on the command line gives one line."""
    for arguments, text in (
            ((), 'no device'), (('01:00.0', '01:00'), '01:00: not a PCI address'), (('../../x',), 'not a PCI address'),
            (('0000:01:00.8',), 'not a PCI address'), (('0000:01:00.0x',), 'not a PCI address'),
            (('0000:07:00.0',), 'no such device'), (('0000:05:00.0',), 'in no IOMMU group'),
            (('0000:04:00.0',), 'there is no vfio/4014'), (('0000:03:00.0',), 'without an IOMMU'),
            (('0000:06:00.0',), 'there is no vfio/4016'),
            (('--user=nobody-at-all', '01:00.0'), 'no such user'), (('--group=-1', '01:00.0'), 'no such group'),
            (('--memlock=1T', '01:00.0'), '--memlock=1T'), (('--memlock=', '01:00.0'), '--memlock='),
            (('--memlock=-1', '01:00.0'), '--memlock=-1'), (('--memlock=99999999999G', '01:00.0'), 'too much'),
            (('--socket',), 'requires an argument'), (('--what', '01:00.0'), 'unrecognized'),
            (('--socket=' + 'x' * 200, '01:00.0'), 'longer than'), (('--cdev', '01:00.0'), '--cdev'),
            (('--socket=' + host.folder + '/none/x', '01:00.0'), 'No such file'),
            (('--socket=' + host.sysfs, '01:00.0'), 'not a socket'),
            (('01:00.0', '--', 'true'), '--user is missing'), (('--user=0', '--', 'true'), 'no device before'),
            (('--user=0', '01:00.0', '--'), 'no program'), (('--once', '--user=0', '01:00.0', '--', 'true'), '--once')):
        said = host.refused(*arguments)
        check(text in said, f'{arguments}: printed {said}')


def test_root(host):
    """Root gets the files of the named devices, identified by device number, and no other file."""
    with host.serving('01:00.0', '0000:02:00.0') as (process, log):
        before = len(os.listdir(f'/proc/{process.pid}/fd'))
        for name, number in (('/dev/vfio/vfio', ZERO), ('/dev/vfio/4012', FULL), ('/dev/vfio/4013', NULL),
                             ('/dev/vfio/devices/vfio4000', RANDOM), ('/dev/vfio/vfio', ZERO)):
            check(granted(ask(host.socket, name), number), name)
            check(f'handed {name} to process {os.getpid()} of user 0' in log(), log())
        check(refused(ask(host.socket, '/dev/iommu'), errno.ENOENT), 'an absent file: the errno of open(2)')
        for name in ('/dev/vfio/4099', '/dev/vfio/devices/vfio4009', '/dev/vfio/noiommu-4015', '/dev/vfio/../vfio/vfio',
                     '/dev/vfio//vfio', '/dev/vfio/4012/', '/dev/vfio/401', '/etc/passwd', '', 'vfio'):
            check(refused(ask(host.socket, name), errno.EACCES), f'{name} is not handed out')
        check('refused a file that is not served' in log(), log())
        check('4099' not in log(), 'the text of a request is in the log')
        wait_for('all connections end', lambda: len(os.listdir(f'/proc/{process.pid}/fd')) == before)


def test_requests(host):
    """Malformed requests and silent clients do not stop the broker."""
    with host.serving('01:00.0') as (process, log):
        check(refused(ask(host.socket, '/dev/vfio/4012', version=2), errno.EPROTO), 'another version')
        for request in (b'x', b'x' * 4096, struct.pack('I64s', 1, b'/' * 64), struct.pack('I63s', 1, b'/dev/vfio/vfio')):
            check(refused(ask_raw(host.socket, request), errno.EPROTO), f'{request[:8]}')
        with contextlib.ExitStack() as stack:
            # More silent clients than the broker has connections. It closes them after a time-out.
            start = time.monotonic()
            for _ in range(40):
                connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                connection.connect(host.socket)
            check(granted(ask(host.socket, '/dev/vfio/4012'), FULL), 'a request after silent clients')
            check(time.monotonic() - start < 25, 'silent clients delay a request by 25 s or more')
        check(process.poll() is None, 'the broker ended')
        check('malformed request' in log(), log())


def test_users(host):
    """Only root, the user and the group are served, by the credentials that the kernel reports."""
    user, other = (NOBODY, NOBODY), (NOBODY - 1, NOBODY - 1)

    def get():
        try:
            return ask(host.socket, '/dev/vfio/4012')
        except PermissionError:
            return 'no permission'
    with host.serving('01:00.0'):
        check(forked(user, get) == 'no permission', 'without options another user than root can connect')
        os.chmod(host.socket, 0o666)
        check(refused(forked(user, get), errno.EPERM), 'without options another user than root is served')
    with host.serving('--user=nobody', '01:00.0'):
        check(stat.S_IMODE(os.stat(host.socket).st_mode) == 0o600, 'mode of the socket')
        check(granted(forked(user, get), FULL), 'the user is not served')
        check(granted(get(), FULL), 'root is not served')
        check(forked(other, get) == 'no permission', 'another user can connect')
        os.chmod(host.socket, 0o666)
        check(refused(forked(other, get), errno.EPERM), 'another user is served')
    with host.serving(f'--group={NOBODY - 7}', '01:00.0'):
        check(granted(forked((NOBODY, NOBODY - 7), get), FULL), 'the group is not served')
        check(granted(forked((NOBODY, NOBODY, NOBODY - 7), get), FULL), 'the supplementary group is not served')
        os.chmod(host.socket, 0o666)
        check(refused(forked(user, get), errno.EPERM), 'a user without the group is served')


def may_raise_limits():
    """Returns whether this process has CAP_SYS_RESOURCE, which root of some containers lacks."""
    with open('/proc/self/status', encoding='ascii') as file:
        return int(re.search(r'CapEff:\s*(\w+)', file.read()).group(1), 16) >> 24 & 1


def test_memlock(host):
    """--memlock raises a client's limit before it gets its first file, and never lowers a limit."""
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    # Without CAP_SYS_RESOURCE only limits of root's processes can be raised, and only up to the
    # hard limit.
    user, limit = ((NOBODY, NOBODY), 3 * MIB) if may_raise_limits() else ((0,), hard)
    options = [('1M', 2 * MIB, limit), (str(3 * MIB - 1), 3 * MIB - 1, limit)]
    if may_raise_limits():
        options += [('64M', 64 * MIB, 64 * MIB), ('unlimited', -1, -1)]

    def prepare():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (2 * MIB, limit))
        return forked(user, limits)

    def limits():
        answers = [resource.getrlimit(resource.RLIMIT_MEMLOCK)]
        for name in ('/dev/vfio/4099', '/dev/vfio/4012'):
            ask(host.socket, name)
            answers.append(resource.getrlimit(resource.RLIMIT_MEMLOCK))
        return answers
    for option, soft, wanted in options:
        with host.serving('--user=nobody', '--memlock=' + option, '01:00.0') as (_, log):
            came = forked((0,), prepare)
            check(came == [[2 * MIB, limit], [2 * MIB, limit], [soft, wanted]], f'--memlock={option}: {came}')
            check(('RLIMIT_MEMLOCK' in log()) == (option != '1M'), log())


def test_once(host):
    """With --once the broker serves one process, and ends when that process ends."""
    with host.serving('--once', '01:00.0') as (process, log):
        check(refused(ask(host.socket, '/dev/vfio/4099'), errno.EACCES), 'a refused request')

        def twice():
            own = [ask(host.socket, '/dev/vfio/vfio'), ask(host.socket, '/dev/vfio/4012')]
            other = forked((0,), lambda: ask(host.socket, '/dev/vfio/4012'))
            return own + [other]
        first, second, other = forked((0,), twice)
        check(granted(first, ZERO) and granted(second, FULL), 'the first process is not served')
        check(refused(other, errno.EPERM), 'another process is served')
        wait_for('the broker ends', lambda: process.poll() is not None)
        check('its process has ended' in log(), log())


def test_socket_file(host):
    """A stale socket is replaced; the socket of a running broker is not."""
    with host.serving('01:00.0'):
        check('another broker' in host.refused('01:00.0'), 'two brokers at one socket')
        check(granted(ask(host.socket, '/dev/vfio/4012'), FULL), 'the first broker serves no more')
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(host.socket)
    with host.serving('01:00.0'):
        check(granted(ask(host.socket, '/dev/vfio/4012'), FULL), 'a broker with the path of a stale socket does not serve')


def test_changed_node(host):
    """A device node that was replaced by a symbolic link, FIFO or folder is not opened."""
    node = host.dev + '/vfio/4012'
    with host.serving('01:00.0'):
        for make in (lambda: os.symlink('/etc/passwd', node), lambda: os.mkfifo(node), lambda: os.mkdir(node)):
            os.rename(node, node + '.away')
            make()
            try:
                check(refused(ask(host.socket, '/dev/vfio/4012'), errno.ENODEV), 'not refused with ENODEV')
            finally:
                shutil.rmtree(node) if os.path.isdir(node) and not os.path.islink(node) else os.unlink(node)
                os.rename(node + '.away', node)


PROGRAM = r'''
import json, os, resource, sys
fds = {}
for item in os.environ['GANTRY_VFIO_FDS'].split(','):
    number, path = item.split('=')
    rdev = os.fstat(int(number)).st_rdev
    fds.setdefault(path, []).append([os.major(rdev), os.minor(rdev), os.get_inheritable(int(number))])
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(json.dumps({'fds': fds, 'uid': os.getresuid(), 'gid': os.getresgid(), 'groups': os.getgroups(),
    'caps': [int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')],
    'memlock': resource.getrlimit(resource.RLIMIT_MEMLOCK), 'args': sys.argv[1:]}))
sys.exit(3)
'''


def test_program(host):
    """Without a socket the broker starts a program as the user, with open files only."""
    def start(*arguments):
        done = subprocess.run(host.command(*arguments, '--', sys.executable, '-c', PROGRAM, '--once', '--'),
                              capture_output=True, text=True, check=False, timeout=GIVE_UP)
        check(done.returncode == 3, f'exit status {done.returncode}: {done.stderr}')
        return json.loads(done.stdout), done.stderr
    came, said = start('--user=nobody', '--memlock=1M', '01:00.0', '02:00.0', '02:00.1')
    check(came['fds'] == {'/dev/vfio/vfio': [[*ZERO, True]] * 2, '/dev/vfio/4012': [[*FULL, True]],
                          '/dev/vfio/4013': [[*NULL, True]]}, f'a container for each group: {came["fds"]}')
    check(came['uid'] == [NOBODY] * 3 and came['gid'] == [NOBODY] * 3 and came['groups'] in ([], [NOBODY]), f'{came}')
    check(came['caps'] == [0] * 4, f'capabilities: {came["caps"]}')
    check(came['memlock'] == [MIB] * 2, f'{came["memlock"]}')
    check(came['args'] == ['--once', '--'], f'arguments: {came["args"]}')
    check('hands /dev/vfio/4012 to the program' in said, said)
    came, _ = start('--user=nobody', f'--group={NOBODY - 7}', '--cdev', '02:00.0')
    check(came['fds'] == {'/dev/vfio/devices/vfio4000': [[*RANDOM, True]]}, f'{came["fds"]}')
    check(came['gid'] == [NOBODY - 7] * 3, f'{came["gid"]}')
    came, _ = start('--user=root', '01:00.0')
    check(came['uid'] == [0] * 3 and came['caps'][2] != 0, f'with --user=root: {came}')
    for program, status in (('/none', 127), ('/etc/passwd', 126)):
        done = subprocess.run(host.command('--user=nobody', '01:00.0', '--', program), capture_output=True, text=True,
                              check=False, timeout=GIVE_UP)
        check(done.returncode == status and program in done.stderr, f'{done.returncode}: {done.stderr}')


# Programs with the library

def run_client(host, options, code, **more):
    """Runs Python code under gantry-run as an ordinary user. Returns (its output, parsed as JSON;
    its stderr)."""
    before = 'import errno, json, os, resource, sys\n' + f'os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n'
    before += '''
def get(path, flags=os.O_RDWR):
    try:
        fd = os.open(path, flags)
    except OSError as e:
        return errno.errorcode[e.errno]
    rdev = os.fstat(fd).st_rdev
    return [fd, os.major(rdev), os.minor(rdev), os.get_inheritable(fd)]
'''
    done = subprocess.run([host.run, *options, '--', sys.executable, '-c', before + code], capture_output=True, text=True,
                          check=False, timeout=GIVE_UP, **more)
    check(done.returncode == 0, f'exit status {done.returncode}: {done.stderr}')
    return json.loads(done.stdout), done.stderr


def test_library_socket(host):
    """A program without permission for VFIO's files gets them from the broker."""
    code = '''
low = os.dup(0); os.close(low)
first = get('/dev/vfio/4012'); second = get('/dev/vfio/4013', os.O_RDWR | os.O_CLOEXEC)
os.close(first[0])
third = get('/dev/vfio/4013')
print(json.dumps([low, first, second, third, get('/dev/vfio/4099'), get('/dev/vfio-none'), get('/etc/shadow'),
    get('/dev/iommu'), len(os.listdir('/proc/self/fd'))]))
'''
    with host.serving('--user=nobody', '01:00.0', '02:00.0'):
        came, said = run_client(host, ['--broker=' + host.socket], code)
    low, first, second, third, other, none, shadow, iommu, n_fds = came
    check(first == [low, *FULL, False] and second[1:] == [*NULL, False] and third[0] == low, f'{came}')
    check(other == 'EACCES' and none == 'ENOENT' and shadow == 'EACCES', f'{came}')
    check(os.path.exists('/dev/iommu') or iommu == 'ENOENT', f'{came}')
    check(n_fds == low + 3, f'{came}')
    check('/dev/vfio/4099' in said and 'name the device on its command line' in said and said.count('\n') == 1, said)
    for place, text in ((host.socket, 'No such file'), (host.broker, 'not a socket'), ('', 'No such file')):
        done = subprocess.run([host.run, '--broker=' + place, 'true'], capture_output=True, text=True, check=False)
        check(done.returncode == 125 and text in done.stderr and done.stderr.count('\n') == 1, done.stderr)


def test_library_broker_gone(host):
    """Without its broker a program gets ECONNREFUSED, and one line says why."""
    code = "print(json.dumps(get('/dev/vfio/4012')))"
    with host.serving('--user=nobody', '01:00.0'):
        os.link(host.socket, host.socket + '.dead')
    came, said = run_client(host, ['--broker=' + host.socket + '.dead'], code)
    os.unlink(host.socket + '.dead')
    check(came == 'ECONNREFUSED', f'{came}')
    check('it is running' in said, said)


def test_library_fds(host):
    """Descriptors given with --fd: a container's serves one open, a group's serves many."""
    code = '''
container = get('/dev/vfio/vfio') if not os.path.exists('/dev/vfio/vfio') else None
groups = [get('/dev/vfio/4012', os.O_RDWR | os.O_CLOEXEC) for _ in range(2)]
names = [os.readlink('/proc/self/fd/' + n) for n in sorted(os.listdir('/proc/self/fd'), key=int) if os.path.exists('/proc/self/fd/' + n)]
again = get('/dev/vfio/vfio') if container else None
print(json.dumps([container, groups, again, get('/dev/vfio/4013'), names]))
'''
    fds = [os.open(f'{host.dev}/vfio/{name}', os.O_RDWR) for name in ('vfio', '4012')]
    options = [f'--fd={fds[0]}=/dev/vfio/vfio', f'--fd={fds[1]}=/dev/vfio/4012']
    (container, groups, again, other, names), said = run_client(host, options, code, pass_fds=fds)
    check(container is None or container[1:3] == list(ZERO), f'{container}')
    check(all(group[1:3] == list(FULL) for group in groups), f'{groups}')
    check(other == 'ENOENT', f'{other}')
    check(again in (None, 'EMFILE') and (again is None or 'hand in another one' in said), f'{again}: {said}')
    for item in ('3', '3=', f'{fds[0]}=/etc/passwd', '999=/dev/vfio/vfio', f'{fds[0]}=/dev/vfio/1,2', '-1=/dev/iommu'):
        done = subprocess.run([host.run, '--fd=' + item, 'true'], capture_output=True, text=True, check=False, pass_fds=fds)
        check(done.returncode == 125 and done.stderr.count('\n') == 1, f'{item}: {done.stderr}')
    for fd in fds:
        os.close(fd)


# The status socket

def status(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(GIVE_UP)
        connection.connect(path)
        data = b''
        while part := connection.recv(4096):
            data += part
    return json.loads(data.decode()) if data else None


STATUS_PROGRAM = '''
import os, sys
def line(word):
    print(word, flush=True); sys.stdin.readline()
line('idle')
for path in ('/dev/vfio/4012', '/dev/vfio/4099'):
    try: os.open(path, os.O_RDWR)
    except OSError: pass
line('open')
# dup2() over the descriptor number of the status socket: the library must move the socket.
def target(n):
    try: return os.readlink('/proc/self/fd/' + n)
    except OSError: return ''
hidden = [int(n) for n in os.listdir('/proc/self/fd') if target(n).startswith('socket:')]
assert len(hidden) == 1 and os.dup2(0, hidden[0]) == hidden[0]
line('moved')
child = os.fork()
if child == 0: sys.exit(0)
os.waitpid(child, 0)
line('forked')
'''


def says(process, word):
    line = process.stdout.readline().strip()
    check(line == word, f'the program printed {line}, not {word}')


def goes_on(process):
    process.stdin.write('\n')
    process.stdin.flush()


def check_status(place, process, program):
    told = status(place)
    check(told['program'] == program and told['pid'] == process.pid, f'{told}')
    check((told['backend'], told['isolate'], told['coalesce']) == ('iommufd', True, 'always'), f'{told}')
    check(told['stats']['refusals'] == len(told['refusals']) == 1 and told['stats']['containers'] == 0, f'{told}')
    refusal = told['refusals'][0]
    check((refusal['number'], refusal['call'], refusal['error']) == (1, 'open', 'EACCES'), f'{refusal}')
    check('/dev/vfio/4099' in refusal['why'], f'{refusal}')


def check_guide(place, process):
    """The command of the guide shows the same."""
    guide = os.path.dirname(os.path.realpath(__file__)) + '/../../../doc/guide_run_any_program.md'
    with open(guide, encoding='utf-8') as file:
        command = re.search(r'^(python3 -c .*) \S*gantry-vfio\.\d+$', file.read(), re.MULTILINE).group(1)
    done = subprocess.run(f'{command} {place}', shell=True, capture_output=True, check=True, timeout=GIVE_UP)
    check(json.loads(done.stdout)['pid'] == process.pid, done.stdout)


def check_thread(process):
    """The status thread must not disturb the program: all signals blocked, no low descriptor
    number."""
    for task in os.listdir(f'/proc/{process.pid}/task'):
        with open(f'/proc/{process.pid}/task/{task}/status', encoding='utf-8', errors='replace') as file:
            text = file.read()
        if 'Name:\tgantry-status' in text:
            # SIGKILL and SIGSTOP cannot be blocked, and the C library reserves two signals.
            blocked = int(re.search(r'SigBlk:\s*(\w+)', text).group(1), 16)
            check(all(blocked >> (n - 1) & 1 for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, 64)), f'{blocked:x}')
            break
    else:
        raise Failure('there is no thread gantry-status')
    sockets = [int(n) for n in os.listdir(f'/proc/{process.pid}/fd')
               if os.readlink(f'/proc/{process.pid}/fd/{n}').startswith('socket:')]
    check(len(sockets) == 1 and sockets[0] > 100, f'{sockets}')


def test_status(host):
    """With --status a process serves its status to its user and root, after it opened VFIO."""
    program = 'we"ird\\ \x07 ü'
    os.symlink(sys.executable, f'{host.folder}/{program}')
    place = os.fsencode(host.folder) + b'/python\xff'
    os.symlink(sys.executable, place)
    for name, shown in ((f'{host.folder}/{program}', program), (os.fsdecode(place), 'python\ufffd')):
        with host.serving('01:00.0'), subprocess.Popen(
                [host.run, '--status', '--backend=iommufd', '--isolate', '--coalesce=always', '--log=' + host.folder + '/said',
                 '--broker=' + host.socket, '--', name, '-c', STATUS_PROGRAM], text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, env={**os.environ, 'XDG_RUNTIME_DIR': host.folder}) as process:
            at = f'{host.folder}/gantry-vfio.{process.pid}'
            says(process, 'idle')
            check(not os.path.exists(at), 'the socket exists before the first file of VFIO is opened')
            goes_on(process)
            says(process, 'open')
            check(stat.S_IMODE(os.stat(at).st_mode) == 0o600, 'mode of the socket')
            check_status(at, process, shown)
            check_thread(process)
            check_guide(at, process)
            os.chmod(at, 0o666)
            check(forked((NOBODY, NOBODY), lambda: status(at)) is None, 'another user gets the status')
            goes_on(process)
            says(process, 'moved')
            check_status(at, process, shown)
            goes_on(process)
            says(process, 'forked')
            check_status(at, process, shown)
            goes_on(process)
            check(process.wait(GIVE_UP) == 0, f'exit status {process.returncode}')
            check(not os.path.exists(at), 'the socket is still there')


CASES = [test_bad_input, test_root, test_requests, test_users, test_memlock, test_once, test_socket_file,
         test_changed_node, test_program, test_library_socket, test_library_broker_gone, test_library_fds, test_status]


def main():
    if os.geteuid() != 0:
        os.execvp('sudo', ['sudo', '-n', *sys.argv])
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = 0
    cases = [case for case in CASES if not sys.argv[2:] or case.__name__ in sys.argv[2:]]
    for case in cases:
        with tempfile.TemporaryDirectory(prefix='gantry-broker.') as folder:
            try:
                case(Host(folder, sys.argv[1]))
                print(f'ok      broker: {case.__doc__}', flush=True)
            except (Failure, OSError, subprocess.SubprocessError, ValueError) as e:
                failed += 1
                print(f'FAILED  broker: {case.__doc__}: {type(e).__name__}: {e}', flush=True)
    print(f'{len(cases) - failed} passed, {failed} failed, 0 skipped')
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
