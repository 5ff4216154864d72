#!/usr/bin/env python3
"""Compares what the hosts of grid.sh report with what their NATs allow, and shows it.

grid.py [--text FILE] [--html FILE] DIRECTORY

DIRECTORY has the tables `kinds` (name, mapping, filtering, families), `cells` (kind of a, kind of b,
milliseconds) and `pairs` (name, expected path, what it is, milliseconds), and NAME.json, the status of
each host. Exit: 0 when every path is as expected, 1 otherwise.
"""
import argparse
import html
import json
import pathlib
import sys

ENDPOINT_DEPENDENT = ("AD", "APD")
LETTERS = {"direct": "D", "relayed": "R"}


class Kind:
    def __init__(self, name, mapping, filtering, families):
        self.name, self.mapping, self.filtering, self.families = name, mapping, filtering, families

    def has_udp(self):
        return self.mapping != "none"

    def is_strict_for(self, other):
        """Whether nothing of other can come in: the port that this end knows of it is the one that
        a server saw, other packets use another one, and the filter looks at ports."""
        return self.filtering == "APD" and other.mapping in ENDPOINT_DEPENDENT


def expect(a, b):
    """The path that two kinds of NAT allow (RFC 4787; RFC 5128 section 3)."""
    if not (a.has_udp() and b.has_udp()):
        return "relayed"
    if not set(a.families) & set(b.families):
        return "relayed"
    return "relayed" if a.is_strict_for(b) or b.is_strict_for(a) else "direct"


class Cell:
    def __init__(self, title, expected, found, ms):
        self.title, self.expected, self.found, self.ms = title, expected, found, ms

    def is_right(self):
        return self.ms is not None and all(path == self.expected for path in self.found)

    def text(self):
        letter = LETTERS.get(self.found[0], "-")
        if self.found[0] != self.found[1]:
            letter += "/" + LETTERS.get(self.found[1], "-")
        ms = "-" if self.ms is None else f"{self.ms:.0f}"
        return f"{letter} {ms}" + ("" if self.is_right() else " !")

    def complaint(self):
        ms = "no answer" if self.ms is None else f"first answer after {self.ms:.1f} ms"
        return f"{self.title}: must be {self.expected}, is {' and '.join(self.found)}; {ms}"


