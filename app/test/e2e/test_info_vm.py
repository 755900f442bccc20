#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests gantry-info with a real kernel: twelve broken set-ups, and what it tells of a sound one.

usage: test_info_vm.py BUILD default        in the emulated machine, profile default
       test_info_vm.py BUILD iommufd        in the emulated machine, profile iommufd
       test_info_vm.py BUILD noiommu-mode   in the emulated machine, profile noiommu-mode
       test_info_vm.py BUILD shared-group   in the emulated machine, profile shared-group
       test_info_vm.py BUILD no-iommu       on the host: boots the profile iommu-off, and what becomes of it

Each set-up is broken for real. Then `gantry-info why` has to name the check that fails and one
command, this very command is run, and `why` has to say "usable" or the next reason. Text and JSON
are compared. What only an administrator's machine has (a package archive, a boot loader) is a
program of this test's, which checks its arguments.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.path.realpath(sys.argv[1])
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
INFO = f'{BUILD}/app/info/gantry-info'
EDU, NIC, OTHER_NIC = '0000:00:10.0', '0000:01:00.0', '0000:03:00.0'    # the last one is the kernel's
PORT_TWIN = '0000:01:00.1'                                              # of shared-group
LIMIT = 120
STUBS = tempfile.mkdtemp()
ENV = {**os.environ, 'PATH': f'{STUBS}:{BUILD}/app/info:{TREE}/usertools:{os.environ["PATH"]}:/usr/sbin:/sbin'}
NOBODY = ('setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups')


class Failure(Exception):
    """A check failed; the text says which."""


def check(holds, text):
    if not holds:
        raise Failure(text)


def read(path):
    with open(path, encoding='ascii') as file:
        return file.read().strip()


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def sh(command, **more):
    """Runs a command of a shell, which has to succeed. Returns its output."""
    done = subprocess.run(['bash', '-c', command], env=ENV, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT, **more)
    check(done.returncode == 0, f'{command}: exit status {done.returncode}: {done.stdout}')
    return done.stdout


def info(*words, prefix=()):
    """Runs gantry-info with --json. Returns its exit status and its facts."""
    done = subprocess.run([*prefix, INFO, '--json', *words], env=ENV, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    check(not done.stderr, f'{words}: {done.stderr}')
    return done.returncode, json.loads(done.stdout)


def same_in_text(facts, *words, prefix=()):
    """The text has the verdict and the command of the JSON."""
    done = subprocess.run([*prefix, INFO, 'why', *words], env=ENV, check=False, text=True,
                          stdout=subprocess.PIPE, timeout=LIMIT)
    state = 'usable' if facts['usable'] else 'not usable'
    wanted = f'{facts["address"]}: {state}: {facts["verdict"]}\n'
    wanted += '' if facts['usable'] else f'do: {facts["do"]}\n'
    # Where a map anywhere goes differs between two runs.
    said, wanted = (re.sub(r'mapped at 0x[0-9a-f]+', 'mapped', text) for text in (done.stdout, wanted))
    check(said.startswith(wanted), f'text differs: {done.stdout}')


def broken(failed, verdict, command, *words, prefix=()):
    """`why` names this check, with a verdict and a command that match these patterns. Returns the command."""
    status, facts = info('why', *words, prefix=prefix)
    check(status == 1 and not facts['usable'], f'usable: {facts["verdict"]}')
    check(facts['failed'] == failed and re.search(verdict, facts['verdict']), f'{facts["failed"]}: {facts["verdict"]}')
    check(re.fullmatch(command, facts['do']), f'do: {facts["do"]}')
    same_in_text(facts, *words, prefix=prefix)
    print(f'        {facts["verdict"]}\n        do: {facts["do"]}', flush=True)
    return facts['do']


def usable(*words, prefix=()):
    status, facts = info('why', *words, prefix=prefix)
    check(status == 0 and facts['usable'], f'not usable: {facts.get("failed")}: {facts["verdict"]}')
    same_in_text(facts, *words, prefix=prefix)


def group_of(device):
    return os.path.basename(os.readlink(f'/sys/bus/pci/devices/{device}/iommu_group'))


def stub(name, script):
    """A program of an administrator's machine, before all others."""
    write(f'{STUBS}/{name}', f'#!/bin/sh -e\n{script}\n')
    os.chmod(f'{STUBS}/{name}', 0o755)


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what, test):
    end = time.monotonic() + LIMIT
    while not test():
        check(time.monotonic() < end, f'{what}: not within {LIMIT} s')
        time.sleep(0.1)


