"""From rows of measurements to a report: JSON with every row, Markdown, and a picture."""

import json
import os
import random
import statistics

# test, key, what it is, unit, whether more is better, decimals
LINES = [
    ("tcp1", "gbit_s", "TCP, one stream", "Gbit/s", True, 2),
    ("tcp4", "gbit_s", "TCP, four streams", "Gbit/s", True, 2),
    ("reverse", "gbit_s", "TCP, reverse", "Gbit/s", True, 2),
    ("both", "gbit_s", "TCP, both ways, sum", "Gbit/s", True, 2),
    ("udp64", "packets_s", "64-byte packets without loss", "1/s", True, 0),
    ("udp1200", "packets_s", "1,200-byte packets without loss", "1/s", True, 0),
    ("ping", "p50_ms", "ping, idle, median", "ms", False, 3),
    ("ping", "p99_ms", "ping, idle, p99", "ms", False, 3),
    ("loaded", "p50_ms", "ping beside TCP, median", "ms", False, 3),
    ("loaded", "p99_ms", "ping beside TCP, p99", "ms", False, 3),
    ("cpu", "processes_s_gb", "processor, daemons and iperf3", "s/GB", False, 2),
    ("cpu", "daemons_s_gb", "processor, daemons alone", "s/GB", False, 2),
    ("cpu", "machine_s_gb", "processor, whole machine", "s/GB", False, 2),
    ("cpu", "tunnel_s_gb", "processor, whole machine less that without tunnel", "s/GB", False, 2),
    ("memory", "rss_mb", "memory of the daemon, after all that", "MB", False, 1),
]


def values(rows, test, key, peer):
    return {r["round"]: r[key] for r in rows
            if r["test"] == test and r["peer"] == peer and key in r}


def paired_ratio(rows, test, key, peer, other):
    """Median of `peer` / `other` within rounds, with the bootstrap's 95 % interval."""
    a, b = values(rows, test, key, peer), values(rows, test, key, other)
    ratios = [a[n] / b[n] for n in a if n in b and b[n]]
    if not ratios:
        return None
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(2000))
    return {"median": statistics.median(ratios), "low": medians[50], "high": medians[1949],
            "rounds": len(ratios)}


def markdown(head, rows):
    names = list(head["peers"])
    out = [f"# icetun beside its peers: {head['mode']}", ""]
    out.append(f"{head['processors']} processors ({head['processor']}), Linux {head['kernel']}, "
               f"{head['iperf3']}, {head['congestion_control']}, inner MTU {head['inner_mtu']}, "
               f"{head['rounds']} interleaved rounds of {head['seconds']} s. Medians; in brackets "
               f"the least and the most.")
    out += ["", "| peer | version | cipher | memory when idle |", "|---|---|---|---|"]
    for name, p in head["peers"].items():
        out.append(f"| {name} | {p['version']} | {p['cipher']} | {p['idle_rss_mb']:.1f} MB |")
    for name, why in head["left_out"].items():
        out.append(f"| {name} | left out: {why} | | |")
    out += ["", "| measure | unit | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for test, key, what, unit, _, digits in LINES:
        cells = []
        for name in names:
            v = list(values(rows, test, key, name).values())
            cells.append(f"{statistics.median(v):,.{digits}f} ({min(v):,.{digits}f} to "
                         f"{max(v):,.{digits}f})" if v else "")
        if any(cells):
            out.append(f"| {what} | {unit} | " + " | ".join(cells) + " |")
    if "icetun" in names:
        out += ["", "icetun as a multiple of each, in the same round: the median, and the bootstrap's "
                "95 % interval.", "", "| measure | better | " +
                " | ".join(n for n in names if n != "icetun") + " |",
                "|---|---|" + "---|" * (len(names) - 1)]
        for test, key, what, _, more, _ in LINES:
            cells = []
            for name in names:
                if name == "icetun":
                    continue
                r = paired_ratio(rows, test, key, "icetun", name)
                cells.append(f"{r['median']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if r else "")
            if any(cells):
                out.append(f"| {what} | {'more' if more else 'less'} | " + " | ".join(cells) + " |")
    frames = [r["frame_bytes"] for r in rows if "frame_bytes" in r]
    errors = [r for r in rows if "error" in r]
    out += ["", f"Bytes of a frame on the cable, median: {statistics.median(frames):,.0f}. "
            if frames else ""]
    out.append(f"Stolen processor time: at most {100 * max(r['steal'] for r in rows):.1f} %. "
               f"Spin probe: from {min(r['spin'] for r in rows):,} to {max(r['spin'] for r in rows):,}.")
    for r in errors:
        out.append(f"- round {r['round']}, {r['test']}, {r['peer']}: {r['error']}")
    return "\n".join(out) + "\n"


def svg(head, rows):
    """Bars: one block for each measure, one bar for each peer."""
    names = list(head["peers"])
    colours = ["#888888", "#0b6e4f", "#6bbf9c", "#c2571a", "#d9a441", "#5b7db1", "#8e6bb0", "#a83e52"]
    blocks, y, parts = [], 40, []
    for test, key, what, unit, more, digits in LINES:
        medians = {n: statistics.median(v.values()) for n in names
                   if (v := values(rows, test, key, n))}
        if medians and max(medians.values()) > 0:
            blocks.append((what, unit, more, digits, medians))
    for what, unit, more, digits, medians in blocks:
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{what}, {unit} '
                     f'({"more" if more else "less"} is better)</text>')
        y += 8
        top = max(medians.values())
        for i, name in enumerate(names):
            if name not in medians:
                continue
            width = 430 * medians[name] / top
            parts.append(f'<text x="160" y="{y + 12}" text-anchor="end">{name}</text>'
                         f'<rect x="168" y="{y + 2}" width="{width:.1f}" height="12" '
                         f'fill="{colours[i % len(colours)]}"/>'
                         f'<text x="{174 + width:.1f}" y="{y + 12}">{medians[name]:,.{digits}f}</text>')
            y += 16
        y += 24
    title = f'<text x="10" y="18" font-size="14">icetun beside its peers, {head["mode"]}</text>'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{y}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="white"/>{title}{"".join(parts)}</svg>\n')


def add_tunnel_share(rows):
    """What the machine did more than without a tunnel, in the same round."""
    without = values(rows, "cpu", "machine_s_gb", "no tunnel")
    for r in rows:
        if r["test"] == "cpu" and r["round"] in without and r["peer"] != "no tunnel" and "machine_s_gb" in r:
            r["tunnel_s_gb"] = r["machine_s_gb"] - without[r["round"]]


def write(directory, head, rows):
    add_tunnel_share(rows)

    def save(name, text):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            f.write(text)
    save("report.json", json.dumps({"header": head, "rows": rows}, indent=1))
    save("report.md", markdown(head, rows))
    save("report.svg", svg(head, rows))
