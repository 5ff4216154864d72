#!/usr/bin/env python3
"""UDP datagrams that show whether each one arrived as it was sent.

datagrams.py receive ADDRESS PORT          prints "ready", then COUNT DUPLICATES, after the last one
datagrams.py send ADDRESS PORT COUNT       prints COUNT

Lengths are all there are up to MAX_BYTES, in no order; now and then comes a burst of one length that
the kernel gets in one piece (UDP_SEGMENT), with a shorter one at its end. Each datagram holds its
number, its length and a hash of its bytes. The receiver ends with status 1 at the first one that is not
as it was sent. What is lost is not its business; 100 ms after the last that is sent comes the end.
"""
import hashlib
import random
import socket
import struct
import sys
import time

MAX_BYTES = 1200
HEAD = struct.Struct("!IH16s")
END = b"the end"
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
TIMEOUT_S = 30


def make(number, length, source):
    payload = source.randbytes(length - HEAD.size)
    digest = hashlib.sha256(struct.pack("!IH", number, length) + payload).digest()[:16]
    return HEAD.pack(number, length, digest) + payload


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send(address, port, count):
    source = random.Random(3)
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.connect((address, port))
        number = 0
        while number < count:
            if source.random() < 0.1:
                length, burst = source.randrange(HEAD.size, MAX_BYTES), source.randrange(2, 40)
                burst = min(burst, 60000 // length)
                train = [make(number + i, length, source) for i in range(burst)]
                train.append(make(number + burst, source.randrange(HEAD.size, length + 1), source))
                s.sendmsg([b"".join(train)], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", length))])
                number += burst + 1
            else:
                s.send(make(number, source.randrange(HEAD.size, MAX_BYTES), source))
                number += 1
            time.sleep(0.0005)
        try:
            for _ in range(50):
                time.sleep(0.1)
                s.send(END)
        except ConnectionRefusedError:
            pass  # it has heard it
    print(number, flush=True)


def receive(address, port):
    seen, duplicates = set(), 0
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.bind((address, port))
        s.settimeout(TIMEOUT_S)
        print("ready", flush=True)
        while (data := s.recv(65536)) != END:
            number, length, digest = HEAD.unpack_from(data)
            expected = hashlib.sha256(struct.pack("!IH", number, len(data)) + data[HEAD.size:])
            if length != len(data) or digest != expected.digest()[:16]:
                sys.exit(f"datagram {number}: {len(data)} bytes, sent with {length}")
            duplicates += number in seen
            seen.add(number)
    print(len(seen), duplicates, flush=True)


if sys.argv[1] == "receive":
    receive(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
