#!/usr/bin/env python3
"""ictl as a process, against the real control server with scripted answers and against bad daemons.

    test_ictl.py ICTL FAKE_ICETUND SOURCE [--update]

What it prints is compared with ictl.golden beside this file; --update writes that file anew (then
read the difference before you commit it).
"""
import base64
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../support"))
from fake_daemon import FakeDaemon  # noqa: E402

ICTL, FAKE, SOURCE = sys.argv[1:4]
GOLDEN = os.path.join(os.path.dirname(__file__), "ictl.golden")
INTERFACE = "net.icetun.Control"
NOBODY = 65534


def token_bytes():
    """A token as daemon/core/cert/token.h describes it, before base64."""
    def head(major, n):
        return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n])

    def text(s):
        return head(3, len(s)) + s.encode()

    def octets(n):
        return head(2, n) + b"\x42" * n

    body = (b"\xa5\x01" + text("home") + b"\x02\x81" + text("tcp://rv.example:7000") +
            b"\x03" + octets(32) + b"\x04" + octets(32) + b"\x05" + octets(16))
    return body + hashlib.blake2b(body).digest()[:4]


TOKEN = "icetun1." + base64.urlsafe_b64encode(token_bytes()).decode().rstrip("=")


def ictl(path, *args, stdin="", env=None, **more):
    """Return: exit code, standard output, standard error."""
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "ICETUN_SOCKET": path, **(env or {})}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            environment[name] = os.environ[name]
    done = subprocess.run([ICTL, *args], input=stdin.encode(), env=environment, timeout=60,
                          capture_output=True, check=False, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def expect(code, result, *fragments):
    """The exit code, and each fragment somewhere in what was printed."""
    assert result[0] == code, result
    for fragment in fragments:
        assert fragment in result[1] + result[2], (fragment, result)
    if code not in (0,):
        assert re.fullmatch(r"ictl: [^\n]+\n {6}[^\n]+\n", result[2]), result


class BadDaemon:
    """Listens, and does with the first connection what it is told."""

    def __init__(self, behave):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(behave,), daemon=True)

    def serve(self, behave):
        connection, _ = self.listener.accept()
        with connection:
            try:
                behave(connection, self.done)
            except OSError:
                pass  # the client has gone: its right

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join(30)
        self.listener.close()
        self.directory.cleanup()


def read_request(connection):
    data = b""
    while not data.endswith(b"\0"):
        data += connection.recv(65536) or b"\0"
    return data


def answer(*messages):
    """A daemon that answers the first request with these, then hangs."""
    def behave(connection, done):
        read_request(connection)
        for message in messages:
            connection.sendall(json.dumps(message).encode() + b"\0")
        done.wait(60)
    return behave


# Title, options of the daemon, arguments of ictl, standard input.
CASES = (
    ("status", [], ["status"], ""),
    ("status --json", [], ["status", "--json"], ""),
    ("status, unjoined", ["--state", "unjoined"], ["status"], ""),
    ("status, down", ["--state", "down"], ["status"], ""),
    ("status, starting", ["--state", "starting"], ["status"], ""),
    ("status, offline", ["--state", "offline"], ["status"], ""),
    ("status, failed", ["--state", "failed"], ["status"], ""),
    ("peers", [], ["peers"], ""),
    ("peers, none", ["--state", "down"], ["peers"], ""),
    ("up", [], ["up"], ""),
    ("up --no-wait", [], ["up", "--no-wait"], ""),
    ("up fails", ["--fail", "Up=RouteOverlap:10.66.0.0/16 via eth0"], ["up"], ""),
    ("down", [], ["down"], ""),
    ("leave", [], ["leave"], ""),
    ("join", [], ["join", "-", "--name", "alice"], TOKEN + "\n"),
    ("join, name taken", ["--fail", "Join=NameTaken:alice"], ["join", "-", "-n", "alice"], TOKEN),
    ("join, damaged token", [], ["join", "-", "--name=alice"], TOKEN[:-1]),
    ("join, no token", [], ["join", "-", "--name=alice"], "hello\n"),
    ("join, bad name", [], ["join", "-", "--name=Alice!"], TOKEN),
    ("ping", ["--lose", "1"], ["ping", "bob", "-c", "3", "-i0.01"], ""),
    ("ping --json", ["--lose", "1"], ["ping", "10.66.0.2", "--json", "-c2"], ""),
    ("ping, no reply", ["--lose", "2"], ["ping", "bob", "-c", "2"], ""),
    ("ping, absent", ["--fail", "Ping=PeerAbsent"], ["ping", "bob"], ""),
    ("offload", [], ["offload"], ""),
    ("offload --json", [], ["offload", "--json"], ""),
    ("offload off", [], ["offload", "udp-gro", "off"], ""),
    ("offload, unknown", [], ["offload", "magic", "on"], ""),
    ("restart-ice", [], ["restart-ice", "bob"], ""),
    ("restart-ice, no session", ["--fail", "RestartIce=NoSession:bob"], ["restart-ice", "bob"], ""),
    ("events", ["--fail", "Events=NotUp"], ["events"], ""),
    ("events --json", ["--fail", "Events=NotUp"], ["events", "--json"], ""),
    ("help", [], ["help"], ""),
    ("help exit-codes", [], ["help", "exit-codes"], ""),
    ("help up", [], ["help", "up"], ""),
    ("no command", [], [], ""),
    ("unknown command", [], ["statsu"], ""),
)


