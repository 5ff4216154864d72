#!/usr/bin/env python3
"""Datagrams with numbers, 1,000 a second both ways, and what became of them.

counted.py run ADDRESS PEER PORT FILE [RATE]      prints "ready"; ends with SIGTERM
counted.py report A B [MARKS]                     prints a table; see below
counted.py points A B FROM TO                     prints SECONDS WAY KIND, for a plot

Both ends run at the same time on one machine, so that they have one clock. When told to end they stop
sending, go on receiving for a second, and write to FILE what they sent and got, with times. Sending
keeps its pace: who was late sends what was due. The times of arrival are the kernel's.

`report` compares the files of both ends. MARKS has lines with the time of an event (microseconds of the
clock, as in bash ${EPOCHREALTIME/[.,]/}) and a name. For each mark, and without marks for all of the
time, one line:

    NAME sent N lost N duplicated N reordered N gap_us N resumed_us N lost_us N

They are about what was sent from that mark to the next. gap_us is the longest time in which one of the two
ways carried nothing, less what the sender itself has paused; resumed_us how long after the mark the later of
the two ways first carried something that was sent after it, lost_us how long after it the first that was lost
was sent; -1 if never.
"""
import array
import bisect
import select
import signal
import socket
import struct
import sys
import time

RATE = 1000
LINGER_S = 1.0
HEAD = struct.Struct("!Q")
PAYLOAD = HEAD.size + 92
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")


def now_us():
    return time.time_ns() // 1000


class Log:
    """What one end sent, by number, and what it got, in order of arrival."""

    def __init__(self):
        self.sent_us = array.array("q")
        self.numbers, self.got_us = array.array("q"), array.array("q")

    def write(self, path):
        with open(path, "wb") as f:
            for a in (self.sent_us, self.numbers, self.got_us):
                f.write(HEAD.pack(len(a)))
                a.tofile(f)

    @classmethod
    def read(cls, path):
        log = cls()
        with open(path, "rb") as f:
            for a in (log.sent_us, log.numbers, log.got_us):
                a.fromfile(f, HEAD.unpack(f.read(HEAD.size))[0])
        return log


def arrival_us(ancillary):
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return seconds * 1000000 + nanoseconds // 1000
    return now_us()


def receive_all(s, log):
    while True:
        try:
            data, ancillary, _, _ = s.recvmsg(2048, 64)
        except BlockingIOError:
            return
        except OSError:
            continue  # the system's word about what we sent
        log.numbers.append(HEAD.unpack_from(data)[0])
        log.got_us.append(arrival_us(ancillary))


def send_due(s, log, start_us, rate, peer):
    due = (now_us() - start_us) * rate // 1000000
    while len(log.sent_us) < due:
        log.sent_us.append(now_us())
        try:
            s.sendto(HEAD.pack(len(log.sent_us) - 1).ljust(PAYLOAD, b"."), peer)
        except OSError:
            pass  # lost, then


def run(address, peer, port, path, rate):
    log, ending = Log(), []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(time.monotonic() + LINGER_S))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.bind((address, port))
        s.setblocking(False)
        print("ready", flush=True)
        start_us = now_us()
        while not ending or time.monotonic() < ending[0]:
            if not ending:
                send_due(s, log, start_us, rate, (peer, port))
            select.select([s], [], [], 0.5 / rate)
            receive_all(s, log)
    log.write(path)


