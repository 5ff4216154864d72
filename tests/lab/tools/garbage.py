#!/usr/bin/env python3
"""Sends what nobody should have to read. The same garbage each time.

garbage.py udp ADDRESS PORT COUNT     datagrams: random, STUN-like, tunnel-like, empty, large
garbage.py tcp ADDRESS PORT COUNT     connections to a ZeroMQ port: random bytes, broken greetings,
                                      the wrong mechanism, silence
garbage.py unix PATH COUNT            connections to a Varlink socket: random bytes, broken JSON,
                                      unknown methods, deep nesting, no end, silence
"""
import random
import socket
import struct
import sys

ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"


def datagram(rnd):
    kind = rnd.randrange(6)
    body = rnd.randbytes(rnd.choice((0, 1, 4, 12, 20, 60, 400, 1400)))
    if kind == 0:
        return body
    if kind == 1:  # STUN with the right cookie and length, attributes at random
        body += bytes(-len(body) % 4)
        return struct.pack("!HHI", rnd.choice((0x001, 0x011, 0x101, 0x111, rnd.randrange(0x4000))),
                           len(body), 0x2112A442) + rnd.randbytes(12) + body
    if kind == 2:  # STUN whose attributes lie about their length
        attributes = b"".join(
            struct.pack("!HH", rnd.choice((6, 8, 9, 0x20, 0x24, 0x25, 0x8028, rnd.randrange(65536))),
                        rnd.choice((0, 3, 4, 8, 20, 65535))) + rnd.randbytes(4) for _ in range(5))
        return struct.pack("!HHI", 0x001, len(attributes), 0x2112A442) + rnd.randbytes(12) + attributes
    if kind == 3:  # our packet
        return b"\xc1\0\0\0" + struct.pack("!IQ", rnd.randrange(8), rnd.randrange(1 << 40)) + body
    if kind == 4:  # TURN channel data
        return struct.pack("!HH", 0x4000 + rnd.randrange(16), rnd.randrange(65536)) + body
    return bytes([rnd.randrange(256)]) + body + bytes(rnd.randrange(40000))


def stream(rnd):
    kind = rnd.randrange(6)
    if kind == 0:
        return rnd.randbytes(rnd.randrange(1, 4000))
    if kind == 1:
        return ZMTP_GREETING[:rnd.randrange(len(ZMTP_GREETING))]
    if kind == 2:
        return ZMTP_GREETING + b"NULL".ljust(20, b"\0") + bytes(32) + rnd.randbytes(100)
    if kind == 3:
        return ZMTP_GREETING + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x04\xc8\x05HELLO" \
            + rnd.randbytes(194)
    if kind == 4:  # a frame that says it has 2^63 bytes
        return ZMTP_GREETING + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x02\x7f" + b"\xff" * 7
    return b""


def request(rnd):
    kind = rnd.randrange(7)
    if kind == 0:
        return rnd.randbytes(rnd.randrange(1, 4000))
    if kind == 1:
        return b"{" * rnd.randrange(1, 2000) + b"\0"
    if kind == 2:
        return b"[" * 60000 + b"]" * 60000 + b"\0"
    if kind == 3:
        return b'{"method":"net.icetun.Control.Explode","parameters":{}}\0'
    if kind == 4:
        return b'{"method":"net.icetun.Control.Join","parameters":{"token":7,"name":[]}}\0'
    if kind == 5:
        return b'{"method":"' + b"x" * 300000
    return b""


def connection(family, address, data, held):
    """Sends @data, and hangs up; or stays, when there is nothing to say."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(2)
    try:
        sock.connect(address)
        sock.sendall(data)
        if not data:
            held.append(sock)
            return
        sock.settimeout(0.01)
        sock.recv(4096)
    except OSError:
        pass  # being hung up on is fine
    if sock not in held:
        sock.close()


def main():
    rnd = random.Random(1)
    kind, count, held = sys.argv[1], int(sys.argv[-1]), []
    if kind == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(count):
            sock.sendto(datagram(rnd), (sys.argv[2], int(sys.argv[3])))
    elif kind == "tcp":
        for _ in range(count):
            connection(socket.AF_INET, (sys.argv[2], int(sys.argv[3])), stream(rnd), held)
    else:
        for _ in range(count):
            connection(socket.AF_UNIX, sys.argv[2], request(rnd), held)


main()