def test_golden():
    version = ictl("/x", "--version")[1].split()[1]
    out = []
    for title, options, args, stdin in CASES:
        with FakeDaemon(FAKE, *options) as daemon:
            code, stdout, stderr = ictl(daemon.path, *args, stdin=stdin)
        stdout = stdout.replace(f'"version": "{version}"', '"version": "VERSION"')
        out.append(f"==== {title}\n{stdout}")
        out.append("".join(f"! {line}\n" for line in stderr.splitlines()))
        out.append(f"exit {code}\n\n")
        for line in stdout.splitlines():
            assert line == line.rstrip(), f"blanks at the end of {line!r}"
    text = "".join(out)
    if "--update" in sys.argv:
        with open(GOLDEN, "w", encoding="utf-8") as file:
            file.write(text)
    with open(GOLDEN, encoding="utf-8") as file:
        golden = file.read()
    if text != golden:
        with tempfile.NamedTemporaryFile("w", suffix=".golden", encoding="utf-8") as now:
            now.write(text)
            now.flush()
            subprocess.run(["diff", "-u", GOLDEN, now.name], check=False)
        raise AssertionError("the output differs from ictl.golden")


def exit_codes():
    """Name -> code, as ictl itself lists them."""
    rows = re.findall(r"^ +(\d+)  (\w+) ", ictl("/x", "help", "exit-codes")[1], re.M)
    return {name: int(code) for code, name in rows}


def test_every_problem():
    """Each problem of the interface ends ictl with its own code and sentences, in all commands."""
    codes = exit_codes()
    assert len(set(codes.values())) == len(codes), "two problems share a code"
    with open(os.path.join(SOURCE, "docs/icetun.varlink"), encoding="ascii") as file:
        errors = re.findall(r"^error (\w+)", file.read(), re.M)
    assert len(errors) > 20
    sentences = set()
    for error in errors:
        with FakeDaemon(FAKE, "--fail", f"Leave={error}:the thing") as daemon:
            result = ictl(daemon.path, "leave")
            expect(codes[error], result, ": the thing\n")
            sentences.add(result[2])
    assert len(sentences) == len(errors)
    for method, args in (("Join", ["join", "-", "-nx"]), ("Up", ["up"]), ("Down", ["down"]),
                         ("RestartIce", ["restart-ice", "bob"]),
                         ("SetOffload", ["offload", "udp-gro", "on"]), ("Events", ["events"]),
                         ("Ping", ["ping", "bob"]), ("Ping", ["ping", "bob", "--json"])):
        with FakeDaemon(FAKE, "--fail", f"{method}=ServerRefused") as daemon:
            expect(22, ictl(daemon.path, *args, stdin=TOKEN))


