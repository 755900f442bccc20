#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests that a port of gantry-l2fwd loses no frame while another port moves to another container.

usage: l2fwd_reflect.py INTERFACE COMMAND...

Called by test_l2fwd.sh. Sends frames from INTERFACE to a port that forwards to itself, one at a
time, and waits for each to return. At the same time it sends the telemetry COMMANDs one after the
other. Exit status: 0 if all succeeded and no frame was lost.
"""
import json
import socket
import struct
import sys
import threading

TELEMETRY = '/var/run/dpdk/rte/dpdk_telemetry.v2'
ETHERTYPE = 0x88b5  # for local experiments (IEEE 802)
HEADER = bytes.fromhex('020000000001' '020000000002') + struct.pack('>H', ETHERTYPE)
TRIES = 60


def carry_out(commands, answers):
    """Sends telemetry commands, and appends each answer."""
    for command in commands:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(TELEMETRY)
            s.recv(1024)
            s.send(command.encode())
            answers.append(json.loads(s.recv(16384)))


def comes_back(wire, number, seconds):
    """Sends a frame and waits until it returns; skips older frames. Returns False after
    `seconds`."""
    wire.settimeout(seconds)
    wire.send((HEADER + struct.pack('>I', number)).ljust(60, b'\0'))
    try:
        while struct.unpack_from('>I', wire.recv(2048), len(HEADER))[0] != number:
            pass
    except socket.timeout:
        return False
    return True


def main():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    wire.bind((sys.argv[1], ETHERTYPE))
    if not any(comes_back(wire, number, 1) for number in range(TRIES)):
        sys.exit('no frame comes back')

    answers, sent, lost = [], 0, 0
    mover = threading.Thread(target=carry_out, args=(sys.argv[2:], answers))
    mover.start()
    while mover.is_alive():
        sent += 1
        lost += not comes_back(wire, TRIES + sent, 5)
    mover.join()
    print(f'{sent} frames sent meanwhile, {lost} lost; {answers}')
    done = len(answers) == len(sys.argv) - 2 and not any('error' in str(a) for a in answers)
    sys.exit(0 if done and sent > 0 and lost == 0 else 1)


main()
