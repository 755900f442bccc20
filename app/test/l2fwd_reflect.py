#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Does a port send everything back while another one moves?

usage: l2fwd_reflect.py INTERFACE COMMAND...

Sends frames out of INTERFACE to a gantry-l2fwd port that is joined with itself, one at a time, and waits for each to come
back, while the telemetry COMMANDs are carried out one after the other. The exit status is 0 if all of them were and
no frame was lost.
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
    """Let each telemetry command come to its end."""
    for command in commands:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(TELEMETRY)
            s.recv(1024)
            s.send(command.encode())
            answers.append(json.loads(s.recv(16384)))


def comes_back(wire, number, seconds):
    """Send a frame and wait for it; older ones that come late are passed over."""
    wire.settimeout(seconds)
    wire.send((HEADER + struct.pack('>I', number)).ljust(60, b'\0'))
    try:
        while struct.unpack_from('>I', wire.recv(2048), len(HEADER))[0] != number:
            pass
    except socket.timeout:
        return False
    return True


def main():
    """Send, and count."""
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
