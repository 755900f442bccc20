# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Traffic generator of the soak: numbered frames in both directions through the forwarder.

Imported by devtools/soak/watch. The frames cross between two network namespaces. Invariant: at most
WINDOW frames are in flight in each direction, so no queue overflows however slow a process is. So a
frame that does not arrive was lost by the forwarder. Frames lost while a port is restarted, moved
or without a link (begin_excuse() to end_excuse()) are counted separately.
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
WINDOW = 64                     # frames in flight; less than the size of any queue on the way
# Frames in flight count as missing after this time without a frame: where loss is excused, and
# where not. Without an excuse late frames are probably still queued, and new ones could overflow
# the queues. A missing frame that arrives is no longer missing.
SILENCE_S, LOST_S = 0.25, 30
PATIENCE_S = 120                # time-out; a test that reaches it fails
SO_RCVBUFFORCE = 33


def frame(number):
    """Returns the frame of a number: 60 to 1514 bytes, with known contents."""
    return HEADER + NUMBER.pack(number) + FILLER[:38 + number * 37 % 1455]


def socket_in(namespace):
    """Returns a non-blocking packet socket on eth0 of a network namespace."""
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
    """One direction: sends numbered frames, and checks the received ones. Not thread-safe; Traffic
    locks it."""

    def __init__(self, name, source, sink):
        self.name, self.source, self.sink = name, source, sink
        self.sent = self.received = self.strange = 0
        self.next_in = 0            # all frames before this number were received or are missing
        self.last_in = 0            # time of the last received frame
        # [first, last] frame numbers that may be lost; last is None while the excuse lasts.
        self.excuses = []
        self.wanted = None          # the excuse ends when this or a later number is received
        self.missing = {}           # frame number -> whether its loss is excused

    def is_excused(self, number):
        return any(first <= number and (last is None or number <= last) for first, last in self.excuses)

    def miss_until(self, number):
        for one in range(self.next_in, number):
            self.missing[one] = self.is_excused(one)
        self.next_in = number

    def check_frame(self, data):
        """Counts a received frame. Frames that were not sent, or arrive twice, are strange."""
        number = NUMBER.unpack_from(data, AT)[0] if len(data) >= 60 else self.sent
        if number >= self.sent or data != frame(number):
            self.strange += 1
            return
        if number < self.next_in:
            # A late frame is no longer missing. If it is not missing, it is a duplicate.
            self.strange += self.missing.pop(number, None) is None
        else:
            self.miss_until(number)
            self.next_in = number + 1
        self.received += 1
        if self.wanted is not None and number >= self.wanted:
            self.wanted = None
            self.excuses[-1][1] = self.sent - 1

    def receive(self, now):
        """Reads all received frames. After a long silence, marks the frames in flight as missing,
        so that sending goes on."""
        came = self.received
        with contextlib.suppress(BlockingIOError):
            while True:
                self.check_frame(self.sink.recv(2048))
        if came != self.received:
            self.last_in = now
        elif self.next_in < self.sent and now - self.last_in > (SILENCE_S if self.is_excused(self.next_in) else LOST_S):
            self.miss_until(self.sent)
            self.last_in = now

    def send(self):
        """Sends frames until the window is full."""
        with contextlib.suppress(BlockingIOError, OSError):
            while self.sent < self.next_in + WINDOW:
                self.source.send(frame(self.sent))
                self.sent += 1

    def lost(self, excused):
        """Returns the number of missing frames whose loss is excused, or those whose loss is
        not."""
        return sum(one == excused for one in self.missing.values())


class Traffic:
    """Both directions, in a thread; a context manager. Its methods lock the directions."""

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
            time.sleep(0)       # let other threads take the lock

    def wait(self, condition):
        """Waits until condition(direction) holds for both directions. Returns False after
        PATIENCE_S."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not self.ended:
            with self.lock:
                if all(map(condition, self.directions)):
                    return True
            time.sleep(0.01)
        return False

    def crosses(self, frames):
        """Waits until so many more frames are received in each direction. Returns False after
        PATIENCE_S."""
        with self.lock:
            goal = {id(direction): direction.received + frames for direction in self.directions}
        return self.wait(lambda direction: direction.received >= goal[id(direction)])

    def begin_excuse(self):
        """From now on frames may be lost, including those in flight."""
        with self.lock:
            for direction in self.directions:
                direction.excuses = direction.excuses[-8:] + [[direction.next_in, None]]

    def end_excuse(self):
        """Ends the excuse when a frame sent from now on is received. Returns whether that happened
        in both directions."""
        with self.lock:
            for direction in self.directions:
                direction.wanted = direction.sent
        return self.wait(lambda direction: direction.wanted is None)

    def finish(self):
        """Stops sending, and waits for the frames in flight."""
        self.sending = False
        self.wait(lambda direction: direction.next_in == direction.sent)
