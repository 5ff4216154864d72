#!/usr/bin/env python3
"""Finds out what kind of NAT stands between a client and a server, in the words of RFC 4787.

natprobe.py serve ADDRESS ADDRESS     on the public side, with two addresses of that host
natprobe.py ask ADDRESS ADDRESS PORT  behind the NAT, from source port PORT and the one above it;
                                      prints MAPPING FILTERING PORT, say "EI APD 40000"

Mapping: does the public port depend on the destination? Filtering: who may answer? EI is for
endpoint-independent, AD for address-dependent, APD for address-and-port-dependent.
"""
import select
import socket
import sys

PORTS = (34780, 34790)
WAIT_S = 0.3


def udp(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def serve(addresses):
    """A datagram says from where the answer shall come; the answer says where it came from."""
    sockets = {(a, p): udp(a, p) for a in addresses for p in PORTS}
    other = {addresses[0]: addresses[1], addresses[1]: addresses[0],
             PORTS[0]: PORTS[1], PORTS[1]: PORTS[0]}
    print("ready", flush=True)
    while True:
        for sock in select.select(list(sockets.values()), [], [])[0]:
            wish, source = sock.recvfrom(64)
            address, port = sock.getsockname()
            if wish == b"other port":
                port = other[port]
            elif wish == b"other address":
                address = other[address]
            sockets[address, port].sendto(b"%s %d" % (source[0].encode(), source[1]), source)


def ask_one(sock, target, wish):
    """Return: the public (address, port) of the socket, None without an answer."""
    for _ in range(2):
        sock.sendto(wish, target)
        if select.select([sock], [], [], WAIT_S)[0]:
            address, port = sock.recv(64).split()
            return address.decode(), int(port)
    return None


def ask(addresses, port):
    sock = udp("", port)
    targets = ((addresses[0], PORTS[0]), (addresses[0], PORTS[1]), (addresses[1], PORTS[0]))
    first, second, third = (ask_one(sock, target, b"same") for target in targets)
    if not first:
        print("none none 0")
        return
    mapping = "EI" if first == second == third else "AD" if first == second else "APD"

    sock = udp("", port + 1)
    filtering = "APD"
    if ask_one(sock, targets[0], b"other port"):
        filtering = "EI" if ask_one(sock, targets[0], b"other address") else "AD"
    print(mapping, filtering, first[1])


if sys.argv[1] == "serve":
    serve(sys.argv[2:4])
else:
    ask(sys.argv[2:4], int(sys.argv[4]))
