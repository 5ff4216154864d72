#!/usr/bin/env python3
"""Measures one direction of a link: loss, duplicates, order and one-way delay of UDP datagrams.

linkprobe.py receive ADDRESS PORT                      says "ready"; ends when the sender has
linkprobe.py send ADDRESS PORT COUNT INTERVAL_MS BYTES

The receiver prints words KEY=NUMBER: received (different ones), duplicates, late (arrived after a
later one), steps (how many had overtaken a late one, at most), and of the delays min_us, median_us
and max_us. Both are on one machine: they have one clock. The kernel says when a datagram arrived.
"""
import socket
import statistics
import struct
import sys
import time

SO_TIMESTAMPNS = 35
HEADER = struct.Struct("!IQ")  # number, time in ns
END = 0xffffffff
QUIET_S = 1


def receive(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((address, port))
    print("ready", flush=True)
    arrivals = []
    while True:
        try:
            data, control, _, _ = sock.recvmsg(2048, 64)
        except socket.timeout:
            break
        number, sent_ns = HEADER.unpack_from(data)
        if number == END:
            sock.settimeout(QUIET_S)
            continue
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        arrivals.append((number, seconds * 10**9 + nanoseconds - sent_ns))
    report(arrivals)


def report(arrivals):
    seen, late, steps, highest = set(), 0, 0, -1
    for number, _ in arrivals:
        if number not in seen and number < highest:
            late += 1
            steps = max(steps, sum(1 for other in seen if other > number))
        seen.add(number)
        highest = max(highest, number)
    delays = [delay // 1000 for _, delay in arrivals] or [0]
    print(f"received={len(seen)} duplicates={len(arrivals) - len(seen)} late={late} steps={steps} "
          f"min_us={min(delays)} median_us={int(statistics.median(delays))} max_us={max(delays)}")


def send(address, port, count, interval_s, size):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    padding = bytes(size - HEADER.size)
    start = time.monotonic()
    for number in range(count):
        wait = start + number * interval_s - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        sock.send(HEADER.pack(number, time.time_ns()) + padding)
    for _ in range(20):
        time.sleep(0.01)
        sock.send(HEADER.pack(END, 0))


if sys.argv[1] == "receive":
    receive(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]) / 1000,
         int(sys.argv[6]))
