#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Reads ports of gantry-l2fwd by DPDK's telemetry without pause, as exporters of metrics do.

usage: l2fwd_poll.py PREFIX POLLERS [COMMAND...]

Called by test_l2fwd.sh. PREFIX is the program's --file-prefix. Each poller has a connection of its
own and asks for statistics and state of ports 0 and 1. Meanwhile the telemetry COMMANDs are carried
out one after the other; without any, the pollers go on until the program ends. Exit status: 0 if
each command succeeded, each poller got answers, and none lost its connection while a command was
carried out.
"""
import itertools
import json
import socket
import sys
import threading

TELEMETRY = '/var/run/dpdk/%s/dpdk_telemetry.v2'
READS = [f'/ethdev/{what},{port}' for what in ('stats', 'xstats', 'link_status', 'info') for port in (0, 1)]


class Client:
    """A connection to the program's telemetry."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(TELEMETRY % sys.argv[1])
        self.length = json.loads(self.socket.recv(1024))['max_output_len']

    def ask(self, command):
        """Returns the answer as text; '' if the program has closed the connection."""
        self.socket.send(command.encode())
        return self.socket.recv(self.length).decode()


def poll(client, stop, counts):
    """Asks until `stop` is set; appends the number of answers, negative if the program went."""
    n = 0
    try:
        for read in itertools.cycle(READS):
            if stop.is_set():
                break
            if not client.ask(read):
                n = -n
                break
            n += 1
    except OSError:
        n = -n
    counts.append(n)


def main():
    commands, stop, counts = sys.argv[3:], threading.Event(), []
    pollers = [threading.Thread(target=poll, args=(Client(), stop, counts)) for _ in range(int(sys.argv[2]))]
    for poller in pollers:
        poller.start()
    client, failed = Client(), 0
    print('polling', flush=True)
    try:
        for command in commands:
            answer = client.ask(command)
            if not answer or 'error' in answer:
                print(f'{command}: {answer!r}')
                failed += 1
    except OSError as error:
        print(f'the program has gone: {error}')
        failed += 1
    if commands:
        stop.set()
    for poller in pollers:
        poller.join()
    print(f'{len(commands)} commands, {failed} failed; answers by poller: {counts}')
    answered = all(n > 0 if commands else n < 0 for n in counts)
    sys.exit(0 if failed == 0 and answered and len(counts) == len(pollers) else 1)


main()
