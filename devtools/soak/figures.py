# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Resource figures for the soak: of a process, its telemetry, the kernel and the whole machine.

Imported by devtools/soak/watch. Each of_...() returns a dictionary from a name to a number or text.
The names are the rows of the tables that watch prints.
"""

import contextlib
import ctypes
import glob
import json
import os
import socket
import struct
import subprocess

RUNTIME = '/var/run/dpdk'
SYS_BPF = 321                   # x86-64
PROG, MAP, LINK = range(3)      # keys of the tables of bpf(2) commands below
NEXT_ID = {PROG: 11, MAP: 12, LINK: 31}
FD_BY_ID = {PROG: 13, MAP: 14, LINK: 30}
INFO_BY_FD = 15
XDP = {PROG: 6, MAP: 17, LINK: 6}       # BPF_PROG_TYPE_XDP, BPF_MAP_TYPE_XSKMAP, BPF_LINK_TYPE_XDP
VFIO_FILES = '/dev/vfio', '/dev/iommu', 'anon_inode:[vfio', 'anon_inode:[iommu'
STATUS = ('VmRSS', 'RssAnon', 'VmData', 'VmPTE', 'VmLck', 'VmPin', 'HugetlbPages', 'Threads')


class Telemetry:
    """A connection to the telemetry socket of a DPDK program; a context manager."""

    def __init__(self, prefix):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(f'{RUNTIME}/{prefix}/dpdk_telemetry.v2')
        self.socket.settimeout(120)
        self.socket.recv(1024)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, command):
        self.socket.send(command.encode())
        return next(iter(json.loads(self.socket.recv(1 << 16)).values()))


def descriptors(pid):
    """Counts descriptors of a process, without epoll's: the EAL's interrupt thread closes its own and
    makes another when interrupts are added or removed."""
    found = 0
    for path in glob.glob(f'/proc/{pid}/fd/*'):
        with contextlib.suppress(OSError):
            found += os.readlink(path) != 'anon_inode:[eventpoll]'
    return found


def of_process(pid):
    """Returns figures of a process from /proc: bytes, or counts."""
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    result = {}
    for key in STATUS:
        number, _, unit = status[key].strip().partition(' ')
        result[key] = int(number) * (1024 if unit == 'kB' else 1)
    result['descriptors'] = descriptors(pid)
    with open(f'/proc/{pid}/maps', 'rb') as file:
        result['lines of maps'] = sum(1 for _ in file)
    return result


def of_account(telemetry):
    """Returns figures from telemetry: memory and mappings of Gantry (sums over containers), heaps
    of the EAL."""
    names = telemetry.ask('/dmamap/containers')
    memory = telemetry.ask('/dmamap/memory')
    result = {'containers': len(names), 'zone bytes': memory['zone_bytes'], 'foreign bytes': memory['foreign_bytes']}
    for key in ('mappings', 'mapped_bytes', 'reservation_bytes', 'quarantined_bytes'):
        result[key.replace('_', ' ')] = 0
    for name in names:
        container = telemetry.ask(f'/dmamap/container,{name}')
        for key in ('mappings', 'mapped_bytes', 'reservation_bytes', 'quarantined_bytes'):
            result[key.replace('_', ' ')] += container[key]
    heaps = [telemetry.ask(f'/eal/heap_info,{number}') for number in telemetry.ask('/eal/heap_list')]
    result['EAL heap pieces'] = sum(heap['Alloc_count'] for heap in heaps)
    result['EAL heap bytes'] = sum(heap['Alloc_size'] for heap in heaps)
    return result


def read_int(path):
    with open(path, encoding='ascii') as file:
        return int(file.read())


def of_kernel():
    """Returns figures of the kernel's memory, for information only: all programs of the machine
    influence them."""
    with open('/proc/meminfo', encoding='ascii') as file:
        info = {key: int(rest.split()[0]) for key, _, rest in (line.partition(':') for line in file)}
    return {'free hugepages': info['HugePages_Free'], 'unreclaimable slab': info['SUnreclaim'] * 1024}


# The whole machine

def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b'\0'), 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, command, buffer, 128)
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def count_bpf(kind):
    """Counts the XDP programs, XSK maps or XDP links of the machine."""
    number = found = 0
    while True:
        result, answer = bpf(NEXT_ID[kind], struct.pack('=II', number, 0))
        if result < 0:
            return found
        number, = struct.unpack_from('=I', answer, 4)
        fd, _ = bpf(FD_BY_ID[kind], struct.pack('=I', number))
        if fd < 0:
            continue
        info = ctypes.create_string_buffer(256)
        if bpf(INFO_BY_FD, struct.pack('=IIQ', fd, 256, ctypes.addressof(info)))[0] >= 0:
            # The first field of each info structure is the type.
            found += struct.unpack_from('=I', info.raw)[0] == XDP[kind]
        os.close(fd)


def count_files(*folders):
    return sum(len(names) for folder in folders for _, _, names in os.walk(folder))


def hugetlbfs():
    with open('/proc/mounts', encoding='utf-8') as file:
        return [line.split()[1] for line in file if line.split()[2] == 'hugetlbfs']


def processes(name):
    found = 0
    for path in glob.glob('/proc/[0-9]*/comm'):
        with contextlib.suppress(OSError), open(path, encoding='utf-8') as file:
            found += file.read().strip() == name
    return found


def vfio_files():
    """Counts open files of VFIO and iommufd, of all processes."""
    found = 0
    for path in glob.glob('/proc/[0-9]*/fd/*'):
        with contextlib.suppress(OSError):
            found += os.readlink(path).startswith(VFIO_FILES)
    return found


def bindings():
    """Returns the driver of each PCI device, as DEVICE=DRIVER words."""
    return ' '.join(f'{os.path.basename(path)}={os.path.basename(os.path.realpath(path + "/driver"))}'
                    for path in sorted(glob.glob('/sys/bus/pci/devices/*')) if os.path.exists(path + '/driver'))


def netdevs(namespace):
    """Returns the netdevs of a namespace (None: this one), each with the settings that a driver may
    change."""
    command = ['ip', *(['-n', namespace] if namespace else []), '-j', '-d', 'link']
    shown = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return ' '.join(f'{one["ifname"]}:{one["mtu"]}:{one.get("address")}:{"UP" in one["flags"]}:{one.get("promiscuity")}:'
                    f'{"xdp" in one}' for one in shown)


def of_machine(namespace):
    """Returns figures that must be unchanged after a program ended or was killed. watch shows a
    text as its number of words."""
    result = {}
    group = os.environ.get('HUGETLB_GROUP')
    if group:   # devtools/demo/lib-hugepages: leaves out the hugepages of other programs
        paths = glob.glob(group + '/hugetlb.*B.current') + glob.glob(group + '/hugetlb.*B.usage_in_bytes')
        result['bytes of hugepages'] = sum(map(read_int, paths))
    for path in () if group else sorted(glob.glob('/sys/kernel/mm/hugepages/*')):
        size = os.path.basename(path)[len('hugepages-'):]
        for key in ('nr', 'free', 'resv', 'surplus'):
            result[f'hugepages of {size}: {key}'] = read_int(f'{path}/{key}_hugepages')
    result['files in hugetlbfs'] = count_files(*hugetlbfs())
    result['files in /dev/shm'] = count_files('/dev/shm')
    result['files of the EAL'] = count_files(RUNTIME)
    result['XDP programs'], result['maps of AF_XDP sockets'], result['XDP links'] = map(count_bpf, (PROG, MAP, LINK))
    result['open files of VFIO'] = vfio_files()
    result['devices bound'] = bindings()
    result['netdevs'] = netdevs(namespace)
    result['processes gantry-l2fwd'] = processes('gantry-l2fwd')
    return result
