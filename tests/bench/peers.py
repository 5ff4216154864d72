"""What is compared: each class brings one tunnel up between the two hosts of a Pair.

All have the same inner MTU, no log to speak of, and AES-256-GCM where there is a choice. A program that
is not installed raises Missing.
"""

import json
import os
import shutil
import time

from net import OUTER, Missing, run

MTU = 1400


def program(*names):
    for name in names:
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if path:
            return path
    raise Missing(f"{names[0]} is not installed")


class Peer:
    cipher = ""

    def __init__(self, pair):
        self.pair = pair
        self.address = {"a": "10.99.0.1", "b": "10.99.0.2"}

    def version(self):
        return ""

    def set_address(self, host, device):
        p = self.pair
        run("ip", "-n", p.ns[host], "addr", "add", self.address[host] + "/24", "dev", device)
        run("ip", "-n", p.ns[host], "link", "set", device, "mtu", str(MTU), "up")


class NoTunnel(Peer):
    name = "no tunnel"
    cipher = "none"

    def start(self):
        self.address = dict(OUTER)


class Icetun(Peer):
    name = "icetun"
    cipher = "AES-256-GCM"
    build = ""
    settings = ""
    log_level = "error"
    servers = ""
    candidates = {"a": "all", "b": "all"}

    def version(self):
        return run(os.path.join(self.build, "daemon/icetund"), "--version").strip()

    def ictl(self, host, *argv, text=None):
        return self.pair.exec(host, os.path.join(self.build, "ctl/ictl"), "--socket",
                              self.pair.path(host, "control.sock"), *argv, text=text)

    def start(self):
        p = self.pair
        rendezvous = os.path.join(self.build, "rendezvous/icetun-rendezvous")
        if not os.path.exists(rendezvous):
            raise Missing(f"{rendezvous} was not built")
        run(rendezvous, "init", "--dir", p.path("server"), "--name", "bench", "--endpoint",
            f"tcp://{OUTER['a']}:4510")
        with open(p.path("server/rendezvous.conf"), "a", encoding="ascii") as f:
            f.write(self.servers)
        p.start("a", rendezvous, "run", "--config", p.path("server/rendezvous.conf"))
        for h in "ab":
            p.write(f"{h}/icetund.conf", f"[Daemon]\nStateDirectory={p.path(h, 'state')}\n"
                    f"ControlSocket={p.path(h, 'control.sock')}\nLogLevel={self.log_level}\n"
                    f"SignalHelper={self.build}/daemon/signaling/icetun-signal\n"
                    f"[Interface]\nMTU={MTU}\n[Ice]\nAllowInterfaces=eth0\n"
                    f"Candidates={self.candidates[h]}\n{self.settings}")
            p.start(h, os.path.join(self.build, "daemon/icetund"), "--config",
                    p.path(h, "icetund.conf"), daemon=True)
            for _ in range(100):
                if os.path.exists(p.path(h, "control.sock")):
                    break
                time.sleep(0.05)
            token = run(rendezvous, "token", "create", "--dir", p.path("server"), "--uses", "1")
            self.ictl(h, "join", "-", "--name", h, text=token)
            self.ictl(h, "up")
        for h in "ab":
            text = run("ip", "-n", p.ns[h], "-4", "-o", "addr", "show", "dev", "icetun0")
            self.address[h] = text.split(" inet ")[1].split()[0].split("/")[0]


class IcetunNull(Icetun):
    name = "icetun-null"
    cipher = "none"