# Broken set-ups of the profile default

def unbound():
    sh(f'gantry-bind -q none {EDU}')
    sh(broken('driver', 'no driver holds it', f'gantry-bind vfio-pci {EDU}', EDU))
    usable(EDU)


def another_driver():
    """The kernel's NIC, whose network interface is up."""
    name = os.listdir(f'/sys/bus/pci/devices/{OTHER_NIC}/net')[0]
    sh(f'ip link set {name} up')
    sh(broken('driver', f'e1000e holds it, and its network interface {name} is up',
              f'ip link set {name} down && gantry-bind vfio-pci {OTHER_NIC}', OTHER_NIC))
    usable(OTHER_NIC)
    sh(f'gantry-bind -q default {OTHER_NIC}')


def busy():
    path = f'/dev/vfio/{group_of(EDU)}'
    with running('bash', '-c', f'exec 3<>{path}; echo open; exec sleep 600') as holder:
        check(holder.stdout.readline() == 'open\n', 'the group cannot be opened')
        wait_for('sleep', lambda: read(f'/proc/{holder.pid}/comm') == 'sleep')
        _, facts = info('group', group_of(EDU))
        check(facts['in_use_by'] == f'{holder.pid} (sleep)', f'{facts}')
        sh(broken('busy', f'process {holder.pid} \\(sleep\\) has {path} open', f'kill {holder.pid}', EDU))
        check(holder.wait(LIMIT) == -signal.SIGTERM, 'it was not ended')
    usable(EDU)


def no_hugepages():
    before = read('/proc/sys/vm/nr_hugepages')
    sh('sysctl -w vm.nr_hugepages=0')
    sh(broken('hugepages', 'none are free, and 2 MiB are wanted', 'sysctl -w vm.nr_hugepages=1', EDU))
    usable(EDU)
    sh(f'sysctl -w vm.nr_hugepages={before}')


def in_one_shell(begin, prefix=()):
    """In one shell: `begin`, `why`, its command, and `why` again. Returns both facts."""
    script = f'{begin}; gantry-info --json why {EDU} >"$0/1"; eval "$(python3 "$0/do" <"$0/1")"; ' \
             f'gantry-info --json why {EDU} >"$0/2"'
    with tempfile.TemporaryDirectory() as folder:
        write(f'{folder}/do', 'import json, sys\nprint(json.load(sys.stdin)["do"])\n')
        done = subprocess.run([*prefix, 'bash', '-c', script, folder], env=ENV, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT)
        first, second = (json.loads(read(f'{folder}/{n}')) for n in (1, 2))
    print(f'        {first["verdict"]}\n        do: {first.get("do")}')
    check(second['usable'], f'{done.stdout}: {second["verdict"]}')
    return first


def memlock():
    """Without CAP_IPC_LOCK: a hard limit, then a soft one."""
    prefix = ('setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock')
    facts = in_one_shell('ulimit -l 64', prefix)
    check(facts['failed'] == 'memlock' and 'RLIMIT_MEMLOCK is 64 KiB, and 2 MiB' in facts['verdict'], f'{facts}')
    check(facts['do'] == 'prlimit --pid $$ --memlock=2097152:2097152', facts['do'])
    facts = in_one_shell('ulimit -S -l 64', prefix)
    check(facts['failed'] == 'memlock' and facts['do'] == 'ulimit -S -l 2048', f'{facts}')


