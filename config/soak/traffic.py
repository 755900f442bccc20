# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""What crosses the forwarder, and what is lost? Numbered frames in both directions all the time, between two network namespaces.

In each direction a window of frames is on its way, so no queue between the ends overflows, whatever the speed, and whoever waits for
a processor: a frame that does not come is lost. What is lost while somebody does something to a port (see excused()) is counted
apart.
"""

import contextlib
import ctypes
import os
import select
import socket
import struct
import threading
import time

CLONE_NEWNET = 0x40000000
ETHERTYPE = 0x88b5              # IEEE 802, local experiments
HEADER = bytes.fromhex('ffffffffffff' '020000000002') + struct.pack('!H', ETHERTYPE)
AT = len(HEADER)
NUMBER = struct.Struct('!Q')
FILLER = bytes(i * 7 & 0xff for i in range(1514))
WINDOW = 64                     # less than any queue on the way holds
# After so long without a frame the window is opened again: where frames may be lost, and where none may. In the latter case those
# that are late are still on their way, and more of them would be too many for the queues. A frame that comes after all is taken back.
SILENCE_S, LOST_S = 0.25, 30
PATIENCE_S = 120                # a failure, not a measurement
SO_RCVBUFFORCE = 33


def frame(number):
    """The frame of that number: 60 to 1514 bytes, all of them known."""
    return HEADER + NUMBER.pack(number) + FILLER[:38 + number * 37 % 1455]


def socket_in(namespace):
    """A packet socket at eth0 of a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open('/proc/thread-self/ns/net', 'rb') as home, open(f'/run/netns/{namespace}', 'rb') as there:
        for step in (there, home):
            if libc.setns(step.fileno(), CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), f'namespace {namespace}')
            if step is there:
                result = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
                result.bind(('eth0', ETHERTYPE))
    result.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    result.setblocking(False)
    return result


class Direction:
    """Frames from one end to the other, in order."""

    def __init__(self, name, source, sink):
        self.name, self.source, self.sink = name, source, sink
        self.sent = self.received = self.strange = 0
        self.next_in = 0            # all before it have come, or are missing
        self.last_in = 0            # when something came last
        self.excuses = []           # [first, last] numbers that may be lost; last None: not over yet
        self.wanted = None          # the excuse is over once this number, or a later one, has come
        self.missing = {}           # number: is it excused?

    def is_excused(self, number):
        return any(first <= number and (last is None or number <= last) for first, last in self.excuses)

    def miss_until(self, number):
        for one in range(self.next_in, number):
            self.missing[one] = self.is_excused(one)
        self.next_in = number

    def take(self, data):
        """A frame has come."""
        number = NUMBER.unpack_from(data, AT)[0] if len(data) >= 60 else self.sent
        if number >= self.sent or data != frame(number):
            self.strange += 1
            return
        if number < self.next_in:
            # Late is not lost; twice is strange.
            self.strange += self.missing.pop(number, None) is None
        else:
            self.miss_until(number)
            self.next_in = number + 1
        self.received += 1
        if self.wanted is not None and number >= self.wanted:
            self.wanted = None
            self.excuses[-1][1] = self.sent - 1

    def receive(self, now):
        """Whatever has come; then the window, if nothing has come for long."""
        came = self.received
        with contextlib.suppress(BlockingIOError):
            while True:
                self.take(self.sink.recv(2048))
        if came != self.received:
            self.last_in = now
        elif self.next_in < self.sent and now - self.last_in > (SILENCE_S if self.is_excused(self.next_in) else LOST_S):
            self.miss_until(self.sent)
            self.last_in = now

    def send(self):
        """As many as the window lets."""
        with contextlib.suppress(BlockingIOError, OSError):
            while self.sent < self.next_in + WINDOW:
                self.source.send(frame(self.sent))
                self.sent += 1

    def lost(self, excused):
        return sum(one == excused for one in self.missing.values())


class Traffic:
    """Both directions, in a thread of its own; to be used in a with statement."""

    def __init__(self, left, right):
        self.ends = socket_in(left), socket_in(right)
        self.directions = Direction('left to right', *self.ends), Direction('right to left', *reversed(self.ends))
        self.lock = threading.Lock()
        self.sending, self.ended = True, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        for end in self.ends:
            end.close()

    def run(self):
        while not self.ended:
            select.select(self.ends, [], [], SILENCE_S)
            with self.lock:
                for direction in self.directions:
                    direction.receive(time.monotonic())
                    if self.sending:
                        direction.send()
            time.sleep(0)       # the lock is for others too

    def wait(self, condition):
        """Until condition(direction) holds for both directions. Returns whether it did before patience was over."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not self.ended:
            with self.lock:
                if all(map(condition, self.directions)):
                    return True
            time.sleep(0.01)
        return False

    def crosses(self, frames):
        """Do so many more frames come, in each direction?"""
        with self.lock:
            goal = {id(direction): direction.received + frames for direction in self.directions}
        return self.wait(lambda direction: direction.received >= goal[id(direction)])

    def begin_excuse(self):
        """From now on frames may be lost, and those that are on their way."""
        with self.lock:
            for direction in self.directions:
                direction.excuses = direction.excuses[-8:] + [[direction.next_in, None]]

    def end_excuse(self):
        """No more, once one that is sent from now on has come. Returns whether that happened, in each direction."""
        with self.lock:
            for direction in self.directions:
                direction.wanted = direction.sent
        return self.wait(lambda direction: direction.wanted is None)

    def finish(self):
        """Sends no more, and waits for what is on its way."""
        self.sending = False
        self.wait(lambda direction: direction.next_in == direction.sent)