class IcetunRelayed(Icetun):
    """Over the ChannelData of a coturn on host b, which relays to host b."""
    name = "icetun-relayed"

    def start(self):
        p, secret = self.pair, os.urandom(16).hex()
        p.write("turnserver.conf", f"listening-ip={OUTER['b']}\nlistening-port=3478\nuse-auth-secret\n"
                f"static-auth-secret={secret}\nrealm=bench\nno-cli\nno-tls\nno-dtls\nno-tcp\n"
                f"userdb={p.path('turndb')}\npidfile={p.path('turn.pid')}\nlog-file={p.path('turn.log')}\n"
                "simple-log\nsock-buf-size=4194304\n")
        p.start("b", program("turnserver"), "-c", p.path("turnserver.conf"))
        self.servers = f"[Servers]\nTurnSecret={secret}\nUri=turn:{OUTER['b']}?transport=udp\n"
        self.candidates = {"a": "relay", "b": "all"}
        super().start()
        for _ in range(100):
            kinds = [x["path"]["kind"] for x in json.loads(self.ictl("a", "status", "--json"))["peers"]
                     if x.get("path")]
            if kinds == ["relayed"]:
                return
            p.exec("a", "ping", "-c", "1", "-W", "1", self.address["b"], check=False)
            time.sleep(0.1)
        raise Missing(f"the path is not relayed: {kinds}")


class WireGuardGo(Peer):
    name = "wireguard-go"
    cipher = "ChaCha20-Poly1305"
    binary = ""

    def version(self):
        return run(self.binary, "--version").split("\n")[0]

    def start(self):
        p = self.pair
        self.binary = self.binary or program("wireguard-go")
        program("wg")
        keys = {h: run("wg", "genkey").strip() for h in "ab"}
        public = {h: run("wg", "pubkey", text=keys[h] + "\n").strip() for h in "ab"}
        for h, other in ("ab", "ba"):
            device = f"bwg{h}{os.getpid() % 100000}"  # its socket has the name, for all namespaces
            p.start(h, self.binary, "-f", device, daemon=True, env={"LOG_LEVEL": "error"})
            key = p.write(f"{h}.key", keys[h])
            for _ in range(100):
                if os.path.exists(f"/var/run/wireguard/{device}.sock"):
                    break
                time.sleep(0.05)
            p.exec(h, "wg", "set", device, "listen-port", "51820", "private-key", key, "peer",
                   public[other], "allowed-ips", "10.99.0.0/24", "endpoint",
                   f"{OUTER[other]}:51820")
            self.set_address(h, device)


class OpenVpn(Peer):
    name = "openvpn"
    cipher = "AES-256-GCM"

    def version(self):
        return " ".join(run(program("openvpn"), "--version", check=False).split()[:2])

    def start(self):
        p, prints = self.pair, {}
        binary = program("openvpn")
        for h in "ab":
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", p.path(f"{h}.key"), "-out", p.path(f"{h}.crt"), "-subj",
                f"/CN={h}", "-days", "2")
            text = run("openssl", "x509", "-in", p.path(f"{h}.crt"), "-noout", "-fingerprint",
                       "-sha256")
            prints[h] = text.strip().split("=")[1]
        for h, other in ("ab", "ba"):
            p.start(h, binary, "--dev", "tun0", "--dev-type", "tun", "--proto", "udp",
                    "--local", OUTER[h], "--remote", OUTER[other], "--port", "1194",
                    "--tls-server" if h == "a" else "--tls-client", "--dh", "none",
                    "--cert", p.path(f"{h}.crt"), "--key", p.path(f"{h}.key"),
                    "--peer-fingerprint", prints[other], "--data-ciphers", "AES-256-GCM",
                    "--cipher", "AES-256-GCM", "--disable-dco", "--tun-mtu", str(MTU),
                    "--mssfix", "0", "--sndbuf", "4194304", "--rcvbuf", "4194304", "--txqueuelen",
                    "500", "--ifconfig", self.address[h], self.address[other], "--verb", "0",
                    daemon=True)