def control_group():
    root, path = '/sys/fs/cgroup', f'/dev/vfio/{group_of(EDU)}'
    sh(f'mount -t tmpfs none {root} && mkdir {root}/devices && mount -t cgroup -o devices none {root}/devices')
    sh(f'mkdir {root}/devices/box && echo a >{root}/devices/box/devices.deny')
    number = os.stat('/dev/vfio/vfio').st_rdev
    for device in ('1:*', '5:*', f'{os.major(number)}:{os.minor(number)}'):
        sh(f"echo 'c {device} rwm' >{root}/devices/box/devices.allow")
    facts = in_one_shell(f'echo $$ >{root}/devices/box/cgroup.procs')
    check(facts['failed'] == 'control group' and f'/box does not allow {path}' in facts['verdict'], f'{facts}')
    number = os.stat(path).st_rdev
    check(facts['do'] == f"echo 'c {os.major(number)}:{os.minor(number)} rw' >{root}/devices/box/devices.allow", facts['do'])
    sh(f'rmdir {root}/devices/box && umount {root}/devices && umount {root}')


def ranges():
    """The IOMMU of this profile has 39 bits, and x86 has its interrupts at 0xfee00000."""
    sh(broken('aperture', '^0x8000000000-0x80001fffff is outside what its IOMMU translates: usable are 0x1000-0xfedfffff, ',
              f'gantry-info why {EDU} --iova=0x[0-9a-f]+ --length=2097152', EDU, '--iova=0x8000000000'))


def reserved():
    sh(broken('reserved', r'meets 0xfee00000-0xfeefffff \(msi\), reserved by group \d+ \(0000:00:10.0\)',
              f'gantry-info why {EDU} --iova=0x[0-9a-f]+ --length=8192', EDU, '--iova=0xfedff000', '--length=8K'))


def permission():
    path = f'/dev/vfio/{group_of(EDU)}'
    with tempfile.TemporaryDirectory() as folder:
        # Where an ordinary user can read it.
        for name in (INFO, f'{BUILD}/lib/dmamap/libdmamap.so.0'):
            shutil.copy(name, folder)
        os.chmod(folder, 0o755)
        prefix = (*NOBODY, 'env', f'LD_LIBRARY_PATH={folder}', f'{folder}/gantry-info')
        done = subprocess.run([*prefix, '--json', 'why', EDU], check=False, stdout=subprocess.PIPE, timeout=LIMIT)
        facts = json.loads(done.stdout)
        print(f'        {facts["verdict"]}\n        do: {facts["do"]}')
        check(facts['failed'] == 'permission' and
              f'user nobody may not open {path}, which is of root:root with mode 0600' in facts['verdict'], f'{facts}')
        check(facts['do'] == f'chown nobody {path}', facts['do'])
        sh(facts['do'])
        done = subprocess.run([*prefix, '--json', 'why', EDU], check=False, stdout=subprocess.PIPE, timeout=LIMIT)
        check(done.returncode == 0, done.stdout)
        # What the kernel shows to everybody needs no root.
        for words in ((), ('device', NIC), ('group', group_of(NIC))):
            subprocess.run([*prefix, *words], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT)
    os.chown(path, 0, 0)


def entry_limit():
    parameter = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit'
    before = read(parameter)
    sh(broken('entries', '65535 map entries left, and 70000 are wanted', f'echo 70000 >{parameter}', EDU, '--maps=70000'))
    usable(EDU, '--maps=70000')
    write(parameter, before)


def no_module():
    """The module's folder is hidden. The package that the command installs brings it back."""
    release = os.uname().release
    folder = os.path.dirname(sh('modinfo -n vfio-pci').strip())
    bound = [name for name in os.listdir('/sys/bus/pci/drivers/vfio-pci') if ':' in name]
    sh(f'gantry-bind -q none {" ".join(bound)} && modprobe -r vfio-pci && mount -t tmpfs none {folder}')
    stub('apt-get', f'[ "$*" = "install --reinstall linux-image-{release}" ]\numount {folder}')
    sh(broken('module', f'the running kernel {re.escape(release)} has no vfio-pci',
              f'apt-get install --reinstall linux-image-{re.escape(release)}', EDU))
    sh(broken('driver', 'no driver holds it', f'gantry-bind vfio-pci {EDU}', EDU))
    usable(EDU)


# What it tells of a sound machine

