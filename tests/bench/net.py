"""Two hosts on one cable, as network namespaces, and programs in them.

Addresses are from the documentation ranges; devices are made inside of namespaces only. Everything
that a Pair has made goes away with Pair.close().
"""

import os
import signal
import subprocess
import time

OUTER = {"a": "203.0.113.1", "b": "203.0.113.2"}


class Missing(Exception):
    """A program that is not installed, or does not come up: the peer is left out, and why."""


def run(*argv, text=None, check=True):
    r = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if check and r.returncode:
        raise Missing(f"{' '.join(argv)}: {(r.stderr or r.stdout).strip()[-300:]}")
    return r.stdout


class Pair:
    """Hosts "a" and "b" of one peer of the comparison; `wire_like`: frames are cut to wire size;
    `pinned`: each host has one processor."""

    def __init__(self, name, directory, wire_like, pinned=False):
        self.name, self.dir, self.pinned = name, directory, pinned
        self.processes, self.daemons = [], []
        os.makedirs(directory, exist_ok=True)
        self.ns = {h: f"icebench-{os.getpid()}-{name}-{h}" for h in "ab"}
        for h in "ab":
            run("ip", "netns", "add", self.ns[h])
            run("ip", "-n", self.ns[h], "link", "set", "lo", "up")
        run("ip", "-n", self.ns["a"], "link", "add", "eth0", "type", "veth",
            "peer", "name", "eth0", "netns", self.ns["b"])
        for h in "ab":
            run("ip", "-n", self.ns[h], "addr", "add", OUTER[h] + "/24", "dev", "eth0")
            run("ip", "-n", self.ns[h], "link", "set", "eth0", "up")
            self.exec(h, "ping", "-c", "1", "-W", "1", OUTER[h])
            if wire_like:
                # Trains are cut before the cable, and joined again, if at all, behind it.
                self.exec(h, "ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "on",
                          "tx-udp-segmentation", "off")
            if pinned:
                # What a host receives is its own work, not that of the other one, which sent it.
                run("ip", "netns", "exec", self.ns[h], "sh", "-c",
                    f"echo {1 << 'ab'.index(h)} >/sys/class/net/eth0/queues/rx-0/rps_cpus")

    def argv(self, host, *argv):
        processor = ["taskset", "-c", str("ab".index(host))] if self.pinned else []
        return [*processor, "nsenter", f"--net=/run/netns/{self.ns[host]}", "--", *argv]

    def exec(self, host, *argv, text=None, check=True):
        return run(*self.argv(host, *argv), text=text, check=check)

    def start(self, host, *argv, daemon=False, env=None):
        """A program in the background. `daemon`: its processor time and memory count as the peer's."""
        log = open(os.path.join(self.dir, f"log.{host}.{os.path.basename(argv[0])}"), "ab")
        p = subprocess.Popen(self.argv(host, *argv), stdin=subprocess.DEVNULL, stdout=log,
                             stderr=subprocess.STDOUT, start_new_session=True,
                             env={**os.environ, **(env or {})})
        log.close()
        self.processes.append(p)
        if daemon:
            self.daemons.append(p.pid)
        return p

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def wait_ping(self, host, address, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r = subprocess.run(self.argv(host, "ping", "-c", "1", "-W", "1", "-q", address),
                               capture_output=True, check=False)
            if r.returncode == 0:
                return
            time.sleep(0.1)
        raise Missing(f"{self.name}: no answer from {address} within {seconds} s")

    def frames(self):
        """Frames that went over the cable, both ways, and their bytes."""
        text = self.exec("a", "cat", "/proc/net/dev")
        fields = text[text.index("eth0:") + 5:].split("\n")[0].split()
        return int(fields[1]) + int(fields[9]), int(fields[0]) + int(fields[8])

    def close(self):
        for p in reversed(self.processes):
            try:
                os.killpg(p.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        for p in self.processes:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
        for h in "ab":
            for pid in run("ip", "netns", "pids", self.ns[h], check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            run("ip", "netns", "delete", self.ns[h], check=False)
