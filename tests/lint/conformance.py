#!/usr/bin/env python3
"""Checks that docs/ICE-CONFORMANCE.md is true of the sources, and docs/ICE-OTHERS.md of that page.

usage: conformance.py [ROOT]

Checked: every row has one of the states and what that needs: tests that exist and are run for "yes" and
"differs", a reason for "differs" and "no"; no row stands there twice; each constant is defined with the
value that stands beside it; each file named exists. On the other page each row has a requirement of the
first one with the same state, and a mark for each implementation.
Prints one line for each fault, "file:line: what", and exits with 1 when there are any.
"""

import argparse
import glob
import os
import re
import sys

COLUMNS = 5  # section, what is asked, state, what icetun does, held by
STATES = ("yes", "differs", "no")
MARKS = ("yes", "partly", "no", "-", "?", "UDP", "UDP, TCP, TLS")
UNITS = {"ms": 1000, "s": 1000 * 1000, "min": 60 * 1000 * 1000, "h": 3600 * 1000 * 1000}
FACTORS = {"US_PER_MS": 1000, "US_PER_S": 1000 * 1000}
DEFINE = re.compile(r"^#define[ \t]+([A-Z][A-Z0-9_]*_[A-Z0-9_]+|[A-Z]+)[ \t]+([^\n]*?)(?:/\*.*)?$", re.M)


def cells(line):
    return [c.strip() for c in line.strip().strip("|").split("|")]


class Page:
    def __init__(self, root, path):
        self.root, self.path = root, path
        self.faults = []
        self.line = 0
        self.seen = {}
        self.standard = None
        self.constants = self.read_constants()
        self.ctests = self.read_ctests()

    def fault(self, text):
        self.faults.append(f"{os.path.relpath(self.path, self.root)}:{self.line}: {text}")

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as f:
            return f.read()

    def read_constants(self):
        found = {}
        for path in glob.glob(os.path.join(self.root, "daemon/core/*/*.h")):
            for name, value in DEFINE.findall(self.read(path)):
                found.setdefault(name, value.strip())
        return found

    def read_ctests(self):
        """Also of functions that add a test: function(f name ...) with add_test(NAME prefix.${name}."""
        names = set()
        for path in glob.glob(os.path.join(self.root, "tests/**/CMakeLists.txt"), recursive=True):
            text = self.read(path)
            names.update(re.findall(r"add_test\(NAME ([\w.]+)\s", text))
            for function, prefix in re.findall(
                    r"function\((\w+) name\b.*?add_test\(NAME ([\w.]+)\$\{name\}", text, re.S):
                names.update(prefix + name for name in re.findall(rf"^{function}\(([\w.]+)\s", text, re.M))
        return names

    def value_of(self, name, depth=0):
        """The number that a constant is, or None."""
        text = self.constants.get(name)
        if text is None or depth > 8:
            return None

        def number(match):
            word = match.group(0)
            value = FACTORS.get(word)
            value = self.value_of(word, depth + 1) if value is None else value
            return "x" if value is None else str(value)

        text = re.sub(r"\b([A-Za-z_]\w*)\b", number, re.sub(r"\b(\d+)[uUlL]+\b", r"\1", text))
        if not re.fullmatch(r"[\d\s()*+/-]+", text):
            return None
        return eval(text.replace("/", "//"))  # digits and operators only

    def check_test(self, name):
        match = re.fullmatch(r"(\w+)/(\w+):(\w+)", name)
        if not match:
            if name not in self.ctests:
                self.fault(f"no test is called {name}")
            return
        room, file, function = match.groups()
        path = f"tests/unit/{room}/test_{file}.c"
        if not os.path.exists(os.path.join(self.root, path)):
            self.fault(f"{name}: there is no {path}")
            return
        text = self.read(path)
        if not re.search(rf"^(?:static )?void {function}\(void \*\*\w+\)", text, re.M):
            self.fault(f"{name}: {path} has no such test")
        main = text[text.rfind("int main("):]
        if not re.search(rf"\b{function}\b", main):
            self.fault(f"{name}: main() does not run it")

    def check_requirement(self, row):
        if len(row) != COLUMNS:
            self.fault(f"{len(row)} columns instead of {COLUMNS}")
            return
        section, asked, state, does, held_by = row
        if state not in STATES:
            self.fault(f"the state {state!r} is none of {', '.join(STATES)}")
        if not section or not asked:
            self.fault("no section, or nothing is asked")
        if (self.standard, section, asked) in self.seen:
            self.fault("the row stands there twice")
        self.seen[(self.standard, section, asked)] = state
        tests = [t.strip() for t in held_by.split(",") if t.strip()]
        if state != "no" and not tests:
            self.fault("no test holds it")
        if state != "yes" and not does:
            self.fault("no reason")
        for test in tests:
            self.check_test(test)

    def check_constant(self, row):
        if len(row) != 4:
            self.fault(f"{len(row)} columns instead of 4")
            return
        name = row[3].strip("`")
        match = re.fullmatch(r"([\d.,]+)(?: (\w+))?", row[2])
        if not match or (match.group(2) and match.group(2) not in UNITS):
            self.fault(f"{row[2]!r} is no value")
            return
        said = float(match.group(1).replace(",", ""))
        # Milliseconds where the name says so.
        unit = UNITS[match.group(2)] if match.group(2) else 1
        said *= unit / (1000 if name.endswith("_MS") else 1)
        value = self.value_of(name)
        if value is None:
            self.fault(f"{name} is no constant of daemon/core")
        elif value != said:
            self.fault(f"{name} is {value}, not {said:g}")

    def check_files(self, line):
        for path in re.findall(r"`((?:daemon|tests|docs)/[a-z\d_./-]+\.[a-z]+)`", line):
            if not os.path.exists(os.path.join(self.root, path)):
                self.fault(f"there is no {path}")

    def rows(self):
        """Yields the cells of each row under its heading, which is self.standard meanwhile."""
        is_head = False
        for self.line, line in enumerate(self.read(self.path).split("\n"), 1):
            self.check_files(line)
            if line.startswith("## "):
                self.standard, is_head = line[3:], True
            if not line.startswith("|") or set(line) <= set("|-: "):
                continue
            if not is_head:
                yield cells(line)
            is_head = False  # the first row of a table names the columns

    def run(self):
        rows = 0
        for rows, row in enumerate(self.rows(), 1):
            if self.standard == "Constants":
                self.check_constant(row)
            else:
                self.check_requirement(row)
        if rows == 0:
            self.fault("there are no rows")

    def run_others(self, path):
        self.path = os.path.join(self.root, path)
        for row in self.rows():
            if self.standard == "Constants":
                continue
            state = self.seen.get((self.standard, row[0], row[1]))
            if state is None:
                self.fault("no such requirement in ICE-CONFORMANCE.md")
            elif row[2] != state:
                self.fault(f"icetun: {row[2]!r}, and {state!r} in ICE-CONFORMANCE.md")
            for mark in row[3:]:
                if mark not in MARKS:
                    self.fault(f"the mark {mark!r} is none of {', '.join(MARKS)}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("root", nargs="?", default=os.path.join(here, "..", ".."))
    args = parser.parse_args()
    root = os.path.abspath(args.root)
    page = Page(root, os.path.join(root, "docs/ICE-CONFORMANCE.md"))
    page.run()
    page.run_others("docs/ICE-OTHERS.md")
    print("\n".join(page.faults) if page.faults else "in order")
    return 1 if page.faults else 0


if __name__ == "__main__":
    sys.exit(main())
