#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests unmodified programs other than testpmd that use VFIO, alone and under gantry-run.

Runs in the emulated machine with the build folder and the name of a set. Profiles: clients or
clients-iommufd; never-share or mixed-iommu for domains; clients-kvm for qemu-more; nvme for nvme.

  client     app/test/clients/vfio-client: 70,000 maps, a second map of a mapped IOVA;
             dpdk-memory: DPDK's heap grows and shrinks
  qemu       QEMU with two assigned NICs, one of them hot-plugged; its firmware sends frames
  qemu-more  QEMU with a virtual IOMMU that its guest uses (app/test/clients/viommu-guest), in its sandbox, with KVM
  linux      QEMU with a virtual IOMMU and an assigned NIC, which its guest, Linux, drives (linux_guest.sh)
  ovs        Open vSwitch on DPDK's own drivers
  domains    vfio-client with devices whose IOMMUs differ
  nvme       app/test/clients/nvme-client: a container for each drive

Each program runs alone first, then under gantry-run with iommufd, or with type1 if the kernel lacks
iommufd.
"""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import ovs  # noqa: E402
import test_testpmd as base  # noqa: E402
import vfio_clients as clients  # noqa: E402
from test_testpmd import MACS, PORTS, WIRES, check, mac_bytes  # noqa: E402

CLIENT = f'{clients.BUILD}/app/test/clients/vfio-client'
GUEST = f'{clients.BUILD}/app/test/clients/viommu-guest'
NVME = f'{clients.BUILD}/app/test/clients/nvme-client'
MEMORY = f'{clients.BUILD}/app/test/clients/dpdk-memory'
EDU = '0000:00:10.0'
EDUS = (EDU, '0000:00:11.0')
QEMUS = (('7.2', None), ('10.0', 'trixie'))
SANDBOX = ('-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny')
LINUX_LIMIT = 600                       # seconds: a Linux that is emulated twice
KVM_SET_DEVICE_ATTR = 0x4018aee1        # linux/kvm.h
MANY = 70000
TYPE1_ENTRIES = 65535                   # linux: vfio_iommu_type1, dma_entry_limit
NO_SPACE = f'after {TYPE1_ENTRIES} maps: VFIO_IOMMU_MAP_DMA: No space left on device'


class Test:
    """The cases."""

    def __init__(self, transcript, alone, both):
        self.transcript = transcript
        self.ways = [clients.ALONE] if alone else clients.ways(both)
        self.table = clients.Table('program', 'how', 'outcome', 'maps', 'unmaps', 'IOMMU faults')
        self.ends, self.answers = None, None

    def each_way(self, program, case, *arguments):
        """Runs a case in each way. It returns the text for the column outcome. There must be no
        IOMMU fault."""
        for how in self.ways:
            with clients.KernelCalls() as calls:
                outcome = case(how, *arguments)
            clients.check_said(how, self.transcript)
            self.table.add(program=program, how=how, outcome=outcome, maps=calls.maps, unmaps=calls.unmaps,
                           **{'IOMMU faults': calls.faults})
            check(calls.faults == 0, f'{how}: {calls.faults} IOMMU faults')

    def client(self, how, *words):
        return clients.run(self.transcript, *how.words, CLIENT, *words)

    # vfio-client

    def many(self, how):
        """With type1 maps fail at its limit of entries; iommufd has no limit."""
        done = self.client(how, 'maps', str(MANY), EDU)
        if 'iommufd' in how.name:
            check(done.returncode == 0 and f'{MANY} maps, as many unmaps' in done.stdout, done.stdout[-2000:])
            return f'{MANY:,} maps'
        check(done.returncode == 1 and NO_SPACE in done.stdout, done.stdout[-2000:])
        return f'ENOSPC after {TYPE1_ENTRIES:,} maps'

    def twice(self, how):
        done = self.client(how, 'twice', EDU)
        check(done.returncode == 0 and 'a second map of other memory: File exists' in done.stdout, done.stdout)
        check(how is clients.ALONE or 'VFIO_IOMMU_MAP_DMA: File exists' in clients.said(), 'no line says why')
        return 'EEXIST'

    def devices(self, how, *names):
        done = self.client(how, 'devices', *names)
        check(done.returncode == 0 and f'{len(names)} devices copied' in done.stdout, done.stdout)
        return f'{len(names)} devices copied'

    def late(self, how, *names):
        done = self.client(how, 'late', *names)
        check(done.returncode == 0 and 'the late device copied' in done.stdout, done.stdout)
        return 'the late device copied'

    def refused(self, how, *names):
        """The last device cannot join the container; a message of Gantry says why."""
        done = self.client(how, 'devices', *names)
        answer = re.search(rf'^{names[-1]}: (VFIO_GROUP_(?:SET_CONTAINER|GET_DEVICE_FD): .*)$', done.stdout, re.MULTILINE)
        check(done.returncode == 1 and answer, done.stdout)
        check(how is clients.ALONE or 'VFIO_GROUP_' in clients.said(), 'no line says why')
        return answer.group(1)

    def stale(self):
        """The IOMMU blocks the device, and Gantry says what was there."""
        done = clients.run(self.transcript, clients.GANTRY_RUN, '--faults', f'--log={clients.LOG}', CLIENT, 'stale', EDU)
        check(done.returncode == 0 and 'a page after its unmap: untouched' in done.stdout, done.stdout)
        said = clients.said()
        self.transcript.write(said)
        check(re.search(rf'device {EDU}: the IOMMU blocked a write to the page at IOVA 0x10000000 .*: it was mapping '
                        r'\[0x10000000, 0x10000fff\], unmapped \d+ ms ago by thread vfio-client ', said), f'it says {said}')

    # dpdk-memory

    def memory(self, how):
        """The output must be the same as alone."""
        done = clients.run(self.transcript, *how.words, MEMORY, '-l', '0', '-a', PORTS[0])
        answers = re.findall(r'^(?:\d+ rounds of \d+ blocks|(?:map|the same map again|unmap|unmap again|cleanup): -?\d+)$',
                             done.stdout, re.MULTILINE)
        check(done.returncode == 0 and answers, done.stdout)
        self.answers = self.answers or answers
        check(answers == self.answers, f'it answers {answers}, alone {self.answers}')
        return '; '.join(answers)

    # nvme-client

    def nvme(self, how, *names):
        """Each drive has its own container, and reads back what was written."""
        done = clients.run(self.transcript, *how.words, NVME, *names)
        rates = re.findall(r'^\S+: (\d+) reads/s$', done.stdout, re.MULTILINE)
        check(done.returncode == 0 and len(rates) == len(names), done.stdout[-2000:])
        # Once with the first maps, and once with maps made after all were unmapped.
        check(done.stdout.count('written and read back') == 2 * len(names), done.stdout)
        check(done.stdout.count('unmapped at once') == len(names), done.stdout)
        check(how is clients.ALONE or f' {len(names)} containers on ' in clients.said(), 'Gantry counts other containers')
        return f'{len(names)} drives, {", ".join(f"{int(rate):,}" for rate in rates)} reads/s'

    # QEMU, Open vSwitch

    def wires(self):
        if self.ends is None:
            self.ends = tuple(base.nic_end(device) for device in WIRES)
        for end in self.ends:
            end.forget()
        return self.ends

    def qemu(self, how, suite, *options):
        """The firmware sends a DHCP request over the first NIC; the second NIC is hot-plugged."""
        ends = self.wires()
        machine = Qemu(self.transcript, [*clients.enter(suite), *how.words], options or ('-accel', 'tcg'))
        try:
            seconds = wait_dhcp(ends[0], mac_bytes(MACS[0]))
            machine.plug_and_quit()
        finally:
            machine.kill()
        return f'DHCP by its firmware after {seconds:.0f} s, second NIC plugged'

    def kvm(self, how, suite):
        """KVM is told of each group, by its descriptor. The guest is paused: its firmware and iPXE take interrupts."""
        with clients.KernelCalls(KVM_SET_DEVICE_ATTR) as calls:
            machine = Qemu(self.transcript, [*clients.enter(suite), *how.words], ('-accel', 'kvm', '-S'))
            try:
                check(machine.ask('query-kvm')['enabled'], 'KVM is not used')
                machine.plug_and_quit()
            finally:
                machine.kill()
        check(calls.others == 2, f'KVM got {calls.others} groups, not 2')
        return 'KVM has both groups; second NIC plugged'

    def kvm_runs(self, how, suite):
        """The same guest on KVM."""
        with clients.KernelCalls(KVM_SET_DEVICE_ATTR) as calls:
            outcome = self.translation(how, suite, 'kvm,kernel-irqchip=split')
        check(calls.others == len(EDUS), f'KVM was told of {calls.others} groups')
        return f'KVM has both groups; {outcome}'

    def translation(self, how, suite, accelerator='tcg'):
        """A container for each engine; the guest turns translation on, changes it, and turns it off."""
        done = clients.run(
            self.transcript, *clients.enter(suite), *how.words, 'qemu-system-x86_64', '-M', 'q35', '-accel', accelerator,
            '-m', '64', '-nodefaults', '-no-user-config', '-display', 'none', '-device', 'intel-iommu,caching-mode=on,aw-bits=39',
            *(word for slot, edu in enumerate(EDUS, 4)
              for word in ('-device', f'vfio-pci,host={edu},addr={slot:02x}.0')),
            '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-debugcon', 'stdio', '-kernel', GUEST)
        copied = re.findall(r'^(.*): copied$', done.stdout, re.MULTILINE)
        # isa-debug-exit: status = 2 * (value written by the guest) + 1.
        check(done.returncode == 1 and copied == ['physical', 'translated', 'translated to other pages', 'physical again'],
              done.stdout[-2000:])
        check(how is clients.ALONE or ' 2 containers on ' in clients.said(), 'Gantry counts other containers')
        return 'both copy: physical, translated, changed, physical'

    def linux(self, how, suite):
        """Linux in QEMU drives the NIC with its own driver behind a virtual IOMMU: frames cross the wire, then it ends."""
        guest = LinuxGuest(self.wires()[0])
        start = time.monotonic()
        try:
            done = clients.run(
                self.transcript, *clients.enter(suite), *how.words, 'qemu-system-x86_64', '-M', 'q35',
                '-accel', 'tcg,tb-size=128', '-m', '192', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio',
                '-device', 'intel-iommu,caching-mode=on,aw-bits=39', '-device', f'vfio-pci,host={PORTS[0]},addr=04.0,romfile=',
                *guest.options(), limit=LINUX_LIMIT)
        finally:
            guest.close()
        check(done.returncode == 0 and 'guest: end' in done.stdout, done.stdout[-2000:])
        check(re.search(r'^guest: iommu group type DMA\s*$', done.stdout, re.MULTILINE), done.stdout[-2000:])
        check('guest: 3 packets transmitted, 3 packets received' in done.stdout, done.stdout[-2000:])
        check(guest.came == guest.data, f'{len(guest.came)} bytes came, or other data')
        check(f'guest: {guest.DATA_LENGTH} bytes came back' in done.stdout, done.stdout[-2000:])
        return f'Linux moves {2 * guest.DATA_LENGTH >> 10} KiB, ends after {time.monotonic() - start:.0f} s'

    def ovs(self, how):
        ends = self.wires()
        switch = ovs.Switch(self.transcript, ' '.join(f'-a {port}' for port in PORTS), how.words, ('pmd-cpu-mask=2',))
        # Open vSwitch turns KEEP_CRC on. The NIC of QEMU 7.2 delivers no CRC, so DPDK removes four
        # bytes of the frame instead.
        no_crc = 4
        try:
            switch.start()
            for number, port in enumerate(PORTS):
                switch.add(f'dpdk{number}', port)
            ovs.cross(ends, 1, cut=no_crc)
            switch.remove('dpdk1')
            switch.add('dpdk1', PORTS[1])
            ovs.cross(ends, 1001, cut=no_crc)
            switch.end()
        finally:
            switch.kill()
        return 'frames cross; a port leaves and returns'


def wait_dhcp(end, mac):
    """Waits for a DHCP request from this NIC. Returns the seconds that it took."""
    start = time.monotonic()
    while True:
        left = start + base.GIVE_UP - time.monotonic()
        check(left > 0 and select.select([end.socket], [], [], left)[0], 'the firmware sends nothing')
        data = end.socket.recv(65536)
        # IPv4, UDP from port 68 to 67; a boot request (RFC 951) for this MAC address.
        if data[6:12] == mac and data[12:14] == b'\x08\0' and data[34:38] == b'\0\x44\0\x43':
            check(data[42:43] == b'\x01' and data[70:76] == mac, data.hex())
            return time.monotonic() - start


class Qemu:
    """A QEMU with an assigned NIC, and its monitor."""

    def __init__(self, transcript, before, options):
        command = [*before, 'qemu-system-x86_64', '-M', 'pc', *options, '-m', '64', '-nodefaults', '-no-user-config',
                   '-display', 'none', '-boot', 'n', '-qmp', 'stdio', '-device',
                   f'vfio-pci,host={PORTS[0]},id=nic0,romfile=pxe-e1000e.rom,bootindex=0']
        self.transcript = transcript
        self.transcript.write('\n$ ' + ' '.join(command) + '\n')
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=transcript,
                                        text=True, cwd='/tmp')
        self.ask('qmp_capabilities')

    def ask(self, command, **arguments):
        self.process.stdin.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.process.stdin.flush()
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], base.GIVE_UP)
            line = self.process.stdout.readline() if ready else ''
            self.transcript.write(line)
            check(line, f'QEMU does not answer {command}')
            answer = json.loads(line)
            check('error' not in answer, line)
            if 'return' in answer:
                return answer['return']

    def plug_and_quit(self):
        """Hot-plugs the second NIC, checks that the guest sees both, and ends QEMU."""
        self.ask('device_add', driver='vfio-pci', host=PORTS[1], id='nic1', romfile='')
        check(self.nics() == 2, 'the second NIC is not there')
        self.ask('quit')
        status = self.process.wait(base.GIVE_UP)
        check(status == 0, f'QEMU ends with {status}')

    def nics(self):
        """Returns the number of 82574L NICs that the guest sees."""
        return sum((device['id']['vendor'], device['id']['device']) == (0x8086, 0x10d3)
                   for bus in self.ask('query-pci') for device in bus['devices'])

    def kill(self):
        self.process.kill()
        self.process.wait()


class LinuxGuest:
    """Debian's kernel with an initrd, as a guest of QEMU with an assigned NIC, and the echo server that it talks to."""

    ADDRESS, PEER, PORT = '10.9.0.2', '10.9.0.1', 7
    INITRD = '/run/gantry-guest'
    DATA_LENGTH = 256 << 10
    # No tests of what is emulated, and few messages: the guest is emulated twice.
    APPEND = 'console=ttyS0 intel_iommu=on iommu=nopt quiet panic=-1 mitigations=off nokaslr no_timer_check 8250.nr_uarts=1'

    def __init__(self, end):
        self.data, self.came = os.urandom(self.DATA_LENGTH), b''
        self.pack()
        subprocess.run(['ip', 'addr', 'replace', f'{self.PEER}/24', 'dev', end.name], check=True)
        self.server = socket.create_server((self.PEER, self.PORT))
        threading.Thread(target=self.echo, daemon=True).start()

    def pack(self):
        """The initrd: busybox, the driver, the script, the data."""
        shutil.rmtree(self.INITRD, ignore_errors=True)
        root = f'{self.INITRD}/root'
        os.makedirs(f'{root}/bin')
        shutil.copy(shutil.which('busybox'), f'{root}/bin/busybox')
        shutil.copy(clients.guest_module('e1000e'), f'{root}/e1000e.ko')
        with open(f'{HERE}/linux_guest.sh', encoding='ascii') as file:
            script = file.read()
        for word, value in (('GUEST/', f'{self.ADDRESS}/'), ('PEER', self.PEER), ('PORT', str(self.PORT))):
            script = script.replace(word, value)
        with open(f'{root}/init', 'w', encoding='ascii') as file:
            file.write(script)
        os.chmod(f'{root}/init', 0o755)
        with open(f'{root}/data', 'wb') as file:
            file.write(self.data)
        with open(f'{self.INITRD}/initrd', 'wb') as file:
            subprocess.run('find . | cpio -o -H newc --quiet', shell=True, cwd=root, check=True, stdout=file)

    def echo(self):
        """Sends back what comes, and keeps it."""
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    self.came += data
                    connection.sendall(data)

    def options(self):
        """QEMU's."""
        return ['-kernel', f'{clients.GUEST_KERNEL}/vmlinux', '-initrd', f'{self.INITRD}/initrd', '-append', self.APPEND]

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def run_client(cases, test):
    cases.run(f'vfio-client maps {MANY} pages one by one', test.each_way, 'vfio-client maps', test.many)
    cases.run('vfio-client maps other memory at a mapped IOVA', test.each_way, 'vfio-client twice', test.twice)
    cases.run('vfio-client has two devices', test.each_way, 'vfio-client devices', test.devices, EDU, '0000:00:11.0')
    cases.run('vfio-client uses a page after its unmap', test.stale)
    cases.run('a statically linked DPDK program grows and shrinks', test.each_way, 'dpdk-memory', test.memory)


