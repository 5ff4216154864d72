#!/usr/bin/env python3
"""The checker itself: what it has to accept and to refuse, by examples after RFC 8610."""
import sys

try:
    import cbor2
except ImportError:
    print("python3-cbor2 is not installed")
    sys.exit(77)

from cddl import Mismatch, Schema

SCHEMA = """
m = { 1: uint, ? 2: tstr, * wild => any }   ; a comment
wild = 3..9
a = [1*2 b, ? bool]
b = bstr .size (1..3)
c = "x" / h'0102' / -5
t = #6.18([uint .lt 4])
e = bstr .cbor m
r = tstr .regexp "[a-c]+"
s = uint .size 2
n = [name: tstr, uint]
"""

GOOD = [
    ("m", {1: 0}), ("m", {1: 5, 2: "x"}), ("m", {1: 0, 3: None, 9: []}),
    ("a", [b"1"]), ("a", [b"1", b"22", True]), ("a", [b"1", False]),
    ("c", "x"), ("c", b"\1\2"), ("c", -5),
    ("t", cbor2.CBORTag(18, [3])), ("e", cbor2.dumps({1: 1})), ("r", "abc"), ("s", 65535),
    ("n", ["x", 1]),
]

BAD = [
    ("m", {}), ("m", {1: -1}), ("m", {1: True}), ("m", {1: 0, 2: 0}), ("m", {1: 0, 10: 0}),
    ("m", {1: 0, "x": 0}), ("m", []), ("m", {3: 0}),
    ("a", []), ("a", [b""]), ("a", [b"1234"]), ("a", [b"1", b"1", b"1"]), ("a", [True]),
    ("a", [b"1", True, True]), ("a", {}),
    ("c", "y"), ("c", -6), ("c", b"\1"),
    ("t", cbor2.CBORTag(17, [3])), ("t", cbor2.CBORTag(18, [4])), ("t", [3]),
    ("e", cbor2.dumps({})), ("e", {1: 1}), ("r", ""), ("r", "abcd"), ("r", "ab\n"), ("s", 65536),
    ("s", -1), ("n", ["x"]), ("n", [1, 1]),
]

WRONG = ["a = b", "a = [", "a = 1 .foo 2", "a = uint a = uint", "uint = int", "a = &x"]


def main():
    schema = Schema(SCHEMA)
    for rule, value in GOOD:
        schema.check(rule, value)
    for rule, value in BAD:
        try:
            schema.check(rule, value)
        except Mismatch:
            continue
        sys.exit("%s accepts %r" % (rule, value))
    for text in WRONG:
        try:
            Schema(text)
        except SyntaxError:
            continue
        sys.exit("accepts the schema %r" % text)
    print("%d accepted, %d refused, %d schemas refused" % (len(GOOD), len(BAD), len(WRONG)))


main()
