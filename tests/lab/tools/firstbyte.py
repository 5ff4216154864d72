#!/usr/bin/env python3
"""Sends one datagram into the overlay while there is no path yet, and says when the first byte went.

firstbyte.py echo ADDRESS PORT                      answers each datagram; says "ready"
firstbyte.py ask ADDRESS PORT DEVICE               sends one, waits for the answer

"ask" prints two numbers, in microseconds since its datagram entered the TUN device: when the first packet
of the tunnel left on DEVICE, and when the answer was there.
"""
import select
import socket
import struct
import sys
import time

PATIENCE_S = 10
OUTGOING = 4
ETH_P_IP = 0x0800
ETH_P_ALL = 0x0003
FIRST_OF_TUNNEL = 192  # below are STUN and TURN


def echo(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    print("ready", flush=True)
    while True:
        data, sender = sock.recvfrom(2048)
        sock.sendto(data, sender)


def is_of_tunnel(frame):
    """The payload of an IPv4 UDP packet, by its first byte."""
    if len(frame) < 14 + 20 + 8 or frame[23] != socket.IPPROTO_UDP:
        return False
    start = 14 + 4 * (frame[14] & 15) + 8
    return len(frame) > start and frame[start] >= FIRST_OF_TUNNEL


def ask(address, port, device):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((device, ETH_P_ALL))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    start = time.monotonic()
    sock.send(b"first")
    left = None
    while True:
        ready, _, _ = select.select([wire, sock], [], [], start + PATIENCE_S - time.monotonic())
        now = time.monotonic()
        if not ready:
            sys.exit("no answer" if left else "nothing was sent")
        if wire in ready:
            frame, (_, protocol, kind, _, _) = wire.recvfrom(2048)
            if not left and kind == OUTGOING and protocol == ETH_P_IP and is_of_tunnel(frame):
                left = now - start
        if sock in ready:
            break
    print(round((left or 0) * 1e6), round((now - start) * 1e6))


if sys.argv[1] == "echo":
    echo(sys.argv[2], int(sys.argv[3]))
else:
    ask(sys.argv[2], int(sys.argv[3]), sys.argv[4])