def run_qemu(cases, test):
    for version, suite in QEMUS:
        cases.run(f'QEMU {version} with two assigned NICs', test.each_way, f'QEMU {version}', test.qemu, suite)


def run_qemu_more(cases, test):
    for version, suite in QEMUS:
        cases.run(f'QEMU {version} has a vIOMMU', test.each_way, f'QEMU {version}, vIOMMU', test.translation, suite)
        cases.run(f'QEMU {version} in its sandbox', test.each_way, f'QEMU {version}, sandbox', test.qemu, suite, *SANDBOX)
        cases.run(f'QEMU {version} has a vIOMMU, with KVM', test.each_way, f'QEMU {version}, KVM, vIOMMU', test.kvm_runs, suite)
        cases.run(f'QEMU {version} with KVM, paused', test.each_way, f'QEMU {version}, KVM', test.kvm, suite)


def run_linux(cases, test):
    """It takes minutes, so each QEMU has one kernel."""
    version, suite = QEMUS[os.path.exists('/dev/iommu')]
    cases.run(f'Linux in QEMU {version} drives an assigned NIC behind a vIOMMU', test.each_way, f'QEMU {version}, vIOMMU, Linux',
              test.linux, suite)


def run_ovs(cases, test):
    cases.run(f'Open vSwitch {ovs.VERSION} with two assigned NICs', test.each_way, f'ovs-vswitchd {ovs.VERSION}', test.ovs)


