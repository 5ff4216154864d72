#!/usr/bin/python3
"""The cells of the interoperability table: starts two agents in the laboratory of interop.sh, carries their
descriptions to each other, and asks that data flows both ways. See interop.sh."""
import argparse
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 20
SERVER = "203.0.113.1"
HOSTS = {"host": ("left", "right"), "reflexive": ("alice", "bob"), "relayed": ("alice", "bob")}
ADDRESSES = {"left": "203.0.113.21", "right": "203.0.113.22", "alice": "198.51.100.10",
             "bob": "192.0.2.10"}
TRANSPORTS = {"udp": f"turn:{SERVER}:3478?transport=udp", "tcp": f"turn:{SERVER}:3478?transport=tcp",
              "tls": f"turns:{SERVER}:443?transport=tcp"}
PEERS = {
    "libnice, regular": {"restart": True, "extra": []},
    "libnice, aggressive": {"restart": True, "extra": ["--aggressive"]},
    "libnice, lite": {"restart": True, "extra": ["--lite"], "lite": True},
    "aioice": {"restart": False, "extra": []},
}
MODES = ("plain", "trickle", "restart by us", "restart by them")
# Types of our and their end of the selected pair.
WANTED = {"host": ({"host"}, {"host"}), "reflexive": ({"srflx", "prflx"}, {"srflx", "prflx"}),
          "relayed": ({"relay"}, {"relay"})}


class Failure(Exception):
    pass


class Agent:
    """One process; its output is read by a thread."""

    def __init__(self, lab, host, command, path, transport, role):
        policy = {"host": "host", "reflexive": "all", "relayed": "relay"}[path]
        command = command + ["--role", role, "--policy", policy, "--bind", ADDRESSES[host]]
        if path == "reflexive":
            command += ["--stun", f"{SERVER}:3478"]
        if path == "relayed":
            command += ["--turn", TRANSPORTS[transport], "--user", "alice", "--password", "secret"]
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{lab}-{host}", "--"] + command, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.lines = queue.Queue()
        self.errors = []
        self.log = []
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\r\n"))
        self.lines.put(None)

    def line(self, end):
        try:
            line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            raise Failure("silent") from None
        if line is None:
            raise Failure("ended: " + "".join(self.errors)[-200:])
        self.log.append(line)
        return line

    def description(self):
        end, lines = time.monotonic() + PATIENCE_S, []
        while line := self.line(end):
            lines.append(line)
        return lines

    def wait(self, what, patience_s=PATIENCE_S, **wanted):
        """The next event that has all that is wanted."""
        end = time.monotonic() + patience_s
        while True:
            try:
                event = json.loads(self.line(end))
            except Failure as why:
                raise Failure(f"no {what} ({why})") from None
            if event.get("state") == "failed":
                raise Failure(f"failed instead of {what}")
            if all(event.get(k) == v for k, v in wanted.items()):
                return event

    def tell(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        try:
            self.tell("quit")
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def introduce(to, description, trickle):
    candidates = [x for x in description if x.startswith("a=candidate:")]
    if not trickle:
        to.tell(*description, "")
        return
    to.tell(*[x for x in description if x not in candidates and x != "a=end-of-candidates"], "")
    for candidate in candidates:
        time.sleep(0.02)
        to.tell(candidate, "")
    to.tell("a=end-of-candidates", "")


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


def run_cell(args, peer, role, path, transport, mode):
    host_a, host_b = HOSTS[path]
    build = os.path.join(args.build, "tests/interop")
    theirs = ([os.path.join(build, "nice_agent")] if peer.startswith("libnice")
              else ["/usr/bin/python3", os.path.join(HERE, "aioice_agent.py")])
    other = "controlled" if role == "controlling" else "controlling"
    ours = [os.path.join(build, "icetun-sdp-agent"), "--restart-on", "SIGUSR1"]
    a = Agent(args.lab, host_a, ours, path, transport, role)
    b = Agent(args.lab, host_b, theirs + PEERS[peer]["extra"], path, "udp", other)
    try:
        ours, foreign = a.description(), b.description()
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
            print("  theirs:", b.log[-12:], "".join(b.errors)[-300:])
        return str(why)
    finally:
        a.stop()
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


def versions():
    def version(package):
        return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                              capture_output=True, text=True).stdout
    names = {"libnice": "libnice10", "aioice": "python3-aioice", "coturn": "coturn"}
    return {name: re.sub(r"^\d+:|[-+].*$", "", version(package)) for name, package in names.items()}


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