def sound():
    usable(EDU)
    usable(NIC)
    _, facts = info()
    check(facts['kernel'] == os.uname().release, facts['kernel'])
    check(facts['kernel_options'] == ['intel_iommu=on', 'iommu=nopt', 'hugepages=96'], f'{facts["kernel_options"]}')
    check(facts['groups'] == len(os.listdir('/sys/kernel/iommu_groups')), f'{facts["groups"]}')
    check([iommu['kind'] for iommu in facts['iommus']] == ['Intel VT-d'], f'{facts["iommus"]}')
    pages = next(one for one in facts['hugepages'] if one['page_size_bytes'] == 2 << 20)
    check(pages['total'] == 96 and pages['node'] == '0', f'{pages}')
    check(EDU in [one['address'] for one in facts['vfio_devices']], f'{facts["vfio_devices"]}')


def registers_agree():
    """The IOMMU's registers, which anybody can read, agree with what an attach tells."""
    _, facts = info('device', EDU)
    domain, iommu = facts['domain'], facts['iommu']
    check(int(domain['usable'][-1]['last'], 16) == (1 << iommu['address_bits']) - 1, f'{domain["usable"]}, {iommu}')
    check(domain['coherent'] == iommu['snoop_control'], f'{domain}, {iommu}')
    check(set(iommu['page_size_bytes']) <= set(domain['page_size_bytes']), f'{domain}, {iommu}')
    check(domain['entries_left'] == 65535 and domain['backend'] == 'type1', f'{domain}')
    check(any(one['type'] == 'msi' and one['start'] == '0xfee00000' for one in domain['reserved']), f'{domain["reserved"]}')
    check(facts['group']['viable'] == 'yes, says the kernel', f'{facts["group"]}')


HOLD = '''
import fcntl, os, struct, sys, time
container, group = (os.open(path, os.O_RDWR) for path in ("/dev/vfio/vfio", sys.argv[1]))
fcntl.ioctl(group, 0x3b68, struct.pack("i", container))     # VFIO_GROUP_SET_CONTAINER
fcntl.ioctl(container, 0x3b66, 3)                           # VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU
print("ready", flush=True)
time.sleep(600)
'''


def under_gantry_run():
    path = f'/dev/vfio/{group_of(EDU)}'
    with running(f'{BUILD}/usertools/run/gantry-run', '--status', '--log=/dev/null', 'python3', '-c', HOLD, path) as program:
        check(program.stdout.readline() == 'ready\n', 'it does not start')
        _, facts = info('process', str(program.pid))
        check(facts['gantry_run']['backend'] == 'auto' and facts['gantry_run']['stats']['groups'] == 1, f'{facts}')
        check(facts['name'] == 'python3', f'{facts}')


def dpdk_program():
    # From a path that not everybody may write to, the EAL loads plugins.
    plugins = '/run/gantry-build'
    os.makedirs(plugins, exist_ok=True)
    sh(f'mountpoint -q {plugins} || mount --bind {BUILD} {plugins}')
    with running(f'{plugins}/examples/l2fwd/gantry-l2fwd', '-l', '1', '--no-pci', '--huge-unlink', '--file-prefix', 'info',
                 '-d', f'{plugins}/drivers', '-a', f'vfio_pci:{NIC}', '--', '-p', '1', '-T', '0') as program:
        def containers():
            check(program.poll() is None, 'it has ended')
            _, facts = info('process', str(program.pid))
            return facts.get('dpdk', {}).get('containers')
        wait_for('its container', lambda: isinstance(containers(), list) and containers())
        container = containers()[0]
        check(container['attached']['0']['name'] == NIC and container['mappings'] > 0, f'{container}')
        _, facts = info('process', str(program.pid))
        check(facts['vfio_files'] == ['/dev/vfio/vfio', f'/dev/vfio/{group_of(NIC)}'] or
              set(facts['vfio_files']) >= {f'/dev/vfio/{group_of(NIC)}'}, f'{facts["vfio_files"]}')
        check(facts['dpdk']['memory']['zone_bytes'] > 0, f'{facts["dpdk"]}')
        _, facts = info('map', str(program.pid))
        parts = facts['containers'][0]['parts']
        ends = [int(part['last'], 16) + 1 for part in parts]
        check([0, *ends[:-1]] == [int(part['start'], 16) for part in parts] and ends[-1] == 1 << 64, f'it has gaps: {parts}')
        zones = [part for part in parts if part['kind'] == 'zone']
        check('e1000e rings' in [zone['name'] for zone in zones], f'{zones}')
        check(any(part['kind'] == 'reserved' and NIC in part['owner'] for part in parts), f'no MSI window: {parts}')
        check(any(NIC in node['devices'] for node in facts['numa']), f'{facts["numa"]}')
        check(any(owner['owner'] == NIC for node in facts['numa'] for owner in node['owners']), f'{facts["numa"]}')
        counters = facts['containers'][0]['counters']['times']
        check(sum(counters['kernel_map']['buckets']) == facts['containers'][0]['map_calls'] > 0, f'{counters}')
        check(0 < counters['kernel_attach']['sum_ns'] <= counters['attach']['sum_ns'], f'{counters}')
        program.send_signal(signal.SIGINT)
        program.wait(LIMIT)


