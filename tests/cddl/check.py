#!/usr/bin/env python3
"""Holds encoders to docs/icetun.cddl: check.py CDDL DIRECTORY

Each file RULE.FORM.cbor (token.FORM.txt: a token) has to match its rule and to be in deterministic
encoding as cbor2 sees it. So that this means something, each of its parts is also damaged, one at a
time, and then it must not match. Every rule that `start` names needs a minimal and a full file.
"""
import base64
import hashlib
import os
import sys

try:
    import cbor2
except ImportError:
    print("python3-cbor2 is not installed")
    sys.exit(77)

from cddl import Mismatch, Schema


def token_bytes(text):
    """The map inside a token; its checksum is computed here anew."""
    prefix, data = text.split(".")
    assert prefix == "icetun1", text
    data = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    assert hashlib.blake2b(data[:-4]).digest()[:4] == data[-4:], "checksum of the token"
    return data[:-4]


def load(path):
    with open(path, "rb") as f:
        data = f.read()
    return token_bytes(data.decode("ascii")) if path.endswith(".txt") else data


def is_deterministic(data):
    value = cbor2.loads(data)
    if cbor2.dumps(value, canonical=True) != data:
        return False
    # Signed claims are CBOR inside a byte string.
    return not isinstance(value, cbor2.CBORTag) or is_deterministic(value.value[2])


def places(value, path=()):
    """The paths to all parts of a value. "claims" steps into a signed byte string."""
    yield path
    if isinstance(value, cbor2.CBORTag):
        for i in range(len(value.value)):
            yield path + (i,)
        for p in places(cbor2.loads(value.value[2]), path + ("claims",)):
            yield p
    elif isinstance(value, dict):
        for k in value:
            yield from places(value[k], path + (k,))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from places(v, path + (i,))


def changed(value, path, change):
    """A copy with change(container, key) done at @path."""
    value = cbor2.loads(cbor2.dumps(value))
    if isinstance(value, cbor2.CBORTag):
        if path[0] == "claims":
            claims = cbor2.loads(value.value[2])
            value.value[2] = cbor2.dumps(changed(claims, path[1:], change), canonical=True)
        else:
            change(value.value, path[0])
        return value
    at = value
    for step in path[:-1]:
        at = at[step]
    if path:
        change(at, path[-1])
        return value
    return None


def put_null(container, key):
    container[key] = None


def remove(container, key):
    del container[key]


def add_text_key(container, key):
    if isinstance(container, dict):
        container["x"] = 0
    else:
        container.append(None)


def must_fail(schema, rule, value, what):
    try:
        schema.check(rule, value)
    except Mismatch:
        return
    sys.exit("%s matches although %s" % (rule, what))


def check_damage(schema, rule, value, minimal):
    """Return: how many damaged copies were refused."""
    count = 0
    for path in places(value):
        if path in ((), ("claims",)):
            continue
        must_fail(schema, rule, changed(value, path, put_null), "%s is null" % (path,))
        must_fail(schema, rule, changed(value, path, add_text_key), "something is beside %s" % (path,))
        count += 2
        # In a minimal map everything is needed; elements of arrays may be fewer.
        if minimal and isinstance(path[-1], int) and not within_array(value, path):
            must_fail(schema, rule, changed(value, path, remove), "%s is missing" % (path,))
            count += 1
    return count


def within_array(value, path):
    for step in path[:-1]:
        if isinstance(value, cbor2.CBORTag):
            value = cbor2.loads(value.value[2])
        else:
            value = value[step]
    return isinstance(value, list)


def main():
    with open(sys.argv[1], encoding="ascii") as f:
        schema = Schema(f.read())
    directory = sys.argv[2]
    wanted = {(r, form) for r in schema.alternatives("start") for form in ("minimal", "full")}
    damaged = 0
    for name in sorted(os.listdir(directory)):
        rule, form, _ = name.split(".")
        data = load(os.path.join(directory, name))
        value = cbor2.loads(data)
        try:
            schema.check(rule, value)
        except Mismatch as e:
            sys.exit("%s does not match: %s" % (name, e))
        if not is_deterministic(data):
            sys.exit("%s is not in deterministic encoding" % name)
        damaged += check_damage(schema, rule, value, form == "minimal")
        wanted.discard((rule, form))
    if wanted:
        sys.exit("no sample of %s" % sorted(wanted))
    print("%d rules, %d samples match, %d damaged ones do not" %
          (len(schema.rules), len(os.listdir(directory)), damaged))


main()
