#!/usr/bin/env python3
"""Checks that the source tree is built as house.ini says.

usage: house.py [--house FILE] [ROOT]

Checked: includes follow the arrows, and the arrows make no circle; headers of libraries stay in their
rooms; daemon/core uses nothing of the outside world; the internal headers of a room stay in it;
CMake links rooms along the arrows only; headers have their guard and an opening comment; no file or
line is too long; none holds a note that something is not finished.
Prints one line for each fault, "file:line: what", and exits with 1 when there are any.
"""

import argparse
import configparser
import fnmatch
import os
import re
import sys

SOURCE_TREES = ("daemon", "tun", "rendezvous", "ctl")
OTHER_TREES = ("tests", "cmake", "docs", "packaging")
CORE = "daemon/core/"
MAX_LINES = 800
MAX_COLUMNS = 100  # with tabs of eight
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b")
# Comments and string literals, to look at code only.
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


class House:
    """The tables of house.ini."""

    def __init__(self, path):
        ini = configparser.ConfigParser(delimiters=(":",), interpolation=None)
        ini.optionxform = str
        with open(path, encoding="utf-8") as f:
            ini.read_file(f)
        rooms = list(ini["arrows"])
        self.arrows = {}
        for room, targets in ini["arrows"].items():
            self.arrows[room] = set()
            for pattern in targets.split():
                found = fnmatch.filter(rooms, pattern)
                if not found:
                    sys.exit(f"{path}: {room}: no room is called {pattern}")
                self.arrows[room].update(r for r in found if r != room)
        self.libraries = [(p, rooms.split()) for p, rooms in ini["libraries"].items()]
        core = ini["core"]
        self.core_headers = set(core["headers"].split())
        self.core_room_headers = {k.split()[1]: set(v.split())
                                  for k, v in core.items() if k.startswith("headers ")}
        self.core_forbidden = re.compile(
            r"(?<![\w.>])(%s)\s*\(" % "|".join(core["calls forbidden"].split()))

    def room_of(self, path):
        """The room whose directory holds the file, or None."""
        room = os.path.dirname(path)
        return room if room in self.arrows else None

    def circle(self):
        """A list of rooms that lead back to the first, or None."""
        done, trail = set(), []

        def walk(room):
            if room in trail:
                return trail[trail.index(room):] + [room]
            if room in done:
                return None
            trail.append(room)
            for target in sorted(self.arrows[room]):
                found = walk(target)
                if found:
                    return found
            trail.pop()
            done.add(room)
            return None

        for room in self.arrows:
            found = walk(room)
            if found:
                return found
        return None


class Checker:
    def __init__(self, house, root):
        self.house, self.root = house, root
        self.faults = []

    def fault(self, path, line, text):
        self.faults.append(f"{path}:{line}: {text}")

    def files(self, trees):
        for tree in trees:
            for folder, folders, names in os.walk(os.path.join(self.root, tree)):
                folders.sort()
                for name in sorted(names):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
            return f.read()

    def run(self):
        circle = self.house.circle()
        if circle:
            self.fault("house.ini", 1, "the arrows make a circle: " + " -> ".join(circle))
        for path in self.files(SOURCE_TREES):
            if path.endswith((".c", ".h")):
                self.check_source(path)
            elif os.path.basename(path) == "CMakeLists.txt":
                self.check_cmake(path)
        for path in self.files(SOURCE_TREES + OTHER_TREES):
            self.check_text(path)
        return self.faults

    def check_source(self, path):
        room, text = self.house.room_of(path), self.read(path)
        if room is None:
            self.fault(path, 1, f"{os.path.dirname(path)} is no room of house.ini")
            return
        for m in INCLUDE.finditer(text):
            line = text.count("\n", 0, m.start(2)) + 1
            if m[1] == '"':
                self.check_own_include(path, line, room, m[2])
            else:
                self.check_library_include(path, line, room, m[2])
        if path.startswith(CORE):
            code = NOT_CODE.sub(lambda m: "\n" * m[0].count("\n"), text)
            for m in self.house.core_forbidden.finditer(code):
                self.fault(path, code.count("\n", 0, m.start()) + 1,
                           f"{m[1]}() has no place in daemon/core")
        if path.endswith(".h"):
            self.check_header(path, text)

    def check_own_include(self, path, line, room, target):
        name = os.path.basename(target)
        target_room = self.house.room_of(target)
        if not os.path.isfile(os.path.join(self.root, target)):
            self.fault(path, line, f"{target} is no path from the root of the tree")
        elif target_room is None or target_room not in self.house.arrows[room] | {room}:
            self.fault(path, line, f"{room} may not include {os.path.dirname(target)}")
        elif target_room != room and (name == "internal.h" or name.endswith("_internal.h")):
            self.fault(path, line, f"{target} is internal to {target_room}")

    def check_library_include(self, path, line, room, target):
        for pattern, rooms in self.house.libraries:
            if fnmatch.fnmatchcase(target, pattern):
                if room not in rooms:
                    self.fault(path, line, f"<{target}> has no place in {room}")
                return
        allowed = self.house.core_headers | self.house.core_room_headers.get(room, set())
        if room.startswith(CORE) and target not in allowed:
            self.fault(path, line, f"<{target}> has no place in daemon/core")

    def check_header(self, path, text):
        stem = re.sub(r"^(daemon/)?(core/)?", "", path)
        guard = "ICETUN_" + re.sub(r"[^A-Z0-9]", "_", stem[:-2].upper()) + "_H"
        opening = re.match(r"/\*(.*?)\*/\s*#ifndef (\w+)\n#define (\w+)\n", text, re.S)
        if not opening or len(opening[1].split()) < 3:
            self.fault(path, 1, "a header begins with a comment that says what it is for, "
                       "then its guard")
        elif opening[2] != guard or opening[3] != guard:
            self.fault(path, 1, f"the guard should be {guard}")

    def check_cmake(self, path):
        room, text = os.path.dirname(path), self.read(path)
        if room not in self.house.arrows:
            return
        names = {re.sub(r"^(daemon/)?(core/)?", "", r).replace("/", "_"): r
                 for r in self.house.arrows}
        for m in re.finditer(r"icetun_room\(([^)]*)\)", text):
            listed = re.search(r"\bROOMS\b((?:\s+[a-z]\w*)*)", m[1])
            for name in listed[1].split() if listed else ():
                if names.get(name) not in self.house.arrows[room]:
                    self.fault(path, text.count("\n", 0, m.start()) + 1,
                               f"{room} may not link the room {name}")

    def check_text(self, path):
        lines = self.read(path).split("\n")
        is_c = path.endswith((".c", ".h"))
        if is_c and len(lines) - 1 > MAX_LINES:
            self.fault(path, MAX_LINES + 1, f"{len(lines) - 1} lines: split it by its parts")
        for number, line in enumerate(lines, 1):
            if is_c and len(line.expandtabs(8)) > MAX_COLUMNS:
                self.fault(path, number, f"{len(line.expandtabs(8))} columns of {MAX_COLUMNS}")
            if UNFINISHED.search(line):
                self.fault(path, number, "finish it, or open an issue")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--house", default=os.path.join(here, "house.ini"))
    parser.add_argument("root", nargs="?", default=os.path.join(here, "..", ".."))
    args = parser.parse_args()
    faults = Checker(House(args.house), args.root).run()
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults" if faults else "the house stands")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
