#!/usr/bin/env python3
"""What tests/bench/roam has measured.

roam.py table REPORT             a table, of the lines that counted.py has written
roam.py svg SOFT LEFT-US HARD    a drawing of one soft and one hard handover, of points that counted.py has
                                 written; the first interface of the soft one went LEFT-US after the second came
"""
import sys

KINDS = {
    "soft": "another interface appears and takes the default route",
    "soft-left": "then the first one goes",
    "hard": "the interface goes, another one is there",
    "later": "no network for 2 s, then a new address",
    "both": "both hosts lose their addresses and get others",
}


def read_report(path):
    rows = {}
    with open(path, encoding="ascii") as f:
        for name, *words in (line.split() for line in f):
            rows.setdefault(name, []).append({k: int(v) for k, v in zip(words[::2], words[1::2])})
    return rows


def rank(values, percent):
    """The smallest value that is not below so many percent of them."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def milliseconds(us):
    return "never" if us == sys.maxsize else f"{us / 1000:.0f}"


def table(path):
    rows = read_report(path)
    print("| handover | times | gap, median | 99th percentile | longest | lost, median | lost in all | twice |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, what in KINDS.items():
        if kind not in rows:
            continue
        field = "resumed_us" if kind == "later" else "gap_us"
        gaps = [row[field] if row[field] >= 0 else sys.maxsize for row in rows[kind]]
        lost = [row["lost"] for row in rows[kind]]
        print(f"| {what} | {len(gaps)} | {milliseconds(rank(gaps, 50))} ms | {milliseconds(rank(gaps, 99))} ms |"
              f" {milliseconds(max(gaps))} ms | {rank(lost, 50)} | {sum(lost)} | {sum(r['duplicated'] for r in rows[kind])} |")


# --- drawing -----------------------------------------------------------------------------------

WIDTH, PANEL, LEFT, TOP = 860, 160, 64, 46
FROM_S, TO_S, MAX_MS, STEP_MS = -0.5, 3.2, 240, 60
COLOURS = {"there": "#1f77b4", "back": "#2ca02c"}
TEXT = 'font-family="sans-serif" font-size="12" fill="#333"'


def x_of(seconds):
    return LEFT + (seconds - FROM_S) / (TO_S - FROM_S) * (WIDTH - LEFT - 20)


def read_points(path):
    """Return: {way: [(sent, delay in ms or None when lost)]}, seconds after the event."""
    ways = {"there": [], "back": []}
    with open(path, encoding="ascii") as f:
        for got, sent, way, kind in (line.split() for line in f):
            delay = (float(got) - float(sent)) * 1000 if kind == "got" else None
            ways[way].append((float(sent) + FROM_S, delay))
    return ways


def dots(points, top, colour):
    """Each a dot of a path; those that fall on one pixel are one."""
    pixels = sorted({(round(x_of(s)), round(top + PANEL - min(d, MAX_MS) / MAX_MS * PANEL))
                     for s, d in points if d is not None and FROM_S <= s <= TO_S})
    path = "".join(f"M{x} {y}h1" for x, y in pixels)
    return f'<path d="{path}" stroke="{colour}" stroke-width="2"/>'


def ticks_of_lost(points, y):
    pixels = sorted({round(x_of(s)) for s, d in points if d is None and FROM_S <= s <= TO_S})
    path = "".join(f"M{x} {y}v8" for x in pixels)
    return f'<path d="{path}" stroke="#d62728" stroke-width="1"/>'


def panel(title, points, top, events):
    shown = [d for way in points.values() for s, d in way if FROM_S <= s <= TO_S]
    lost, sent = shown.count(None), len(shown)
    out = [f'<text x="{LEFT}" y="{top - 24}" {TEXT} font-weight="bold">{title}: '
           f'{lost} of {sent} packets lost</text>',
           f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - 20}" height="{PANEL}" fill="none" stroke="#bbb"/>']
    for ms in range(0, MAX_MS + 1, STEP_MS):
        y = top + PANEL - ms / MAX_MS * PANEL
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end" {TEXT}>{ms} ms</text>')
    for tenths in range(-5, 31, 5):
        x = x_of(tenths / 10)
        out.append(f'<text x="{x:.0f}" y="{top + PANEL + 16}" text-anchor="middle" {TEXT}>{tenths / 10:g} s</text>')
    for seconds, what in events:
        x = x_of(seconds)
        out.append(f'<path d="M{x:.0f} {top}v{PANEL}" stroke="#888" stroke-dasharray="4 3"/>'
                   f'<text x="{x + 4:.0f}" y="{top - 6}" {TEXT}>{what}</text>')
    for way, colour in COLOURS.items():
        out.append(dots(points[way], top, colour))
        out.append(ticks_of_lost(points[way], top + PANEL - (20 if way == "there" else 10)))
    return out


def svg(soft, left_us, hard):
    height = 2 * (PANEL + TOP + 40) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
           f'height="{height}">', f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    out += panel("Another interface appears", read_points(soft), TOP,
                 [(0, "it appears"), (int(left_us) / 1e6, "the first one goes")])
    out += panel("The interface goes, another one is there", read_points(hard), 2 * TOP + PANEL + 40,
                 [(0, "it goes")])
    out.append(f'<text x="{LEFT}" y="{height - 6}" {TEXT}>Each dot is a packet: when it was sent, how long it took. '
               f'1,000 a second each way: <tspan fill="{COLOURS["there"]}">there</tspan>, '
               f'<tspan fill="{COLOURS["back"]}">back</tspan>; <tspan fill="#d62728">lost</tspan>.</text></svg>')
    print("\n".join(out))


if sys.argv[1] == "table":
    table(sys.argv[2])
else:
    svg(*sys.argv[2:])
