#!/usr/bin/python3
"""From both descriptions known to first data. See `ice`, which makes the network.

Two agents of one kind gather and say their descriptions. Then both get the other's at the same time, and
each sends a datagram as soon as it says that it may. Rounds are interleaved: in each, every kind has its
turn on every path. What a round gives is a ratio; the report has their median."""
import argparse
import itertools
import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../interop"))
from agents import HOSTS, Agent, Failure, program, versions  # noqa: E402

KINDS = ("icetun", "libnice, aggressive", "libnice, regular", "aioice")
AGAIN_S = 0.05  # a datagram that the other end has not taken yet is sent again


class Racer(Agent):
    """Sends when it is connected; notes when data has come."""

    def __init__(self, *args):
        self.data_at = None
        self.has_data = threading.Event()
        self.is_connected = False
        super().__init__(*args)

    def on_line(self, line):
        if '"data"' in line and not self.data_at:
            self.data_at = time.monotonic()
            self.has_data.set()
        elif '"state"' in line and not self.is_connected and (
                "connected" in line or "completed" in line):
            self.is_connected = True
            self.tell("send first")


def race(args, kind, path):
    """Return: seconds until the first datagram has come to either end, and until one has to both."""
    a, b = (Racer(args.lab, host, program(args.build, kind), path, "udp", role)
            for host, role in zip(HOSTS[path], ("controlling", "controlled")))
    try:
        first, second = a.description(), b.description()
        start = time.monotonic()
        a.tell(*second, "")
        b.tell(*first, "")
        while not (a.has_data.wait(AGAIN_S) and b.has_data.wait(AGAIN_S)):
            if time.monotonic() > start + 20:
                raise Failure(f"{kind}, {path}: no data")
            for agent in (a, b):
                if agent.is_connected:
                    agent.tell("send again")
        return tuple(sorted((a.data_at - start, b.data_at - start)))
    finally:
        a.stop()
        b.stop()


def print_report(args, found):
    print(f"\nMedian of {args.rounds} rounds, {os.cpu_count()} processors. Each link {args.link_ms} ms "
          f"one way: D is {4 * args.link_ms} ms, by way of the relays {8 * args.link_ms} ms.\n")
    print("icetun of this tree; " + ", ".join(f"{n} {v}" for n, v in versions().items()) + ".\n")
    print("| path | agent | first data | data both ways | first data, times ours |")
    print("|---|---|---|---|---|")
    for path, kind in itertools.product(HOSTS, KINDS):
        rows = found[(path, kind)]
        ratios = [row[0] / ours[0] for row, ours in zip(rows, found[(path, "icetun")])]
        first, both = (statistics.median(row[i] for row in rows) * 1000 for i in (0, 1))
        print(f"| {path} | {kind} | {first:.1f} ms | {both:.1f} ms | {statistics.median(ratios):.2f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--link-ms", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    found = {cell: [] for cell in itertools.product(HOSTS, KINDS)}
    for number in range(args.rounds):
        turns = list(found)
        random.shuffle(turns)
        for path, kind in turns:
            found[(path, kind)].append(race(args, kind, path))
            first, both = found[(path, kind)][-1]
            print(f"round {number + 1:2}  {path:10} {kind:20} first {first * 1000:7.1f} ms, "
                  f"both ways {both * 1000:7.1f} ms", flush=True)
    print_report(args, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
