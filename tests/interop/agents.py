"""Agents behind the interface of icetun-sdp-agent, as processes in the laboratory of net.sh."""
import json
import os
import queue
import re
import subprocess
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


class Failure(Exception):
    pass


class Agent:
    """One process; its output is read by a thread, which calls on_line() for each line."""

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
            line = line.rstrip("\r\n")
            self.on_line(line)
            self.lines.put(line)
        self.lines.put(None)

    def on_line(self, line):
        pass

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


def program(build, name):
    """The command of an agent: ours, libnice's in either kind of nomination, lite, or aioice's."""
    tests = os.path.join(build, "tests/interop")
    extra = {"libnice, aggressive": ["--aggressive"], "libnice, lite": ["--lite"]}.get(name, [])
    if name == "icetun":
        return [os.path.join(tests, "icetun-sdp-agent"), "--restart-on", "SIGUSR1"]
    if name == "aioice":
        return ["/usr/bin/python3", os.path.join(HERE, "aioice_agent.py")]
    return [os.path.join(tests, "nice_agent")] + extra


def versions():
    def version(package):
        return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                              capture_output=True, text=True).stdout
    names = {"libnice": "libnice10", "aioice": "python3-aioice", "coturn": "coturn"}
    return {name: re.sub(r"^\d+:|[-+].*$", "", version(package)) for name, package in names.items()}
