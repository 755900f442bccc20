#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Reads ports of gantry-l2fwd by DPDK's telemetry without pause, as exporters of metrics do.

usage: l2fwd_poll.py PREFIX POLLERS [COMMAND...]

Called by test_l2fwd.sh. PREFIX is the program's --file-prefix. Each poller has a connection of its
own and asks for statistics and state of ports 0 and 1. Meanwhile the telemetry COMMANDs are carried
out one after the other; without any, the pollers go on until the program ends. Exit status: 0 if
each command succeeded, each poller got answers with contents, and none lost its connection while a
command was carried out.

The telemetry of DPDK 22.11 splits a command by strtok(3), which is not safe among threads: at times
a command comes without its parameters. So what fails is asked once more.
"""
import itertools
import json
import socket
import sys
import threading

TELEMETRY = '/var/run/dpdk/%s/dpdk_telemetry.v2'
READS = [f'/ethdev/{what},{port}' for what in ('stats', 'xstats', 'stats', 'info') for port in (1, 0, 1)]


class Client:
    """A connection to the program's telemetry."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(TELEMETRY % sys.argv[1])
        self.length = json.loads(self.socket.recv(1024))['max_output_len']

    def ask_again(self, command, failed):
        """As ask(); asks a second time if failed(answer)."""
        answer = self.ask(command)
        return self.ask(command) if failed(answer) else answer

    def ask(self, command):
        """Returns the answer as text; '' if the program has closed the connection."""
        self.socket.send(command.encode())
        return self.socket.recv(self.length).decode()


class Count:
    """What a poller has got."""

    def __init__(self):
        self.answers = self.empty = 0
        self.gone = False

    def __str__(self):
        return f'{self.answers} and {self.empty} empty'


def is_empty(answer):
    """Whether an answer has no contents, as of a port that is half removed."""
    return answer.endswith(':null}')


def lost_parameters(answer):
    """Whether a command came without its parameters."""
    return 'invalid parameters' in answer


def poll(client, stop, count):
    """Asks until `stop` is set or the program has gone."""
    try:
        for read in itertools.cycle(READS):
            if stop.is_set():
                return
            answer = client.ask_again(read, is_empty)
            if not answer:
                break
            count.answers += 1
            count.empty += is_empty(answer)
    except OSError:
        pass
    count.gone = True


def main():
    commands, stop = sys.argv[3:], threading.Event()
    counts = [Count() for _ in range(int(sys.argv[2]))]
    pollers = [threading.Thread(target=poll, args=(Client(), stop, count)) for count in counts]
    for poller in pollers:
        poller.start()
    client, failed = Client(), 0
    print('polling', flush=True)
    try:
        for command in commands:
            answer = client.ask_again(command, lost_parameters)
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
    print(f'{len(commands)} commands, {failed} failed; answers by poller:', *counts, sep=', ')
    good = all(count.answers > 0 and count.empty == 0 and count.gone == (not commands) for count in counts)
    sys.exit(0 if failed == 0 and good else 1)


main()
