#!/usr/bin/env python3
"""Finds out what kind of NAT stands between a client and a server, in the words of RFC 4787.

natprobe.py serve ADDRESS ADDRESS     on the public side, with two addresses of that host
natprobe.py ask ADDRESS ADDRESS PORT  behind the NAT, from source port PORT and the one above it;
                                      prints MAPPING FILTERING PORT, say "EI APD 40000"
natprobe.py hairpin ADDRESS PORT      behind the NAT: can a host inside reach another one by the
                                      public address of that? prints yes or no

Mapping: does the public port depend on the destination? Filtering: who may answer? EI is for
endpoint-independent, AD for address-dependent, APD for address-and-port-dependent.
"""
import select
import socket
import sys

PORTS = (34780, 34790)
WAIT_S = 0.3


def udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
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
            address, port = sock.getsockname()[:2]
            if wish == b"other port":
                port = other[port]
            elif wish == b"other address":
                address = other[address]
            sockets[address, port].sendto(b"%s %d" % (source[0].encode(), source[1]), source)


def any_like(address):
    return "::" if ":" in address else ""


def ask_one(sock, target, wish):
    """Return: the public (address, port) of the socket, None without an answer."""
    for _ in range(2):
        sock.sendto(wish, target)
        if select.select([sock], [], [], WAIT_S)[0]:
            address, port = sock.recv(64).split()
            return address.decode(), int(port)
    return None


def ask(addresses, port):
    sock = udp(any_like(addresses[0]), port)
    targets = ((addresses[0], PORTS[0]), (addresses[0], PORTS[1]), (addresses[1], PORTS[0]))
    first, second, third = (ask_one(sock, target, b"same") for target in targets)
    if not first:
        print("none none 0")
        return
    mapping = "EI" if first == second == third else "AD" if first == second else "APD"

    sock = udp(any_like(addresses[0]), port + 1)
    filtering = "APD"
    if ask_one(sock, targets[0], b"other port"):
        filtering = "EI" if ask_one(sock, targets[0], b"other address") else "AD"
    print(mapping, filtering, first[1])


def hairpin(address, port):
    inside, other = udp(any_like(address), port), udp(any_like(address), port + 1)
    public = ask_one(inside, (address, PORTS[0]), b"same")
    if public:
        other.sendto(b"hairpin", public)
    print("yes" if select.select([inside], [], [], WAIT_S)[0] else "no")


if sys.argv[1] == "serve":
    serve(sys.argv[2:4])
elif sys.argv[1] == "hairpin":
    hairpin(sys.argv[2], int(sys.argv[3]))
else:
    ask(sys.argv[2:4], int(sys.argv[4]))
