#!/bin/bash
# The lab itself: each kind of NAT behaves as lab.sh says. No icetun in it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
lab_begin "icetun-lab-$$" "$(mktemp -d)"
trap 'lab_end; rm -rf "$LAB_DIR"' EXIT

lab_public_net
lab_public_host server 203.0.113.1 203.0.113.2
lab_nat nat-a home 203.0.113.11 198.51.100.1
lab_host alice nat-a 198.51.100.10
lab_start probe server python3 "$here/tools/natprobe.py" serve 203.0.113.1 203.0.113.2
lab_wait 5 "the probe's server listens" lab_has_logged probe ready

port=40000
ask() { lab_exec alice python3 "$here/tools/natprobe.py" ask 203.0.113.1 203.0.113.2 "$1"; }

expect() { # KIND MAPPING FILTERING
	local mapping filtering public
	lab_set_nat nat-a "$1" 203.0.113.11
	port=$((port + 10)) # a new mapping for each question
	read -r mapping filtering public < <(ask $port)
	printf '%-16s mapping %-4s filtering %-4s port %s -> %s\n' "$1" "$mapping" "$filtering" \
		$port "$public"
	[ "$mapping $filtering" = "$2 $3" ] || lab_fail "$1 must be $2 / $3"
}

expect home EI APD
expect full-cone EI EI
expect restricted-cone EI AD
expect address AD APD
expect symmetric APD APD
expect sequential APD APD
expect udp-blocked none none

# A probe that comes from outside first must not take the port away from the host inside.
lab_set_nat nat-a home 203.0.113.11
port=$((port + 10))
lab_exec server bash -c "echo early >/dev/udp/203.0.113.11/$port"
read -r _ _ public < <(ask $port)
[ "$public" = $port ] || lab_fail "home: a probe from outside changed the port ($port -> $public)"
echo "home             keeps its port when the peer's probe comes first"

lab_ip server route add 198.51.100.0/24 via 203.0.113.11
expect open EI EI
