#!/usr/bin/env python3
"""Shows that house.py finds what it is there for: a small tree that is in order, and one fault each."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

HOUSE = """
[arrows]
daemon/core/base:
daemon/core/low: daemon/core/base
daemon/core/high: daemon/core/base daemon/core/low
daemon/app: daemon/core/*
tun:
[libraries]
sodium.h: daemon/core/low
netlink/*: tun
cmocka.h:
[core]
headers: stdint.h stdio.h
headers daemon/core/base: arpa/inet.h
calls forbidden: printf exit
"""


def header(guard, body=""):
    return f"/* What this header is for. */\n#ifndef {guard}\n#define {guard}\n\n{body}\n#endif\n"


TREE = {
    "daemon/core/base/err.h": header("ICETUN_BASE_ERR_H", "#include <stdint.h>"),
    "daemon/core/base/err.c": '#include "daemon/core/base/err.h"\n\n#include <arpa/inet.h>\n'
                              '/* no printf() here */\nconst char *t = "exit(1)";\n',
    "daemon/core/low/low.h": header("ICETUN_LOW_LOW_H", '#include "daemon/core/base/err.h"'),
    "daemon/core/low/low_internal.h": header("ICETUN_LOW_LOW_INTERNAL_H"),
    "daemon/core/low/low.c": '#include "daemon/core/low/low_internal.h"\n#include <sodium.h>\n'
                             "int f(void) { return snprintf(b, 1, \"x\"); }\n",
    "daemon/core/low/CMakeLists.txt": "icetun_room(low SOURCES low.c ROOMS base LIBRARIES X::Y)\n",
    "daemon/core/high/high.h": header("ICETUN_HIGH_HIGH_H", '#include "daemon/core/low/low.h"'),
    "daemon/app/app.c": '#include "daemon/core/high/high.h"\n#include <stdlib.h>\n'
                        "void f(void) { exit(1); }\n",
    "tun/device.c": "#include <netlink/netlink.h>\n",
    "tests/unit/test_x.c": "#include <cmocka.h>\n",
}

# What it is, the file and what it holds, what must be said about it.
FAULTS = [
    ("an arrow upwards", "daemon/core/low/bad.c", '#include "daemon/core/high/high.h"\n',
     "bad.c:1: daemon/core/low may not include daemon/core/high"),
    ("an arrow out of tun", "tun/bad.c", '\n#include "daemon/core/base/err.h"\n',
     "bad.c:2: tun may not include daemon/core/base"),
    ("the core looks into the shell", "daemon/core/high/bad.c", '#include "daemon/app/app.c"\n',
     "daemon/core/high may not include daemon/app"),
    ("a program includes a test", "daemon/app/bad.c", '#include "tests/unit/test_x.c"\n',
     "daemon/app may not include tests/unit"),
    ("an include beside the file", "daemon/core/low/bad.c", '#include "low.h"\n',
     "low.h is no path from the root"),
    ("spaces in an include", "daemon/core/low/bad.c", '  #  include  "daemon/core/high/high.h"\n',
     "may not include"),
    ("an internal header", "daemon/core/high/bad.c",
     '#include "daemon/core/low/low_internal.h"\n', "is internal to daemon/core/low"),
    ("a room that is not in the table", "daemon/core/new/new.c", "int x;\n",
     "daemon/core/new is no room"),
    ("a library out of its room", "daemon/core/high/bad.c", "#include <sodium.h>\n",
     "<sodium.h> has no place in daemon/core/high"),
    ("a family of headers", "daemon/app/bad.c", "#include <netlink/route/link.h>\n",
     "<netlink/route/link.h> has no place in daemon/app"),
    ("a test library in a program", "daemon/app/bad.c", "#include <cmocka.h>\n",
     "<cmocka.h> has no place"),
    ("a clock in the core", "daemon/core/low/bad.c", "#include <time.h>\n",
     "<time.h> has no place in daemon/core"),
    ("a header of one core room in another", "daemon/core/low/bad.c", "#include <arpa/inet.h>\n",
     "<arpa/inet.h> has no place in daemon/core"),
    ("output in the core", "daemon/core/low/bad.c", '/* a\nb */\nvoid f(void) { printf("x"); }\n',
     "bad.c:3: printf() has no place"),
    ("CMake links against the arrows", "daemon/core/low/CMakeLists.txt",
     "icetun_room(low\n\tSOURCES low.c\n\tROOMS base high)\n",
     "daemon/core/low may not link the room high"),
    ("a wrong guard", "daemon/core/low/bad.h", header("LOW_H"), "should be ICETUN_LOW_BAD_H"),
    ("a define that is not the guard", "daemon/core/low/bad.h",
     header("ICETUN_LOW_BAD_H").replace("#define ICETUN_LOW_BAD_H", "#define ICETUN_LOW_BAT_H"),
     "should be ICETUN_LOW_BAD_H"),
    ("no opening comment", "daemon/core/low/bad.h",
     header("ICETUN_LOW_BAD_H").split("\n", 1)[1], "begins with a comment"),
    ("a long file", "tests/unit/test_long.c", "int x;\n" * 801, "801 lines"),
    ("a long line", "tests/unit/test_wide.c", "\t" * 12 + "/* ab */\n" + "\t" * 11 + "int x;\n",
     "test_wide.c:1: 104 columns"),
    ("a note", "docs/x.md", "done\n// TO" "DO later\n", "x.md:2: finish it"),
]


def run(tree, house=HOUSE):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**tree, "house.ini": house}.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "house.py"), "--house",
             os.path.join(root, "house.ini"), root],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


class HouseTest(unittest.TestCase):
    def test_tree_in_order(self):
        self.assertEqual(run(TREE), (0, "the house stands\n"))

    def test_each_fault(self):
        for name, path, text, expected in FAULTS:
            with self.subTest(name):
                code, output = run({**TREE, path: text})
                self.assertEqual(code, 1)
                self.assertIn(expected, output)
                self.assertIn("1 faults\n", output)

    def test_longest_file_allowed(self):
        self.assertEqual(run({**TREE, "tests/unit/test_long.c": "int x;\n" * 800})[0], 0)

    def test_circle(self):
        house = HOUSE.replace("low: daemon/core/base", "low: daemon/core/base daemon/core/high")
        code, output = run(TREE, house)
        self.assertEqual(code, 1)
        self.assertIn("circle: daemon/core/low -> daemon/core/high -> daemon/core/low", output)

    def test_arrow_to_nowhere(self):
        code, output = run(TREE, HOUSE.replace("high: daemon/core/base", "high: daemon/core/bass"))
        self.assertEqual(code, 1)
        self.assertIn("no room is called daemon/core/bass", output)


if __name__ == "__main__":
    unittest.main()
