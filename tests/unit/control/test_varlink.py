#!/usr/bin/env python3
"""Holds the control server to docs/icetun.varlink.

Parses the interface file, calls each of its methods on the real server (with scripted answers) and
checks every reply against the declared types: no field too many, none missing, no value of another
type, no name outside of an enumeration. Then the same for each declared error. Only the standard
library is used.
"""
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../support"))
from fake_daemon import FakeDaemon  # noqa: E402

FAKE, INTERFACE_FILE = sys.argv[1:3]
INTERFACE = "net.icetun.Control"


class Interface:
    """A Varlink interface (varlink.org/Interface-Definition): types, methods and errors by name."""

    def __init__(self, text):
        text = re.sub(r"#.*", "", text)
        self.tokens = re.findall(r"[A-Za-z_][A-Za-z0-9_.]*|->|\[\]|[?():,]|\S", text)
        self.types, self.methods, self.errors = {}, {}, {}
        self.expect("interface")
        self.name = self.take()
        while self.tokens:
            self.declaration()

    def take(self):
        return self.tokens.pop(0)

    def expect(self, token):
        got = self.take()
        assert got == token, f"expected {token}, got {got}"

    def declaration(self):
        keyword, name = self.take(), self.take()
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", name), name
        assert name not in {**self.types, **self.methods, **self.errors}, f"{name} twice"
        if keyword == "type":
            self.types[name] = self.group()
        elif keyword == "error":
            self.errors[name] = self.group()
        elif keyword == "method":
            parameters = self.group()
            self.expect("->")
            self.methods[name] = (parameters, self.group())
        else:
            raise AssertionError(f"unknown keyword {keyword}")

    def group(self):
        """( name: type, ... ) -> ("struct", {...});  (a, b) -> ("enum", [...])"""
        self.expect("(")
        fields, names = {}, []
        while self.tokens[0] != ")":
            name = self.take()
            assert re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", name), name
            if self.tokens[0] == ":":
                self.take()
                fields[name] = self.type()
            else:
                names.append(name)
            if self.tokens[0] == ",":
                self.take()
        self.take()
        assert not (fields and names)
        return ("enum", names) if names else ("struct", fields)

    def type(self):
        token = self.tokens[0]
        if token == "(":
            return self.group()
        self.take()
        if token == "?":
            return ("maybe", self.type())
        if token == "[]":
            return ("array", self.type())
        return ("name", token)

    def check(self, value, kind, where):
        what, inner = kind
        if what == "maybe":
            if value is not None:
                self.check(value, inner, where)
        elif what == "array":
            assert isinstance(value, list), f"{where}: no array"
            for i, item in enumerate(value):
                self.check(item, inner, f"{where}[{i}]")
        elif what == "enum":
            assert value in inner, f"{where}: {value!r} is none of {inner}"
        elif what == "struct":
            assert isinstance(value, dict), f"{where}: no object"
            for name in value:
                assert name in inner, f"{where}.{name} is not declared"
            for name, field in inner.items():
                assert name in value or field[0] == "maybe", f"{where}.{name} is missing"
                self.check(value.get(name), field, f"{where}.{name}")
        elif inner in ("string", "int", "bool", "float"):
            python = {"string": str, "int": int, "bool": bool, "float": float}[inner]
            assert type(value) is python, f"{where}: {value!r} is no {inner}"
        else:
            self.check(value, self.types[inner], where)


class Daemon(FakeDaemon):
    """fake_icetund and one connection to it."""

    def __init__(self, *options):
        super().__init__(FAKE, *options)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(self.path)
        self.buffer = b""

    def __exit__(self, *_):
        self.socket.close()
        super().__exit__()

    def receive(self):
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, "closed"
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, more=False, limit=100):
        request = {"method": method}
        if parameters is not None:
            request["parameters"] = parameters
        if more:
            request["more"] = True
        self.socket.sendall(json.dumps(request).encode() + b"\0")
        replies = [self.receive()]
        while replies[-1].get("continues") and len(replies) < limit:
            replies.append(self.receive())
        assert more or len(replies) == 1
        return replies


# Method -> parameters and whether several replies are asked for. Each method has to be here.
CALLS = {
    "Status": (None, False),
    "Peers": ({}, False),
    "Join": ({"token": "icetun1.x", "name": "alice"}, False),
    "Leave": (None, False),
    "Up": (None, True),
    "Down": (None, False),
    "Ping": ({"peer": "bob", "count": 3}, True),
    "RestartIce": ({"peer": "bob"}, False),
    "Offloads": (None, False),
    "SetOffload": ({"name": "udp-gro", "on": False}, False),
    "Events": (None, True),  # the last: it has no end
}