class Way:
    """One direction: what `sender` sent and `receiver` got."""

    def __init__(self, sender, receiver):
        self.sent_us, self.numbers, self.got_us = sender.sent_us, receiver.numbers, receiver.got_us
        self.first_us = array.array("q", [-1] * len(self.sent_us))
        self.copies = array.array("i", [0] * len(self.sent_us))
        self.late = set()
        highest = -1
        for number, us in zip(self.numbers, self.got_us):
            self.copies[number] += 1
            if self.first_us[number] < 0:
                self.first_us[number] = us
            if number < highest:
                self.late.add(number)
            highest = max(highest, number)

    def range(self, from_us, to_us):
        return (bisect.bisect_left(self.sent_us, from_us), bisect.bisect_left(self.sent_us, to_us))

    def pause_us(self, a, b):
        """How much longer than it should the sender has paused between two of its datagrams."""
        sent = self.sent_us[min(a, b):max(a, b) + 1]
        return max(0, max((y - x for x, y in zip(sent, sent[1:])), default=0) - 1000000 // RATE)

    def gap_us(self, from_us, to_us):
        """The longest time in which nothing came of what was on its way."""
        begin, end = self.range(from_us, to_us)
        got = sorted((self.first_us[n], n) for n in range(begin, end) if self.first_us[n] >= 0)
        if not got:
            return -1
        longest = got[0][0] - from_us - self.pause_us(max(0, begin - 1), got[0][1])
        for (a_us, a), (b_us, b) in zip(got, got[1:]):
            if b_us - a_us > longest:
                longest = max(longest, b_us - a_us - self.pause_us(a, b))
        return longest

    def resumed_us(self, from_us, to_us):
        begin, end = self.range(from_us, to_us)
        got = [us for us in self.first_us[begin:end] if us >= 0]
        return min(got) - from_us if got else -1


    def lost_us(self, from_us, to_us):
        begin, end = self.range(from_us, to_us)
        return next((self.sent_us[n] - from_us for n in range(begin, end) if not self.copies[n]), -1)


def worst(values):
    return -1 if -1 in values else max(values)


def describe(name, ways, from_us, to_us):
    spans = [(way, *way.range(from_us, to_us)) for way in ways]
    lost_us = [us for way in ways if (us := way.lost_us(from_us, to_us)) >= 0]
    print(name,
          "sent", sum(end - begin for _, begin, end in spans),
          "lost", sum(way.copies[begin:end].count(0) for way, begin, end in spans),
          "duplicated", sum(c - 1 for way, begin, end in spans for c in way.copies[begin:end] if c),
          "reordered", sum(begin <= n < end for way, begin, end in spans for n in way.late),
          "gap_us", worst([way.gap_us(from_us, to_us) for way in ways]),
          "resumed_us", worst([way.resumed_us(from_us, to_us) for way in ways]),
          "lost_us", min(lost_us, default=-1))


def read_ways(a, b):
    a, b = Log.read(a), Log.read(b)
    return Way(a, b), Way(b, a)


def report(a, b, marks_path):
    ways = read_ways(a, b)
    begin = min(way.sent_us[0] for way in ways)
    end = max(way.sent_us[-1] for way in ways) + 1
    marks = [(begin, "all")]
    if marks_path:
        with open(marks_path, encoding="ascii") as f:
            marks = [(int(us), name) for us, name in (line.split() for line in f)]
    for (us, name), (next_us, _) in zip(marks, marks[1:] + [(end, "")]):
        describe(name, ways, us, next_us)


def points(a, b, from_us, to_us):
    for name, way in zip(("there", "back"), read_ways(a, b)):
        begin, end = way.range(from_us, to_us)
        for n in range(begin, end):
            kind = "got" if way.first_us[n] >= 0 else "lost"
            us = way.first_us[n] if kind == "got" else way.sent_us[n]
            print(f"{(us - from_us) / 1e6:.6f}", f"{(way.sent_us[n] - from_us) / 1e6:.6f}", name, kind)


def main(argv):
    if argv[0] == "run":
        run(argv[1], argv[2], int(argv[3]), argv[4], int(argv[5]) if len(argv) > 5 else RATE)
    elif argv[0] == "report":
        report(argv[1], argv[2], argv[3] if len(argv) > 3 else "")
    else:
        points(argv[1], argv[2], int(argv[3]), int(argv[4]))


main(sys.argv[1:])
