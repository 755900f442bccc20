#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Runs the pods of examples/pods as a node of Kubernetes would, as far as one machine can.

usage: test_pod_examples.py BUILD, in the emulated machine (profile default)

What a kubelet, a container runtime and a device plugin do for a pod is done here from its file: namespaces (mount,
PID, network, UTS, IPC, control group), control groups of version 2 with limits on memory, hugepages and devices, user,
capabilities, a root file system that is read-only, volumes, a /dev with few nodes, PCIDEVICE_* variables. The group
nodes have other names than on the host, and one has the name of another group. Then packets have to cross.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import yaml

BUILD = os.path.realpath(sys.argv[1])
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
EXAMPLES = f'{TREE}/examples/pods'
NICS = ('0000:01:00.0', '0000:02:00.0')
SIDES = {'left': ('0000:03:00.0', '10.0.0.1'), 'right': ('0000:04:00.0', '10.0.0.2')}
RESOURCE, VARIABLE = 'example.com/nic', 'PCIDEVICE_EXAMPLE_COM_NIC'
LIMIT = 90                      # seconds, for anything
SMALL_MEMLOCK = 64 << 10        # of a pod with a broker
LARGE_MEMLOCK = 1 << 30         # LimitMEMLOCK of a container runtime
CGROUPS = '/sys/fs/cgroup'
NULL_NODES = {'null': (1, 3), 'zero': (1, 5), 'full': (1, 7), 'random': (1, 8), 'urandom': (1, 9), 'tty': (5, 0)}
UNITS = {'Ki': 1 << 10, 'Mi': 1 << 20, 'Gi': 1 << 30}

# <linux/mount.h>, <sched.h>
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
NAMESPACES = {'mount': 0x20000, 'cgroup': 0x2000000, 'uts': 0x4000000, 'ipc': 0x8000000, 'pid': 0x20000000, 'net': 0x40000000}
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A check failed; the text says which."""


def check(holds, text):
    if not holds:
        raise Failure(text)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), f'{name}{args}: {os.strerror(ctypes.get_errno())}')


def mount(source, target, kind=None, flags=0, data=None):
    call('mount', *(text.encode() if text else None for text in (source, target, kind)), ctypes.c_ulong(flags),
         data.encode() if data else None)


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def sh(command):
    done = subprocess.run(['bash', '-c', command], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT)
    check(done.returncode == 0, f'{command}: exit status {done.returncode}: {done.stdout}')
    return done.stdout


def wait_for(what, test, seconds=LIMIT):
    end = time.monotonic() + seconds
    while not test():
        check(time.monotonic() < end, f'{what}: not within {seconds} s')
        time.sleep(0.1)


def number_of(quantity):
    """Kubernetes' quantity: 64Mi."""
    digits, unit = re.fullmatch(r'(\d+)(\w*)', quantity).groups()
    return int(digits) * (UNITS[unit] if unit else 1)


def group_of(device):
    return os.path.basename(os.readlink(f'/sys/bus/pci/devices/{device}/iommu_group'))


def as_root_of(container):
    return container.get('securityContext', {}).get('privileged', False)