class Nebula(Peer):
    name = "nebula"
    cipher = "AES-256-GCM"

    def version(self):
        return run(program("nebula"), "-version").strip()

    def start(self):
        p = self.pair
        binary, cert = program("nebula"), program("nebula-cert")
        run(cert, "ca", "-name", "bench", "-out-crt", p.path("ca.crt"), "-out-key",
            p.path("ca.key"))
        for h, other in ("ab", "ba"):
            run(cert, "sign", "-ca-crt", p.path("ca.crt"), "-ca-key", p.path("ca.key"), "-name", h,
                "-ip", self.address[h] + "/24", "-out-crt", p.path(f"{h}.crt"), "-out-key",
                p.path(f"{h}.key"))
            lighthouse = "am_lighthouse: true" if h == "a" else \
                f"am_lighthouse: false\n  hosts: ['{self.address['a']}']"
            p.write(f"{h}.yml", f"""pki: {{ca: {p.path('ca.crt')}, cert: {p.path(h + '.crt')}, key: {p.path(h + '.key')}}}
static_host_map: {{'{self.address[other]}': ['{OUTER[other]}:4242']}}
lighthouse:
  {lighthouse}
listen: {{host: 0.0.0.0, port: 4242, batch: 64, read_buffer: 4194304, write_buffer: 4194304}}
cipher: aes
punchy: {{punch: true}}
tun: {{dev: nebula1, mtu: {MTU}, tx_queue: 500}}
logging: {{level: error, format: text}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
""")
            p.start(h, binary, "-config", p.path(f"{h}.yml"), daemon=True)


class Tinc(Peer):
    name = "tinc"
    cipher = "AES-256-CBC, SHA-256"

    def version(self):
        return " ".join(run(program("tincd"), "--version").split()[:3])

    def start(self):
        p, binary = self.pair, program("tincd")
        for h, other in ("ab", "ba"):
            p.write(f"{h}/tinc.conf", f"Name={h}\nMode=router\nDeviceType=tun\nInterface=tinc0\n"
                    f"AddressFamily=ipv4\nUDPRcvBuf=4194304\nUDPSndBuf=4194304\n" +
                    (f"ConnectTo={other}\n" if h == "b" else ""))
            p.write(f"{h}/tinc-up", f"#!/bin/sh\nip addr add {self.address[h]}/24 dev $INTERFACE\n"
                    f"ip link set $INTERFACE mtu {MTU} up\n", 0o700)
            p.write(f"{h}/hosts/{h}", f"Address={OUTER[h]}\nSubnet={self.address[h]}/32\n"
                    "Cipher=aes-256-cbc\nDigest=sha256\nPMTU=1500\n")
            run(binary, "-c", p.path(h), "-K", "2048", text="\n\n")
        for h, other in ("ab", "ba"):
            shutil.copy(p.path(h, "hosts", h), p.path(other, "hosts", h))
        for h in "ab":
            p.start(h, binary, "-c", p.path(h), "-D", "--pidfile", p.path(f"{h}.pid"), daemon=True)


class Fastd(Peer):
    name = "fastd"
    cipher = "salsa2012+umac"

    def version(self):
        return run(program("fastd"), "--version").strip()

    def start(self):
        p, binary = self.pair, program("fastd")
        secret, public = {}, {}
        for h in "ab":
            lines = run(binary, "--generate-key", "--machine-readable").split()
            secret[h] = lines[0]
            public[h] = run(binary, "--show-key", "--machine-readable", "--config",
                            p.write(f"{h}.secret", f'secret "{secret[h]}";\n')).strip()
        # One of them waits: handshakes that cross leave them with different sessions.
        for h, other, remote in (("a", "b", ""), ("b", "a", f" remote {OUTER['a']}:10000;")):
            up = p.write(f"{h}.up", f"#!/bin/sh\nip addr add {self.address[h]}/24 dev fastd0\n"
                         f"ip link set fastd0 up\n", 0o700)
            p.write(f"{h}.conf", f"""log level error;
interface "fastd0";
mode tun;
method "salsa2012+umac";
mtu {MTU};
bind {OUTER[h]}:10000;
secret "{secret[h]}";
on up "{up}";
peer "{other}" {{ key "{public[other]}";{remote} }}
""")
            p.start(h, binary, "--config", p.path(f"{h}.conf"), daemon=True)


PEERS = {c.name: c for c in (NoTunnel, Icetun, IcetunNull, IcetunRelayed, WireGuardGo, OpenVpn, Nebula, Tinc,
                             Fastd)}