def test_documented():
    """docs/CONTROL.md has the same table of exit codes."""
    with open(os.path.join(SOURCE, "docs/CONTROL.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", file.read(), re.M)
    listed = {name: int(code) for code, name in rows}
    assert listed == exit_codes(), set(listed.items()) ^ set(exit_codes().items())


def test_tokens():
    with FakeDaemon(FAKE) as daemon, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"\n  {TOKEN}\r\n\n")
        name = ["--name", "a"]
        for args in ([f"@{path}"], ["--token-file", path], [f"--token-file={path}"], [TOKEN]):
            expect(0, ictl(daemon.path, "join", *args, *name), "joined home as a: 10.66.0.1")
        big = "icetun1." + "A" * 100000
        expect(10, ictl(daemon.path, "join", "-", *name, stdin=big))
        expect(10, ictl(daemon.path, "join", big[:90000], *name))
        expect(10, ictl(daemon.path, "join", "-", *name, stdin="icetun1.\0" + TOKEN))
        expect(10, ictl(daemon.path, "join", "-", *name, stdin=""))
        expect(10, ictl(daemon.path, "join", "@/nonexistent", *name), "/nonexistent")
        expect(10, ictl(daemon.path, "join", f"@{directory}", *name))
        expect(18, ictl(daemon.path, "join", TOKEN.replace("icetun1", "icetun9"), *name))
        expect(2, ictl(daemon.path, "join", TOKEN, "--token-file", path, *name))
        expect(2, ictl(daemon.path, "join", *name))
        for i in range(8, len(TOKEN), 7):
            changed = TOKEN[:i] + ("A" if TOKEN[i] != "A" else "B") + TOKEN[i + 1:]
            expect(11, ictl(daemon.path, "join", "-", *name, stdin=changed))
        for bad in ("", "-a", "a-", "A", "a b", "a" * 64, "\x1b[31m", "\xff"):
            result = ictl(daemon.path, "join", "-", f"--name={bad}", stdin=TOKEN)
            expect(15, result)
            assert "\x1b" not in result[2]
        host = socket.gethostname().split(".")[0].lower()
        code = 0 if re.fullmatch(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", host) else 15
        expect(code, ictl(daemon.path, "join", "-", stdin=TOKEN))


def test_token_leaves_the_process_list():
    with FakeDaemon(FAKE, "--hang", "Join") as daemon:
        process = subprocess.Popen([ICTL, "--socket", daemon.path, "join", TOKEN, "--name", "a"])
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            # It is there until ictl has read it; wait for that.
            while TOKEN.encode() in (line := file.read()) or b"join" not in line:
                file.seek(0)
        process.kill()
        process.wait()


def test_no_daemon():
    with tempfile.TemporaryDirectory() as directory:
        missing = os.path.join(directory, "sock")
        for args in (["status"], ["status", "--json"], ["peers"], ["up"], ["down"], ["leave"],
                     ["ping", "bob"], ["join", "-", "-na"]):
            expect(3, ictl(missing, *args, stdin=TOKEN), missing)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(missing)  # as a killed daemon leaves it
            expect(3, ictl(missing, "status"))
        file = os.path.join(directory, "file")
        with open(file, "wb"):
            pass
        expect(3, ictl(file, "status"))
    expect(2, ictl("/" + "a" * 200, "status"), "too long")
    expect(3, ictl("", "status", "--socket=/nonexistent"), "/nonexistent")
    expect(3, ictl("/x", "--socket", "/nonexistent", "status"), "/nonexistent")


def test_permissions():
    if os.geteuid() != 0:
        print("not root: permissions are not tried")
        return

    def become_nobody():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    global ICTL
    kept = ICTL
    with FakeDaemon(FAKE) as daemon, tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        ICTL = shutil.copy(kept, directory)
        os.chmod(daemon.directory.name, 0o755)
        run = {"preexec_fn": become_nobody, "cwd": "/"}
        expect(4, ictl(daemon.path, "status", **run))
        expect(4, ictl(daemon.path, "up", **run))
        # Whoever may connect but not change: the daemon says so.
        os.chmod(daemon.path, stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        expect(4, ictl(daemon.path, "up", **run), "permission")
        expect(4, ictl(daemon.path, "status", "--json", **run))
        ICTL = kept


def test_bad_daemons():
    def hang_up(connection, _):
        read_request(connection)

    def garbage(connection, _):
        read_request(connection)
        connection.sendall(b"\x00\xff{]")

    def endless(connection, _):
        while True:
            connection.sendall(b"[" * 65536)

    def cut(connection, _):
        read_request(connection)
        connection.sendall(b'{"parameters":')

    def slow(connection, done):
        read_request(connection)
        for byte in b'{"parameters":{"schema":"icetun.peers/1","peers":[]}}\0':
            connection.sendall(bytes([byte]))
        done.wait(60)

    for behave, code in ((hang_up, 3), (garbage, 9), (endless, 3), (cut, 3), (slow, 0),
                         (answer([]), 9), (answer({}), 9), (answer({"parameters": 1}), 9),
                         (answer({"error": "org.varlink.service.MethodNotFound"}), 9),
                         (answer({"error": "x"}), 9), (answer({"error": 1}), 9),
                         (answer({"parameters": {"peers": [1, {}, {"path": 1}]}}), 0),
                         (answer({"parameters": {"peers": 5}}), 0)):
        with BadDaemon(behave) as daemon:
            expect(code, ictl(daemon.path, "peers"))
    for parameters in ({}, {"status": 1}, {"status": {"peers": [], "stun": [1], "drops": {},
                                                      "candidates": [[]], "mtu_bytes": -1}}):
        with BadDaemon(answer({"parameters": parameters})) as daemon:
            expect(0, ictl(daemon.path, "status"))


def test_newer_daemon():
    """A problem that this ictl does not know is told in the daemon's words."""
    error = {"error": f"{INTERFACE}.Newer",
             "parameters": {"text": "the moon is full", "advice": "Wait.", "detail": "13"}}
    with BadDaemon(answer(error)) as daemon:
        expect(1, ictl(daemon.path, "down"), "ictl: the moon is full: 13\n      Wait.\n")


def test_terminal_codes_are_taken_out():
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\r\n\tx"
    peer = {"name": evil, "addresses": [evil], "state": evil, "last_error": evil,
            "path": {"kind": evil, "remote": evil}}
    reply = {"parameters": {"peers": [peer], "status": {"peers": [peer], "network": evil,
                                                        "rendezvous": {"endpoint": evil}}}}
    for command in ("peers", "status"):
        with BadDaemon(answer(reply)) as daemon:
            code, stdout, _ = ictl(daemon.path, command)
            assert code == 0
            for character in stdout.replace("\n", ""):
                assert character.isprintable(), repr(stdout)


def test_timeouts():
    with FakeDaemon(FAKE, "--hang", "Join") as daemon:
        expect(50, ictl(daemon.path, "join", "-", "-na", "--timeout", "0.2", stdin=TOKEN))
    with FakeDaemon(FAKE, "--hang", "Up") as daemon:
        result = ictl(daemon.path, "up", "--timeout=0.2")
        expect(50, result, "device icetun0 is ready")
        expect(0, ictl(daemon.path, "up", "--no-wait"))
    for bad in ("x", "", "-1", "1e3", "nan", "inf", "0", "99999999999"):
        expect(2, ictl("/x", "up", "--timeout", bad))


def test_usage():
    for args in (["up", "--nothing"], ["up", "-x"], ["up", "extra"], ["status", "--json=1"],
                 ["ping"], ["restart-ice"], ["offload", "udp-gro"], ["offload", "udp-gro", "maybe"], ["events", "x"], ["ping", "a", "b"], ["ping", "a", "-c"], ["ping", "a", "-c", "0"],
                 ["ping", "a", "-c", "1x"], ["ping", "a", "-c", "99999999999999999999"],
                 ["ping", "a", "-i", "0.001"], ["help", "nothing"], ["--nothing"], ["--socket"],
                 ["--nothing", "status"]):
        expect(2, ictl("/x", *args))
    for name in ("b/b", "", "\x1b[31m", "a" * 100):
        expect(30, ictl("/x", "ping", name))
    for command in ("join", "up", "status", "peers", "ping", "down", "leave", "help", "events",
                    "restart-ice", "offload"):
        result = ictl("/x", "help", command)
        expect(0, result, f"Usage: ictl {command}")
        assert ictl("/x", command, "--help") == result
        assert ictl("/x", command, "-h") == result
    with open("/dev/full", "wb") as full:
        done = subprocess.run([ICTL, "help"], stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1, done


def on_terminal(path, args, keys=b"", env=None):
    """Return: exit code and output of ictl with a terminal for all three streams."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"ICETUN_SOCKET": path, **(env or {})})
        os.execv(ICTL, ["ictl", *args])
    os.write(fd, keys)
    output = b""
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        output += data
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()


def test_terminal():
    with FakeDaemon(FAKE) as daemon:
        code, output = on_terminal(daemon.path, ["leave"], b"n\n")
        assert code == 51 and "[y/N]" in output and "left" not in output, output
        code, output = on_terminal(daemon.path, ["leave"], b"\x04")
        assert code == 51, output
        code, output = on_terminal(daemon.path, ["leave"], b"y\n")
        assert code == 0 and "left the network" in output, output
        code, output = on_terminal(daemon.path, ["leave", "--yes"])
        assert code == 0 and "[y/N]" not in output, output
        assert "\x1b[32mconnected\x1b[0m" in on_terminal(daemon.path, ["peers"])[1]
        assert "\x1b" not in on_terminal(daemon.path, ["peers"], env={"NO_COLOR": "1"})[1]
        assert "\x1b" not in ictl(daemon.path, "peers")[1]


def test_interrupted_ping():
    pong = {"parameters": {"seq": 1, "lost": False, "name": "bob", "rtt_us": 5},
            "continues": True}
    for messages, code, last in (((pong,), 0, "1 sent, 1 replies, 0 % lost; time"), ((), 33, "")):
        with BadDaemon(answer(*messages)) as daemon:
            process = subprocess.Popen([ICTL, "--socket", daemon.path, "ping", "bob"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if messages:
                assert "reply from bob" in process.stdout.readline()
            else:
                # It is caught as soon as the request is under way.
                while f"SigBlk:\t{2:016x}" not in open(f"/proc/{process.pid}/status").read():
                    pass
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=30)
            assert process.returncode == code, (stdout, stderr)
            assert last in stdout, stdout


def main():
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    for test in tests:
        test()
        print("ok", test.__name__)


main()