def run_domains(cases, test):
    devices = os.environ['GANTRY_DEVICES'].split()
    # In mixed-iommu: unchanged; behind another IOMMU of the same kind; up to 2 GiB; cannot forbid
    # no-snoop; a reserved range.
    names = [f'0000:00:{slot}.0' for slot in (10, 12, 13, 17, 18)] if '0000:00:17.0' in devices else [EDU, '0000:00:11.0']
    cases.run('vfio-client has devices of several domains', test.each_way, 'vfio-client devices', test.devices, *names)
    cases.run('vfio-client gets a device of another domain later', test.each_way, 'vfio-client late', test.late, names[0],
              names[-1])
    if len(names) > 2:
        cases.run('vfio-client has a device with no usable IOVA', test.each_way, 'vfio-client devices', test.refused, names[0],
                  '0000:00:19.0')


def run_nvme(cases, test):
    devices = os.environ['GANTRY_DEVICES'].split()
    cases.run('nvme-client has two drives', test.each_way, 'nvme-client', test.nvme, *devices)


SETS = {'client': run_client, 'qemu': run_qemu, 'qemu-more': run_qemu_more, 'linux': run_linux, 'ovs': run_ovs,
        'domains': run_domains, 'nvme': run_nvme}


def main():
    args = clients.parse(__doc__, *SETS, 'all')
    clients.set_up(args.build)
    with open(args.transcript, 'w', encoding='utf-8', buffering=1) as transcript:
        test = Test(transcript, args.alone, args.set in ('domains', 'nvme', 'qemu-more'))
        test.ways = [how for how in test.ways if args.how in how.name]
        cases = clients.Cases('vfio_front', transcript, args.only)
        for name in ('client', 'qemu', 'ovs') if args.set == 'all' else (args.set,):
            SETS[name](cases, test)
    test.table.show()
    return cases.end()


if __name__ == '__main__':
    sys.exit(main())