# iommufd

BIND = '''
import fcntl, os, struct, sys, time
iommufd, device = (os.open(path, os.O_RDWR) for path in ("/dev/iommu", sys.argv[1]))
fcntl.ioctl(device, 0x3b76, struct.pack("IIiI", 16, 0, iommufd, 0))     # VFIO_DEVICE_BIND_IOMMUFD
print("ready", flush=True)
time.sleep(600)
'''


def iommufd():
    usable(EDU)
    _, facts = info('device', EDU)
    check(facts['domain']['backend'] == 'iommufd' and facts['domain']['entries_left'] == 'no known limit', f'{facts["domain"]}')
    usable(EDU, '--backend=type1')


def bound_elsewhere():
    """The device's file can be opened, and only its binding is refused."""
    path = f'/dev/vfio/devices/{os.listdir(f"/sys/bus/pci/devices/{EDU}/vfio-dev")[0]}'
    with running('python3', '-c', BIND, path) as holder:
        check(holder.stdout.readline() == 'ready\n', 'it cannot be bound')
        sh(broken('attach', f'process {holder.pid} \\(python3\\) has {path} open', f'kill {holder.pid}', EDU))
        holder.wait(LIMIT)
    usable(EDU)


def no_iommufd_file():
    os.rename('/dev/iommu', '/dev/iommu.hidden')
    usable(EDU)
    sh(broken('files', 'there is no /dev/iommu', f'gantry-info why {EDU} --backend=type1', EDU, '--backend=iommufd'))
    os.rename('/dev/iommu.hidden', '/dev/iommu')


# noiommu-mode

def without_iommu():
    """VFIO's mode without an IOMMU, for programs that may reach all memory."""
    parameter = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode'
    broken('iommu', 'this virtual machine has no IOMMU', 'give the virtual machine an IOMMU, .*', EDU)
    _, facts = info('why', EDU)
    check(any(f'echo 1 >{parameter}, bind the device again' in note for note in facts['notes']), f'{facts["notes"]}')
    refused = subprocess.run(['gantry-bind', 'vfio-pci', EDU], env=ENV, check=False, text=True, stderr=subprocess.PIPE)
    check(refused.returncode == 1 and 'is in no IOMMU group' in refused.stderr, refused.stderr)
    write(parameter, '1')
    sh(f'gantry-bind -q vfio-pci {EDU}')
    command = broken('iommu', 'VFIO holds it without an IOMMU', f'gantry-info why {EDU} --backend=noiommu', EDU)
    check('attached without an IOMMU, and a page of 2 MiB' in sh(command), 'the command does not help')
    usable(EDU, '--backend=noiommu')
    prefix = ('setpriv', '--bounding-set=-sys_rawio', '--inh-caps=-sys_rawio')
    broken('control group', 'takes CAP_SYS_RAWIO, because there is no IOMMU', f'sudo gantry-info why {EDU} --backend=noiommu',
           EDU, '--backend=noiommu', prefix=prefix)


# shared-group

def not_viable():
    sh(broken('group', rf'drivers of the host hold other members: {PORT_TWIN} \(e1000e\)',
              f'gantry-bind vfio-pci {PORT_TWIN}', NIC))
    usable(NIC)
    sh(f'gantry-bind -q default {PORT_TWIN}')
    _, facts = info('group', group_of(NIC))
    check(facts['viable'] == 'no, says the kernel', f'{facts}')
    check(facts['members'] == [{'address': NIC, 'driver': 'vfio-pci'}, {'address': PORT_TWIN, 'driver': 'e1000e'}], f'{facts}')