def check_reply(interface, method, reply):
    assert set(reply) <= {"parameters", "continues"}, reply
    interface.check(reply["parameters"], interface.methods[method][1], method)


def test_methods(interface):
    assert set(CALLS) == set(interface.methods), set(CALLS) ^ set(interface.methods)
    states = interface.types["State"][1]
    for state in states:
        with Daemon("--state", state, "--lose", "1") as daemon:
            for method, (parameters, more) in CALLS.items():
                replies = daemon.call(f"{INTERFACE}.{method}", parameters, more, 3)
                for reply in replies:
                    check_reply(interface, method, reply)
                expected = {"Ping": 3, "Up": 3, "Events": 3}.get(method, 1)
                assert len(replies) == expected, (method, replies)
    with Daemon() as daemon:
        check_reply(interface, "Up", daemon.call(f"{INTERFACE}.Up")[0])
        check_reply(interface, "Ping", daemon.call(f"{INTERFACE}.Ping", {"peer": "bob"})[0])


def test_table(interface, service):
    listed = subprocess.run([FAKE, "--methods"], check=True, capture_output=True, text=True)
    declared = {f"{i.name}.{m}" for i in (interface, service) for m in i.methods}
    assert set(listed.stdout.split()) == declared, set(listed.stdout.split()) ^ declared


def test_errors(interface):
    for name, parameters in interface.errors.items():
        for option in (f"Leave={name}", f"Leave={name}:some detail"):
            with Daemon("--fail", option) as daemon:
                reply = daemon.call(f"{INTERFACE}.Leave")[0]
                assert set(reply) == {"error", "parameters"}, reply
                assert reply["error"] == f"{INTERFACE}.{name}", reply
                interface.check(reply["parameters"], parameters, name)


def test_service(interface, text):
    """org.varlink.service; returns its own description."""
    with Daemon() as daemon:
        describe = "org.varlink.service.GetInterfaceDescription"
        reply = daemon.call(describe, {"interface": INTERFACE})[0]
        assert reply["parameters"]["description"] == text
        reply = daemon.call(describe, {"interface": "org.varlink.service"})[0]
        service = Interface(reply["parameters"]["description"])
        for method, parameters in (("GetInfo", None),
                                   ("GetInterfaceDescription", {"interface": INTERFACE})):
            reply = daemon.call(f"org.varlink.service.{method}", parameters)[0]
            service.check(reply["parameters"], service.methods[method][1], method)
        info = daemon.call("org.varlink.service.GetInfo")[0]["parameters"]
        assert info["interfaces"] == ["org.varlink.service", interface.name]
        for request, error in (
                (("org.varlink.service.Nothing",), "MethodNotFound"),
                ((f"{INTERFACE}.Nothing",), "MethodNotFound"),
                (("org.example.Nothing",), "InterfaceNotFound"),
                (("nothing",), "InterfaceNotFound"),
                ((describe, {"interface": "org.example"}), "InterfaceNotFound"),
                ((describe,), "InvalidParameter"),
                ((describe, {"interface": 1}), "InvalidParameter"),
                ((f"{INTERFACE}.Status", {"x": 1}), "InvalidParameter"),
                ((f"{INTERFACE}.Join", {"token": "x"}), "InvalidParameter"),
                ((f"{INTERFACE}.Ping", {"peer": "bob", "count": 0}), "InvalidParameter"),
                ((f"{INTERFACE}.Ping", {"peer": "bob", "count": "1"}), "InvalidParameter"),
                ((f"{INTERFACE}.Ping", {"peer": "bob", "interval_ms": 1}), "InvalidParameter"),
                ((f"{INTERFACE}.Ping", {"peer": "bob", "count": 2}), "ExpectedMore")):
            reply = daemon.call(*request)[0]
            assert reply["error"] == f"org.varlink.service.{error}", (request, reply)
            service.check(reply["parameters"], service.errors[error], error)
    return service


def main():
    with open(INTERFACE_FILE, encoding="ascii") as file:
        text = file.read()
    interface = Interface(text)
    assert interface.name == INTERFACE
    service = test_service(interface, text)
    test_table(interface, service)
    test_methods(interface)
    test_errors(interface)
    print(f"{len(interface.methods)} methods and {len(interface.errors)} errors hold")


main()
