#!/usr/bin/env python3
"""Looks for IP addresses and texts in files and in the memory of processes.

scan.py [--pid PID]... [--file FILE]... THING...

A THING that is an IP address is looked for as text, in network and in host byte order, and as STUN
writes it (XORed with the magic cookie); any other THING as the text it is. Each find is a line,
"THING FORM WHERE". Ends with 0 when nothing was found, 1 when something was, 2 when it could not look.
"""
import argparse
import ipaddress
import os
import sys

STUN_COOKIE = bytes.fromhex("2112a442")
CHUNK_BYTES = 1 << 24
# Reserved address space that is not memory: the shadow of a sanitizer, say.
MAX_REGION_BYTES = 1 << 30


def forms(thing):
    """Yields (name, bytes) for each way in which THING may be written."""
    yield "text", thing.encode()
    try:
        packed = ipaddress.ip_address(thing).packed
    except ValueError:
        return
    yield "network order", packed
    if len(packed) == 4:
        yield "host order", packed[::-1]
        yield "STUN XOR", bytes(a ^ b for a, b in zip(packed, STUN_COOKIE))


def is_whole_text(data, at, length):
    """192.0.2.1 is not in 192.0.2.10."""
    around = data[at - 1:at] + data[at + length:at + length + 1] if at else data[length:length + 1]
    return not any(byte in b"0123456789" for byte in around)


def find(data, patterns):
    for thing, form, pattern in patterns:
        at = data.find(pattern)
        while at >= 0:
            if form != "text" or is_whole_text(data, at, len(pattern)):
                yield thing, form, at
                break
            at = data.find(pattern, at + 1)


def chunks_of_process(pid):
    """Yields (where, bytes) of all readable memory of the process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split(maxsplit=5)
            begin, end = (int(number, 16) for number in span.split("-"))
            name = rest[3].strip() if len(rest) > 3 else "anonymous"
            if "r" not in mode or name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            if end - begin > MAX_REGION_BYTES:
                continue
            for at in range(begin, end, CHUNK_BYTES):
                try:
                    yield name, os.pread(memory.fileno(), min(CHUNK_BYTES, end - at), at)
                except OSError:
                    pass  # a guard page


def chunks_of_file(path):
    with open(path, "rb") as file:
        yield path, file.read()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pid", type=int, action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("things", nargs="+")
    args = parser.parse_args()

    patterns = [(thing, form, pattern)
                for thing in args.things for form, pattern in forms(thing)]
    sources = [chunks_of_process(pid) for pid in args.pid]
    sources += [chunks_of_file(path) for path in args.file]
    found = looked = 0
    for source in sources:
        for where, data in source:
            looked += len(data)
            for thing, form, at in find(data, patterns):
                print(f"{thing} ({form}) in {where} at {at}: {data[max(at - 16, 0):at + 32]!r}")
                found += 1
    if not looked:
        print("nothing could be read", file=sys.stderr)
        return 2
    return 1 if found else 0


try:
    sys.exit(main())
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
