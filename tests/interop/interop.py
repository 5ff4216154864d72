#!/usr/bin/python3
"""The cells of the interoperability table: starts two agents in the laboratory of interop.sh, carries their
descriptions to each other, and asks that data flows both ways. See interop.sh."""
import argparse
import itertools
import os
import signal
import sys
import time

from agents import HOSTS, Agent, Failure, introduce, program, versions

PEERS = {
    "libnice, regular": {"restart": True},
    "libnice, aggressive": {"restart": True},
    "libnice, lite": {"restart": True, "lite": True},
    "aioice": {"restart": False},
}
MODES = ("plain", "trickle", "restart by us", "restart by them")
# Types of our and their end of the selected pair.
WANTED = {"host": ({"host"}, {"host"}), "reflexive": ({"srflx", "prflx"}, {"srflx", "prflx"}),
          "relayed": ({"relay"}, {"relay"})}


def talk(a, b, text):
    """A datagram may be lost while the ends have not agreed: asked again like a person would."""
    for sender in (a, b):
        for attempt in range(20):
            sender.tell(f"send ping {text} {attempt}")
            try:
                answer = sender.wait("pong", 0.5, event="data")
                if answer["text"].startswith(f"pong {text}"):
                    break
            except Failure:
                if attempt == 19:
                    raise


def restart(ours, theirs, first):
    """First restarts, we by a signal; both new descriptions are exchanged."""
    second = theirs if first is ours else ours
    if first is ours:
        ours.signal(signal.SIGUSR1)
    else:
        theirs.tell("restart")
    event = first.wait("restart", event="restart")
    second.tell(*event["description"].split("\r\n"), "")
    answer = second.wait("answer to the restart", event="restart")
    first.tell(*answer["description"].split("\r\n"), "")
    return ours.wait("selected pair of the next generation", event="selected", generation=1)


def check_path(path, mode, selected):
    local, remote = WANTED[path]
    # A check may come before the candidate that it came from.
    if mode == "trickle":
        remote = remote | {"prflx"}
    if selected["local"]["type"] not in local or selected["remote"]["type"] not in remote:
        raise Failure(f"a pair of other types: {selected}")


def start_foreign(*start):
    """One that ends before it has described itself has met nothing of ours yet: aioice gives up when its TURN server
    answers late on a busy machine. It is started once more."""
    agent = Agent(*start)
    try:
        return agent, agent.description()
    except Failure:
        agent.stop()
    agent = Agent(*start)
    try:
        return agent, agent.description()
    except Failure:
        agent.stop()
        raise


def run_cell(args, peer, role, path, transport, mode):
    host_a, host_b = HOSTS[path]
    other = "controlled" if role == "controlling" else "controlling"
    a = Agent(args.lab, host_a, program(args.build, "icetun"), path, transport, role)
    b = None
    try:
        b, foreign = start_foreign(args.lab, host_b, program(args.build, peer), path, "udp", other)
        ours = a.description()
        introduce(b, ours, mode == "trickle")
        introduce(a, foreign, mode == "trickle")
        check_path(path, mode, a.wait("selected pair", event="selected"))
        talk(a, b, "first")
        if mode.startswith("restart"):
            check_path(path, mode, restart(a, b, a if mode == "restart by us" else b))
            talk(a, b, "second")
        return "works"
    except (Failure, OSError) as why:
        if args.verbose:
            print("  ours:", a.log[-12:], "".join(a.errors)[-300:])
            if b:
                print("  theirs:", b.log[-12:], "".join(b.errors)[-300:])
        return str(why)
    finally:
        a.stop()
        if b:
            b.stop()


def cells():
    for peer, path, role, mode in itertools.product(
            PEERS, HOSTS, ("controlling", "controlled"), MODES):
        if mode.startswith("restart") and not PEERS[peer]["restart"]:
            continue
        # A lite agent has public addresses and never controls a full one.
        if PEERS[peer].get("lite") and (path != "host" or role == "controlled"):
            continue
        yield peer, path, "udp", role, mode
    for peer, transport, role in itertools.product(PEERS, ("tcp", "tls"),
                                                   ("controlling", "controlled")):
        if not PEERS[peer].get("lite"):
            yield peer, "relayed", transport, role, "plain"


def format_table(results):
    lines = [
        "# Interoperability", "",
        "What `tests/interop/interop.sh BUILD --write` found: `icetun-sdp-agent`, our ICE agent without a",
        "tunnel, against other implementations in a laboratory of network namespaces. *host*: both have public",
        "addresses; *reflexive*: both behind a port-restricted NAT; *relayed*: both may use relayed candidates",
        "only, ours reached over UDP, TCP or TLS. A cell works when the right kind of pair was selected and",
        "data came back in both directions, after a restart again. A lite agent needs public addresses and never",
        "controls. The test `interop.table` holds the code to this table.", "",
        "Versions: " + ", ".join(f"{n} {v}" for n, v in versions().items()) + " (STUN and TURN server).", "",
        "| peer | path | we are | plain | trickle | restart by us | restart by them |",
        "|---|---|---|---|---|---|---|"]
    rows = {}
    for (peer, path, transport, role, mode), result in results.items():
        name = path if path != "relayed" else f"relayed, {transport.upper()}"
        rows.setdefault((peer, name, role), {})[mode] = result
    for (peer, name, role), row in rows.items():
        found = [row.get(m, "-") for m in MODES]
        lines.append(f"| {peer} | {name} | {role} | " + " | ".join(found) + " |")
    return "\n".join(lines) + "\n"


def read_table(path):
    """The cells of the committed table."""
    found = {}
    with open(path) as f:
        for line in f:
            fields = [x.strip() for x in line.strip().strip("|").split("|")]
            if len(fields) == 7 and fields[0] in PEERS:
                for mode, result in zip(MODES, fields[3:]):
                    found[(fields[0], fields[1], fields[2], mode)] = result
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if args.write and args.only:
        parser.error("--write writes the whole table")
    results = {}
    for cell in cells():
        if args.only not in " ".join(cell):
            continue
        start = time.monotonic()
        results[cell] = run_cell(args, cell[0], cell[3], cell[1], cell[2], cell[4])
        print(f"{cell[0]:20} {cell[1]:10} {cell[2]:4} {cell[3]:12} {cell[4]:16} "
              f"{time.monotonic() - start:5.2f} s  {results[cell]}", flush=True)
    if args.write:
        with open(args.table, "w") as f:
            f.write(format_table(results))
        return 0
    known = read_table(args.table) if os.path.exists(args.table) else {}
    found = {}
    for (peer, path, transport, role, mode), result in results.items():
        name = path if path != "relayed" else f"relayed, {transport.upper()}"
        found[(peer, name, role, mode)] = result
    if not args.only:
        found = {cell: "-" for cell in known} | found
    wrong = [cell for cell in found if known.get(cell) != found[cell]]
    for cell in wrong:
        print(f"{', '.join(cell)}: {found[cell]}; docs/INTEROP.md says {known.get(cell)}")
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