def read_table(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def read_paths(directory):
    """Return: {(host, peer): "direct", "relayed" or the peer's state}"""
    paths = {}
    for file in directory.glob("*.json"):
        status = json.loads(file.read_text() or "{}")
        for peer in status.get("peers", []):
            path = peer.get("path")
            paths[status["name"], peer["name"]] = path["kind"] if path else peer["state"]
    return paths


def read_grid(directory):
    """Return: kinds, {(kind of a, kind of b): Cell}, [Cell]"""
    paths = read_paths(directory)
    kinds = [Kind(*row) for row in read_table(directory / "kinds")]
    by_name = {kind.name: kind for kind in kinds}

    def cell(title, expected, a, b, ms):
        found = (paths.get((a, b), "unknown"), paths.get((b, a), "unknown"))
        return Cell(title, expected, found, None if ms == "-" else float(ms))

    cells = {(a, b): cell(f"{a} to {b}", expect(by_name[a], by_name[b]), f"a-{a}", f"b-{b}", ms)
             for a, b, ms in read_table(directory / "cells")}
    pairs = [cell(title, expected, f"{name}-1", f"{name}-2", ms)
             for name, expected, title, ms in read_table(directory / "pairs")]
    return kinds, cells, pairs


def summary(cells):
    out = []
    for path in LETTERS:
        times = sorted(cell.ms for cell in cells if cell.expected == path and cell.ms is not None)
        if times:
            out.append(f"{path}: {len(times)} pairs, first answer after {times[len(times) // 2]:.0f} ms"
                       f" (median), {times[-1]:.0f} ms at most")
    return out


def as_text(kinds, cells, pairs):
    first = max(len(kind.name) for kind in kinds) + 2
    width = max([len(kind.name) for kind in kinds] + [len(c.text()) for c in cells.values()]) + 2
    lines = ["D direct, R relayed; milliseconds until the first packet is answered. Rows send to "
             "columns.", ""]
    lines.append(" " * first + "".join(f"{b.name:<{width}}" for b in kinds).rstrip())
    for a in kinds:
        row = "".join(f"{cells[a.name, b.name].text():<{width}}" for b in kinds)
        lines.append(f"{a.name:<{first}}{row}".rstrip())
    lines.append("")
    lines += [f"{cell.title}: {cell.text()}" for cell in pairs]
    lines += summary([*cells.values(), *pairs])
    return "\n".join(lines) + "\n"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2.5rem auto; max-width: 78rem; padding: 0 1.5rem;
  color: #1f2933; background: #fbfbfc }
h1 { font-weight: 600; font-size: 1.6rem; margin-bottom: .2rem }
p { max-width: 46rem; color: #52606d }
table { border-collapse: separate; border-spacing: 3px; font-variant-numeric: tabular-nums }
th { font-weight: 500; text-align: left; padding: .2rem .5rem; white-space: nowrap }
th small { display: block; color: #829ab1; font-size: .72rem; font-weight: 400 }
thead th { vertical-align: bottom; font-size: .8rem; writing-mode: vertical-rl;
  transform: rotate(180deg); padding: .5rem .2rem }
td { min-width: 3.4rem; height: 2.1rem; text-align: center; border-radius: 5px; font-size: .85rem }
td.direct { background: #c8ecd5; color: #14532d }
td.relayed { background: #fde3b8; color: #7a3e00 }
td.wrong { background: #e12d39; color: #fff; font-weight: 600 }
.key span { display: inline-block; border-radius: 5px; padding: .1rem .6rem; margin-right: .4rem }
.direct { background: #c8ecd5 } .relayed { background: #fde3b8 }
@media (prefers-color-scheme: dark) {
  body { color: #e4e7eb; background: #15191e } p { color: #9aa5b1 }
  td.direct, span.direct { background: #1d5b39; color: #d9f7e5 }
  td.relayed, span.relayed { background: #75490d; color: #ffeccc }
}
"""


def html_cell(cell):
    name = cell.expected if cell.is_right() else "wrong"
    ms = "-" if cell.ms is None else f"{cell.ms:.0f}"
    title = f"{cell.title}: {' / '.join(dict.fromkeys(cell.found))}" if cell.is_right() \
        else cell.complaint()
    return f'<td class="{name}" title="{html.escape(title)}">{ms}</td>'


def html_kind(kind):
    what = f"{kind.mapping} / {kind.filtering}" if kind.has_udp() else "no UDP"
    what += {"4": "", "6": ", IPv6", "46": ", IPv4 and IPv6"}[kind.families]
    return f'<th scope="row">{html.escape(kind.name)}<small>{what}</small></th>'


def as_html(kinds, cells, pairs):
    head = "".join(f'<th scope="col">{html.escape(kind.name)}</th>' for kind in kinds)
    body = "\n".join(
        f"<tr>{html_kind(a)}" + "".join(html_cell(cells[a.name, b.name]) for b in kinds) + "</tr>"
        for a in kinds)
    rest = "\n".join(f'<tr><th scope="row">{html.escape(cell.title)}</th>{html_cell(cell)}</tr>'
                     for cell in pairs)
    figures = "<br>\n".join(html.escape(line) for line in summary([*cells.values(), *pairs]))
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>icetun: every kind of NAT against every other</title>
<style>{STYLE}</style>
<h1>Every kind of NAT against every other</h1>
<p>Two hosts behind NATs of these kinds, which have not met before. The number is how many milliseconds
passed from the first packet of the row's host to the answer of the column's host, everything
included. Under each kind: mapping / filtering in the words of RFC 4787 (EI endpoint-independent, AD
address-dependent, APD address-and-port-dependent), as measured in the same run.</p>
<p class="key"><span class="direct">direct</span><span class="relayed">over a TURN server</span></p>
<table>
<thead><tr><th></th>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
<h2>Neighbours</h2>
<table><tbody>
{rest}
</tbody></table>
<p>{figures}</p>
</html>
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--html", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    args = parser.parse_args()
    grid = read_grid(args.directory)
    text = as_text(*grid)
    print(text, end="")
    if args.text:
        args.text.write_text(text)
    if args.html:
        args.html.write_text(as_html(*grid))
    wrong = [cell for cell in [*grid[1].values(), *grid[2]] if not cell.is_right()]
    for cell in wrong:
        print(cell.complaint())
    return 1 if wrong else 0


sys.exit(main())
