#!/usr/bin/python3
"""aioice behind the interface of icetun-sdp-agent (see sdp_agent.c), to be put against it.

	aioice_agent.py --role controlling|controlled [--stun HOST:PORT]
		[--turn URI --user U --password P] [--policy all|relay|host]

aioice nominates aggressively and has no restart.
"""
import argparse
import asyncio
import json
import sys

import aioice


def say(**event):
    print(json.dumps(event), flush=True)


def split(host_port):
    host, port = host_port.rsplit(":", 1)
    return host, int(port)


def make_connection(args):
    options = {"ice_controlling": args.role == "controlling", "use_ipv6": False}
    if args.policy == "relay":
        options["transport_policy"] = aioice.TransportPolicy.RELAY
    if args.stun and args.policy != "host":
        options["stun_server"] = split(args.stun)
    if args.turn and args.policy != "host":
        scheme, rest = args.turn.split(":", 1)
        address, _, query = rest.partition("?")
        options["turn_server"] = split(address)
        options["turn_username"] = args.user
        options["turn_password"] = args.password
        options["turn_ssl"] = scheme == "turns"
        options["turn_transport"] = "tcp" if scheme == "turns" or query.endswith("tcp") else "udp"
    return aioice.Connection(**options)


def describe(connection):
    lines = ["a=ice-ufrag:" + connection.local_username, "a=ice-pwd:" + connection.local_password]
    lines += ["a=candidate:" + c.to_sdp() for c in connection.local_candidates]
    return "\r\n".join(lines + ["a=end-of-candidates"]) + "\r\n"


def place(candidate):
    return {"type": candidate.type, "ip": candidate.host, "port": candidate.port}


async def connect(connection):
    say(event="state", state="checking")
    try:
        await connection.connect()
    except ConnectionError:
        say(event="state", state="failed")
        return
    say(event="state", state="connected")
    say(event="state", state="completed")
    pair = connection._nominated[1]
    say(event="selected", local=place(pair.local_candidate), remote=place(pair.remote_candidate),
        rtt_us=0, generation=0)
    while True:
        try:
            data = await connection.recv()
        except ConnectionError:
            return
        text = data.decode(errors="replace")
        say(event="data", bytes=len(data), text=text)
        if text.startswith("ping "):
            await connection.send(("pong " + text[5:]).encode())


async def take_block(connection, block, running):
    end = False
    for line in block:
        name, _, value = line.partition(":")
        if name == "a=ice-ufrag":
            connection.remote_username = value
        elif name == "a=ice-pwd":
            connection.remote_password = value
        elif name == "a=end-of-candidates":
            end = True
        elif name == "a=candidate":
            await connection.add_remote_candidate(aioice.Candidate.from_sdp(value))
    if end:
        await connection.add_remote_candidate(None)
    if not running:
        running.append(asyncio.ensure_future(connect(connection)))


async def main():
    parser = argparse.ArgumentParser()
    for name in ("role", "stun", "turn", "user", "password", "bind", "policy"):
        parser.add_argument("--" + name)
    args = parser.parse_args()
    connection = make_connection(args)
    await connection.gather_candidates()
    print(describe(connection), flush=True)

    reader = asyncio.StreamReader()
    await asyncio.get_event_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    block, running = [], []
    while line := (await reader.readline()).decode():
        line = line.strip()
        if line == "quit":
            break
        if line.startswith("send "):
            await connection.send(line[5:].encode())
        elif line:
            block.append(line)
        elif block:
            await take_block(connection, block, running)
            block = []
    await connection.close()


asyncio.run(main())
