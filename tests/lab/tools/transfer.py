#!/usr/bin/env python3
"""A TCP transfer that shows whether every byte arrived.

transfer.py receive ADDRESS PORT                  prints "ready", then BYTES SHA-256 SECONDS
transfer.py send ADDRESS PORT BYTES [MARK [FILE]] prints BYTES SHA-256 SECONDS

What is sent is different from block to block and the same from run to run; MARK stands at the head
of each block, for a capture to look for. With FILE it prints "half" when it has sent half of them, and waits
until there is such a file.
"""
import hashlib
import os
import random
import socket
import sys
import time

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 120


def report(count, digest, start):
    print(count, digest.hexdigest(), f"{time.monotonic() - start:.3f}", flush=True)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(address, port):
    with socket.create_server((address, port), family=family_of(address)) as server:
        server.settimeout(TIMEOUT_S)
        print("ready", flush=True)
        with server.accept()[0] as peer:
            peer.settimeout(TIMEOUT_S)
            count, digest, start = 0, hashlib.sha256(), time.monotonic()
            while data := peer.recv(BLOCK_BYTES):
                digest.update(data)
                count += len(data)
            report(count, digest, start)


def wait_for(path):
    print("half", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)


def send(address, port, count, mark="", path=None):
    block = random.Random(1).randbytes(BLOCK_BYTES)
    digest, start = hashlib.sha256(), time.monotonic()
    with socket.create_connection((address, port), TIMEOUT_S) as peer:
        for number, at in enumerate(range(0, count, BLOCK_BYTES)):
            data = (b"%s %d " % (mark.encode(), number) + block)[:min(BLOCK_BYTES, count - at)]
            digest.update(data)
            peer.sendall(data)
            if path and at < count // 2 <= at + BLOCK_BYTES:
                wait_for(path)
    report(count, digest, start)


if sys.argv[1] == "receive":
    receive(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