# no-iommu: on the host, with boots

def inside():
    """In the machine: prints the facts of `why`, and the command line that its command leaves in the boot loader."""
    cmdline = read('/proc/cmdline')
    write('/etc/default/grub', f'GRUB_CMDLINE_LINUX="{cmdline}"\n')
    stub('update-grub', 'touch "$0.done"')
    stub('reboot', '[ -e "${0%/*}/update-grub.done" ]')
    _, facts = info('why', EDU)
    if facts.get('failed') == 'iommu':
        sh(facts['do'])
    facts['next'] = re.search('"(.*)"', read('/etc/default/grub'))[1]
    print('facts: ' + json.dumps(facts))


def boot(append):
    """Boots the profile iommu-off, with another command line if one is given. Returns what inside() found."""
    profile = 'iommu-off'
    with tempfile.TemporaryDirectory() as folder:
        if append is not None:
            profile = f'{folder}/mended.conf'
            write(profile, f'[machine]\nbase = iommu-off\nappend = {append}\n')
        done = subprocess.run([f'{TREE}/devtools/vm/run', '--profile', profile, '--timeout', '300', '--',
                               os.path.realpath(__file__), BUILD, 'inside'], check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=3600)
    found = re.search('^facts: (.*)$', done.stdout, re.MULTILINE)
    check(found, done.stdout[-2000:])
    return json.loads(found[1])


def no_iommu():
    """The command line of the boot loader that the command leaves is that of the next boot, until there is an IOMMU."""
    facts, words = boot(None), []
    check(facts['failed'] == 'iommu' and 'command line has intel_iommu=off' in facts['verdict'], f'{facts}')
    while facts.get('failed') == 'iommu':
        print(f'        {facts["verdict"]}\n        do: {facts["do"]}', flush=True)
        check(len(words) < 2, f'no IOMMU after {words}')
        # The runner's own words come first; the profile's begin at iommu=.
        words.append([word for word in facts['next'].split() if re.match('(intel_iommu|iommu|hugepages)=', word)])
        check('intel_iommu=off' not in words[-1], f'{words}')
        facts = boot(' '.join(words[-1]))
    check(facts['failed'] == 'driver' and facts['do'] == f'gantry-bind vfio-pci {EDU}', f'{facts}')
    print(f'        {facts["verdict"]}\n        do: {facts["do"]}', flush=True)


SETS = {
    'default': [
        ('a sound machine is described', sound),
        ('registers of the IOMMU agree with an attach', registers_agree),
        ('a program under gantry-run is asked', under_gantry_run),
        ('a DPDK program is asked', dpdk_program),
        ('why: unbound', unbound),
        ('why: held by another driver, with an interface that is up', another_driver),
        ('why: busy group', busy),
        ('why: no hugepages', no_hugepages),
        ('why: memlock', memlock),
        ('why: control group', control_group),
        ('why: aperture conflict', ranges),
        ('why: reserved conflict', reserved),
        ('why: permissions, and facts without root', permission),
        ('why: entry limit', entry_limit),
        ('why: kernel without the module', no_module),
    ],
    'iommufd': [
        ('iommufd is used where the kernel has it', iommufd),
        ('why: busy device file', bound_elsewhere),
        ('why: no /dev/iommu', no_iommufd_file),
    ],
    'noiommu-mode': [('why: no IOMMU, and VFIO does without', without_iommu)],
    'shared-group': [('why: non-viable group', not_viable)],
    'no-iommu': [('why: no IOMMU', no_iommu)],
}


def main():
    if sys.argv[2] == 'inside':
        inside()
        return 0
    only = sys.argv[3] if len(sys.argv) > 3 else ''
    passed = failed = 0
    for name, case in SETS[sys.argv[2]]:
        if only not in name:
            continue
        start, reason = time.monotonic(), ''
        try:
            case()
            passed += 1
        except (Failure, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            reason = f' ({type(error).__name__}: {error})'
        print(f'{"FAILED " if reason else "ok     "} info_vm: {name}{reason} [{time.monotonic() - start:.0f} s]', flush=True)
    shutil.rmtree(STUBS)
    print(f'{passed} passed, {failed} failed, 0 skipped')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