class Pod:
    """A pod of a file, and its containers that run."""

    def __init__(self, name, memlock):
        with open(f'{EXAMPLES}/{name}.yaml', encoding='utf-8') as file:
            self.spec = yaml.safe_load(file)['spec']
        self.memlock = memlock
        self.folder = tempfile.mkdtemp(dir='/run')
        os.chmod(self.folder, 0o755)
        self.groups, self.logs, self.processes = [], {}, {}
        for volume in self.spec.get('volumes', ()):
            path = self.volume(volume['name'])
            os.mkdir(path)
            check(volume['emptyDir'] == {'medium': 'Memory'}, f'{volume}')
            mount('volume', path, 'tmpfs', MS_NOSUID | MS_NODEV)
            os.chmod(path, 0o777)

    def volume(self, name):
        return f'{self.folder}/volume-{name}'

    # What a device plugin gives to a container with the resource.

    def nodes(self, container):
        """The nodes below /dev: name -> device number."""
        nodes = {name: os.makedev(*number) for name, number in NULL_NODES.items()}
        if RESOURCE in container['resources']['limits'] and not as_root_of(container):
            nodes['vfio/vfio'] = os.stat('/dev/vfio/vfio').st_rdev
            first, second = (os.stat(f'/dev/vfio/{group_of(nic)}').st_rdev for nic in NICS)
            nodes['vfio/nic'] = first
            # The node of the second group has the name of the first one's.
            nodes[f'vfio/{group_of(NICS[0])}'] = second
        return nodes

    def environment(self, container):
        found = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'}
        if RESOURCE in container['resources']['limits']:
            check(container['resources']['limits'][RESOURCE] == str(len(NICS)), 'number of devices')
            found[VARIABLE] = ','.join(NICS)
            found[f'{VARIABLE}_INFO'] = '{}'
        found.update({one['name']: one['value'] for one in container.get('env', ())})
        # Debian's packages install there, and this build elsewhere.
        if 'GANTRY_PLUGINS' in found:
            check(found['GANTRY_PLUGINS'].startswith('/usr/lib/'), found['GANTRY_PLUGINS'])
            found['GANTRY_PLUGINS'] = found['GANTRY_PLUGINS'].replace('/usr/lib/', '/usr/local/lib/')
        return found

    # What a container runtime does.

    def make_group(self, container):
        group = f'{CGROUPS}/pod-{os.path.basename(self.folder)}-{container["name"]}'
        os.mkdir(group)
        self.groups.append(group)
        limits = container['resources']['limits']
        write(f'{group}/memory.max', str(number_of(limits['memory'])))
        write(f'{group}/memory.swap.max', '0')
        write(f'{group}/hugetlb.2MB.max', str(number_of(limits.get('hugepages-2Mi', '0'))))
        if not as_root_of(container):
            numbers = [f'{os.major(number)}:{os.minor(number)}' for number in self.nodes(container).values()]
            sh(f'{BUILD}/app/test/clients/device-box {group} {" ".join(numbers)}')
        return group

    def make_root(self, container, root, user):
        """The container's file system, in a mount namespace of its own."""
        mount(None, '/', None, MS_REC | MS_PRIVATE)
        mount('/', root, None, MS_BIND | MS_REC)
        # Nothing of the host below these, where it would be hidden but listed.
        for folder in ('/proc', '/sys', '/dev', '/tmp', '/run'):
            with contextlib.suppress(OSError):
                call('umount2', (root + folder).encode(), MNT_DETACH)
        mount('proc', f'{root}/proc', 'proc', MS_NOSUID | MS_NODEV)
        if as_root_of(container):
            mount('/dev', f'{root}/dev', None, MS_BIND | MS_REC)
            mount('/sys', f'{root}/sys', None, MS_BIND | MS_REC)
        else:
            # The container's own network namespace makes a /sys of its own; the host's devices are in both.
            mount('sys', f'{root}/sys', 'sysfs', MS_RDONLY | MS_NOSUID | MS_NODEV)
            mount('dev', f'{root}/dev', 'tmpfs', MS_NOSUID, 'mode=755')
            os.mkdir(f'{root}/dev/vfio')
            for name, number in self.nodes(container).items():
                os.mknod(f'{root}/dev/{name}', stat.S_IFCHR, number)
                os.chmod(f'{root}/dev/{name}', 0o600 if name.startswith('vfio/') else 0o666)
                os.chown(f'{root}/dev/{name}', user if name.startswith('vfio/') else 0, 0)
        for folder in ('/tmp', '/run'):
            mount('empty', root + folder, 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=755')
        for at in container.get('volumeMounts', ()):
            os.makedirs(root + at['mountPath'], exist_ok=True)
            mount(self.volume(at['name']), root + at['mountPath'], None, MS_BIND)
        if container['securityContext'].get('readOnlyRootFilesystem'):
            for path in ('', '/tmp', '/run'):
                if path not in [at['mountPath'] for at in container.get('volumeMounts', ())]:
                    mount(None, root + path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)

    def start(self, container):
        """Starts a container. Its processes are in a PID namespace of their own, whose first one ends with this one."""
        name = container['name']
        context = {**self.spec.get('securityContext', {}), **container['securityContext']}
        user = context.get('runAsUser', 0)
        check(user != 0 or as_root_of(container), f'{name} runs as root')
        group, root = self.make_group(container), f'{self.folder}/root-{name}'
        os.mkdir(root)
        self.logs[name] = f'{self.folder}/log-{name}'
        words = ['prlimit', f'--memlock={self.memlock}', '--core=0']
        if not as_root_of(container):
            check(context['capabilities'] == {'drop': ['ALL']} and context['allowPrivilegeEscalation'] is False, name)
            words += ['setpriv', f'--reuid={user}', f'--regid={context["runAsGroup"]}', '--clear-groups',
                      '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs']
        flags = sum(NAMESPACES.values())
        # A pod has one PID namespace for all its containers then. The machine's is in its place.
        shared = self.spec.get('shareProcessNamespace', False)
        flags -= NAMESPACES['pid'] if shared else 0
        pid = os.fork()
        if pid == 0:
            try:
                write(f'{group}/cgroup.procs', '0')
                call('prctl', 1, signal.SIGKILL, 0, 0, 0)       # PR_SET_PDEATHSIG
                call('unshare', flags)
                child = os.fork() if not shared else 0
                if child:
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xff)
                call('prctl', 1, signal.SIGKILL, 0, 0, 0)
                self.make_root(container, root, user)
                with open(self.logs[name], 'wb') as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
                os.chroot(root)
                os.chdir('/')
                os.execvpe(words[0], [*words, *container['command']], self.environment(container))
            except BaseException as error:      # pylint: disable=broad-except
                os.write(2, f'{name}: {error}\n'.encode())
                os._exit(125)
        self.processes[name] = pid
        return name

    # What a kubelet does.

    def run(self):
        for container in self.spec.get('initContainers', ()):
            check(container['restartPolicy'] == 'Always', 'it would have to end first')
            name, probe = self.start(container), container['startupProbe']['exec']['command']
            wait_for(f'{name} is up',
                     lambda: subprocess.run(['nsenter', f'--target={self.inner(name)}', '--mount', '--root', *probe],
                                            check=False, stderr=subprocess.DEVNULL).returncode == 0)
        for container in self.spec['containers']:
            self.start(container)

    def inner(self, name):
        """The container's process, below the one that waits for it."""
        pid = self.processes[name]
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            return int((file.read().split() or [pid])[0])

    def log(self, name):
        try:
            with open(self.logs[name], encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def status(self, name):
        """The exit status of a container that has ended; None: it runs."""
        pid, status = os.waitpid(self.processes[name], os.WNOHANG)
        if pid == 0:
            return None
        del self.processes[name]
        return os.waitstatus_to_exitcode(status)

    def wait(self, name):
        """Waits until a container ends by itself. Returns its exit status."""
        end = time.monotonic() + LIMIT
        while (status := self.status(name)) is None:
            check(time.monotonic() < end, f'{name} does not end within {LIMIT} s')
            time.sleep(0.1)
        return status

    def stop(self, name):
        """As a kubelet: SIGTERM to the container's first process. Returns its exit status."""
        os.kill(self.inner(name), signal.SIGTERM)
        pid = self.processes.pop(name)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def remove(self):
        for name in list(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.inner(name), signal.SIGKILL)
            os.waitpid(self.processes.pop(name), 0)
        for group in self.groups:
            wait_for(f'{group} is empty', lambda: not open(f'{group}/cgroup.procs', encoding='ascii').read())
            os.rmdir(group)
        for volume in self.spec.get('volumes', ()):
            call('umount2', self.volume(volume['name']).encode(), MNT_DETACH)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def pod(name, memlock):
    it = Pod(name, memlock)
    try:
        yield it
    except (Failure, OSError) as error:
        raise Failure(f'{error}\n' + '\n'.join(f'{name}: {it.log(name)}' for name in it.logs)) from error
    finally:
        it.remove()


def crosses():
    return subprocess.run(['ip', 'netns', 'exec', 'left', 'ping', '-q', '-n', '-c', '1', '-W', '1', SIDES['right'][1]],
                          check=False, stdout=subprocess.DEVNULL).returncode == 0


def forwards(it, name):
    """Packets cross the pod, which is confined as it has to be and ends well."""
    wait_for(f'{name} forwards', lambda: 'forwarding' in it.log(name) or it.status(name) is not None)
    check(name in it.processes, f'{name} has ended')
    wait_for('a packet crosses', crosses)
    check(' 0% packet loss' in sh(f'ip netns exec left ping -q -n -i 0.02 -c 50 {SIDES["right"][1]}'), 'packets are lost')
    pid = it.inner(name)
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        status = dict(line.split(':\t', 1) for line in file.read().splitlines() if ':\t' in line)
    check(status['Uid'].split() == ['1000'] * 4 and status['NoNewPrivs'] == '1', f'{status}')
    check(all(int(status[key], 16) == 0 for key in ('CapEff', 'CapPrm', 'CapInh', 'CapBnd', 'CapAmb')), f'{status}')
    check(it.stop(name) == 0, 'it ends with an error')
    check('2 groups, 2 devices' in it.log(name), 'no summary')


def without_a_broker():
    with pod('l2fwd', LARGE_MEMLOCK) as it:
        it.run()
        forwards(it, 'l2fwd')
        check(all(f'{nic}: usable' in it.log('l2fwd') for nic in NICS), 'gantry-info did not judge')


def names_decide_nothing():
    """What the tests before rest on: the nodes' names mislead."""
    with pod('l2fwd', LARGE_MEMLOCK) as it:
        container = it.spec['containers'][0]
        container['command'] = ['/bin/sh', '-c', f'ls /dev/vfio; cat /dev/kmsg; cat /dev/vfio/{group_of(NICS[1])}']
        it.run()
        it.wait('l2fwd')
        check(it.log('l2fwd').split('\n')[:3] == [*sorted([group_of(NICS[0]), 'nic']), 'vfio'], it.log('l2fwd'))
        check(it.log('l2fwd').count('No such file') == 2, 'it has more nodes')


def small_limit():
    """The reason and the remedy are in the log."""
    with pod('l2fwd', SMALL_MEMLOCK) as it:
        it.run()
        status = it.wait('l2fwd')
        check(status == 1 and 'RLIMIT_MEMLOCK is 64 KiB' in it.log('l2fwd'), f'status {status}')


def no_device():
    with pod('l2fwd', LARGE_MEMLOCK) as it:
        it.environment = lambda container: {'PATH': os.environ['PATH'], 'GANTRY_PLUGINS': '/'}
        it.run()
        status = it.wait('l2fwd')
        check(status == 2 and 'the device plugin gives no device' in it.log('l2fwd'), f'status {status}')


def with_a_broker():
    with pod('l2fwd-broker', SMALL_MEMLOCK) as it:
        it.run()
        forwards(it, 'l2fwd')
        handed = re.findall(r'handed (\S+) to process \d+ of user 1000', it.log('broker'))
        check(set(handed) == {'/dev/vfio/vfio', *(f'/dev/vfio/{group_of(nic)}' for nic in NICS)}, f'{handed}')
        check(it.status('broker') is None, 'the broker has ended')


def nothing_is_left():
    free = sh("awk '/HugePages_Total/ {t = $2} /HugePages_Free/ {f = $2} END {print t - f}' /proc/meminfo")
    check(free.strip() == '0', f'{free} hugepages')


CASES = (
    ('a pod with a device plugin forwards', without_a_broker),
    ('its nodes have other names', names_decide_nothing),
    ('a limit that is too small is named', small_limit),
    ('a pod without a device says so', no_device),
    ('a pod with a broker forwards', with_a_broker),
    ('no hugepage is left', nothing_is_left),
)


def set_up():
    sh(f'meson install -C {BUILD} --no-rebuild --quiet && ldconfig')
    sh(f'mount -t cgroup2 none {CGROUPS} && echo "+memory +hugetlb" >{CGROUPS}/cgroup.subtree_control')
    for side, (nic, address) in SIDES.items():
        name = os.listdir(f'/sys/bus/pci/devices/{nic}/net')[0]
        sh(f'ip netns add {side} && ip link set {name} netns {side} name eth0 && '
           f'ip -n {side} addr add {address}/24 dev eth0 && ip -n {side} link set eth0 up')


def main():
    failed = 0
    set_up()
    for name, run in CASES:
        try:
            run()
            print(f'ok      pod_examples: {name}', flush=True)
        except (Failure, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f'FAILED  pod_examples: {name}', *str(error).splitlines(), sep='\n  | ', flush=True)
    print(f'{len(CASES) - failed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
