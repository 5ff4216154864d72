#!/usr/bin/env python3
"""Shows that conformance.py finds what it is there for: a page that is in order, and one fault each."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

PAGE = """# A page

It names `daemon/core/low/low.h`.

## A standard

| § | what is asked | state | what icetun does | held by |
|---|---|---|---|---|
| 1 | this | yes | | low/thing:works, sim.pair |
| 2 | that | differs | for a reason | low/thing:works |
| 3 | more | no | for another one | |

## Constants

| what | RFC | icetun | constant |
|---|---|---|---|
| patience | 1 s | 39.5 s | `LOW_PATIENCE_US` |
| interval | 1 s | 10 ms | `LOW_INTERVAL_MS` |
| count | 7 | 7 | `LOW_COUNT` |
"""

OTHERS = """# Another page

## A standard

| § | what is asked | icetun | that one |
|---|---|---|---|
| 1 | this | yes | partly |
| 3 | more | no | - |
"""

TREE = {
    "docs/ICE-CONFORMANCE.md": PAGE,
    "docs/ICE-OTHERS.md": OTHERS,
    "daemon/core/low/low.h": "#define LOW_PATIENCE_US (39500 * US_PER_MS) /* long */\n"
                             "#define LOW_INTERVAL_MS 10\n#define LOW_COUNT\t7u\n",
    "tests/unit/low/test_thing.c": "static void works(void **state)\n{\n}\n\n"
                                   "static void idle(void **state)\n{\n}\n\n"
                                   "int main(void)\n{\n\trun(works);\n}\n",
    "tests/sim/CMakeLists.txt": "function(sim_test name program)\n"
                                "\tadd_test(NAME sim.${name} COMMAND ${program})\nendfunction()\n"
                                "sim_test(pair program)\n",
}


class Conformance(unittest.TestCase):
    def check(self, expected, old="", new="", page="docs/ICE-CONFORMANCE.md"):
        with tempfile.TemporaryDirectory() as root:
            for path, text in TREE.items():
                if path == page:
                    self.assertIn(old, text)
                    text = text.replace(old, new, 1) if old else text
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
            run = subprocess.run([sys.executable, os.path.join(HERE, "conformance.py"), root],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0 if expected == "in order" else 1, run.stdout + run.stderr)
        self.assertIn(expected, run.stdout)

    def test_in_order(self):
        self.check("in order")

    def test_unknown_function(self):
        self.check("has no such test", "low/thing:works", "low/thing:breaks")

    def test_function_that_is_not_run(self):
        self.check("main() does not run it", "low/thing:works", "low/thing:idle")

    def test_unknown_file(self):
        self.check("there is no tests/unit/low/test_other.c", "low/thing:works", "low/other:works")

    def test_unknown_ctest(self):
        self.check("no test is called sim.triple", "sim.pair", "sim.triple")

    def test_yes_without_a_test(self):
        self.check("no test holds it", "low/thing:works, sim.pair", "")

    def test_differs_without_a_reason(self):
        self.check("no reason", "for a reason", "")

    def test_no_without_a_reason(self):
        self.check("no reason", "for another one", "")

    def test_another_state(self):
        self.check("the state 'partly'", "| yes |", "| partly |")

    def test_a_row_twice(self):
        self.check("the row stands there twice", "| 2 | that |", "| 1 | this |")

    def test_missing_column(self):
        self.check("4 columns", "| 1 | this ", "| this ")

    def test_wrong_values(self):
        self.check("LOW_PATIENCE_US is 39500000, not 3.95001e+07", "39.5 s", "39.5001 s")
        self.check("LOW_INTERVAL_MS is 10, not 11", "10 ms", "11 ms")
        self.check("LOW_COUNT is 7, not 8", "| 7 | 7 |", "| 7 | 8 |")

    def test_unknown_constant(self):
        self.check("LOW_LIMIT is no constant", "LOW_COUNT", "LOW_LIMIT")

    def test_missing_file(self):
        self.check("there is no daemon/core/low/high.h", "low/low.h", "low/high.h")

    def test_others(self):
        page = "docs/ICE-OTHERS.md"
        self.check("icetun: 'no', and 'yes' in ICE-CONFORMANCE.md", "| yes |", "| no |", page)
        self.check("no such requirement", "| 1 | this", "| 1 | that", page)
        self.check("the mark 'maybe'", "partly", "maybe", page)


if __name__ == "__main__":
    unittest.main()
