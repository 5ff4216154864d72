"""One measurement each, between the hosts of a peer that is up. All return a dictionary of numbers."""

import json
import os
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def machine_busy():
    """Seconds that all processors were busy since some time, and that they were stolen. What was
    idle is known to the microsecond; what kind of work it was is only sampled at ticks, and work in
    short pieces falls between them."""
    with open("/proc/stat", encoding="ascii") as f:
        v = [int(x) for x in f.readline().split()[1:]]
    steal = v[7] / TICKS
    return time.monotonic() * os.cpu_count() - (v[3] + v[4]) / TICKS - steal, steal


def processes(pids):
    """The pids and all their children."""
    found = set(pids)
    for entry in sorted(int(e) for e in os.listdir("/proc") if e.isdigit()):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) in found:
                    found.add(entry)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def cpu_of(pids):
    total = 0
    for pid in processes(pids):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                v = f.read().rsplit(")", 1)[1].split()
            total += int(v[11]) + int(v[12])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / TICKS


def rss_mb(pids):
    """Resident memory of the largest process: the one that has the tunnel."""
    largest = 0
    for pid in processes(pids):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                largest = max([largest] + [int(line.split()[1]) for line in f
                                           if line.startswith("VmRSS")])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return largest / 1024


class Iperf:
    """iperf3 between the hosts; ends with the `with`."""

    def __init__(self, peer, seconds, *options):
        self.peer, self.seconds, self.options = peer, seconds, options

    def __enter__(self):
        p = self.peer.pair
        self.server = subprocess.Popen(p.argv("b", "iperf3", "-s", "-1", "-p", "5201"),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            if p.exec("b", "ss", "-Hltn", "sport = :5201"):
                break
            time.sleep(0.02)
        self.client = subprocess.Popen(
            p.argv("a", "iperf3", "-J", "-c", self.peer.address["b"], "-p", "5201", "-C",
                   "cubic", "-t", str(self.seconds), *self.options), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        return self

    def result(self):
        out, _ = self.client.communicate(timeout=self.seconds + 30)
        r = json.loads(out)
        if "error" in r:
            raise RuntimeError(f"iperf3 over {self.peer.name}: {r['error']}")
        return r["end"]

    def __exit__(self, *_):
        for p in (self.client, self.server):
            if p.poll() is None:
                try:
                    p.wait(2)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()


def tcp(peer, seconds, *options):
    frames = peer.pair.frames()
    with Iperf(peer, seconds, *options) as i:
        end = i.result()
    after = peer.pair.frames()
    bits = end["sum_received"]["bits_per_second"]
    if "sum_received_bidir_reverse" in end:
        bits += end["sum_received_bidir_reverse"]["bits_per_second"]
    return {"gbit_s": bits / 1e9, "retransmits": end["sum_sent"].get("retransmits", 0),
            "frame_bytes": (after[1] - frames[1]) / max(1, after[0] - frames[0])}


def cpu(peer, seconds, gbit):
    """At a fixed load: seconds of processor for each gigabyte that arrives."""
    daemons = peer.pair.daemons
    with Iperf(peer, seconds, "-b", f"{gbit}G") as i:
        time.sleep(0.5)
        busy, own, start = machine_busy(), cpu_of(daemons), time.monotonic()
        time.sleep(seconds - 1)
        busy2, own2, end = machine_busy(), cpu_of(daemons), time.monotonic()
        result = i.result()
    rate = result["sum_received"]["bits_per_second"] / 8e9
    gigabytes = rate * (end - start)
    programs = result["cpu_utilization_percent"]
    iperf = (programs["host_total"] + programs["remote_total"]) / 100 * (end - start)
    return {"machine_s_gb": (busy2[0] - busy[0]) / gigabytes,
            "processes_s_gb": (own2 - own + iperf) / gigabytes,
            "daemons_s_gb": (own2 - own) / gigabytes, "gbit_s": rate * 8}


def ping(peer, count, interval=0.01):
    text = peer.pair.exec("a", "ping", "-n", "-i", str(interval), "-c", str(count),
                          peer.address["b"], check=False)
    times = sorted(float(line.split("time=")[1].split()[0]) for line in text.splitlines()
                   if "time=" in line)
    if not times:
        raise RuntimeError(f"no ping over {peer.name} was answered")
    return {"p50_ms": times[len(times) // 2], "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)],
            "lost": count - len(times)}


def ping_loaded(peer, seconds):
    with Iperf(peer, seconds) as i:
        time.sleep(0.5)
        r = ping(peer, int((seconds - 1) * 100))
        r["gbit_s"] = i.result()["sum_received"]["bits_per_second"] / 1e9
    return r


def udp_step(peer, tool, size, rate, seconds):
    p = peer.pair
    receiver = subprocess.Popen(p.argv("b", tool, "receive", peer.address["b"], "5202"),
                                stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    sent = int(p.exec("a", tool, "send", peer.address["b"], "5202", str(size), str(rate),
                      str(seconds)).split()[0])
    out, _ = receiver.communicate(timeout=20)
    return sent, int(out.split()[0])


def udp(peer, tool, size, seconds=1.0):
    """The highest rate of datagrams of `size` bytes inside the tunnel's packets at which less than
    one in a thousand is lost: doubled until it fails, then halved into."""
    low, high, best = 0, 0, 0.0
    rate = 20000
    for _ in range(14):
        sent, received = udp_step(peer, tool, size, rate, seconds)
        kept_pace = sent >= rate * seconds * 0.98
        if kept_pace and received >= sent * 0.999:
            low, best = rate, received / seconds
        else:
            high = rate
        if high and high - low < low * 0.06:
            break
        rate = (low + high) // 2 if high else rate * 2
        if rate < 1000:
            break
    return {"packets_s": best}
