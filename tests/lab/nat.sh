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
lab_public_host server 203.0.113.1 203.0.113.2 2001:db8::1 2001:db8::2
lab_nat nat-a home 203.0.113.11 198.51.100.1/25
lab_router_addresses nat-a 2001:db8::11 2001:db8:a::1
lab_host alice nat-a 198.51.100.10/25 2001:db8:a::10
# Another home, whose router is inside of the first one.
lab_nat inner home 198.51.100.20/25 198.51.100.129/25 nat-a
lab_host carol inner 198.51.100.140/25
lab_start probe server python3 "$here/tools/natprobe.py" serve 203.0.113.1 203.0.113.2
lab_start probe6 server python3 "$here/tools/natprobe.py" serve 2001:db8::1 2001:db8::2
lab_wait 5 "the probe's server listens" lab_has_logged probe ready
lab_wait 5 "the probe's server listens with IPv6" lab_has_logged probe6 ready

port=40000
next_port() { port=$((port + 10)); } # a new mapping for each question
ask() { lab_exec alice python3 "$here/tools/natprobe.py" ask 203.0.113.1 203.0.113.2 "$1"; }

expect() { # KIND MAPPING FILTERING
	local mapping filtering
	lab_set_nat nat-a "$1" 203.0.113.11
	next_port
	read -r mapping filtering public < <(ask $port)
	printf '%-16s mapping %-4s filtering %-4s port %s -> %s\n' "$1" "$mapping" "$filtering" \
		$port "$public"
	[ "$mapping $filtering" = "$2 $3" ] || lab_fail "$1 must be $2 / $3"
}

expect6() { # KIND MAPPING FILTERING
	local mapping filtering public
	lab_set_nat nat-a "$1" 203.0.113.11
	next_port
	read -r mapping filtering public < <(lab_exec alice python3 "$here/tools/natprobe.py" ask \
		2001:db8::1 2001:db8::2 $port)
	printf '%-16s IPv6: mapping %-4s filtering %-4s\n' "$1" "$mapping" "$filtering"
	[ "$mapping $filtering" = "$2 $3" ] || lab_fail "$1 must be $2 / $3 with IPv6"
	[ $port = "$public" ] || [ "$public" = 0 ] || lab_fail "$1 translates IPv6"
}

hairpins() { # KIND YES-OR-NO
	lab_set_nat nat-a "$1" 203.0.113.11
	next_port
	local answer
	answer=$(lab_exec alice python3 "$here/tools/natprobe.py" hairpin 203.0.113.1 $port)
	printf '%-16s hairpin %s\n' "$1" "$answer"
	[ "$answer" = "$2" ] || lab_fail "$1: hairpin must be $2"
}

expect home EI APD
expect full-cone EI EI
expect restricted-cone EI AD
expect address AD APD
expect symmetric APD APD
expect symmetric-keep APD APD
[ "$public" = $port ] || lab_fail "symmetric-keep: the first port must be the host's own"
expect hairpin EI EI
expect sequential APD APD
expect tcp-only none none
expect udp-blocked none none

# A probe that comes from outside first must not take the port away from the host inside.
lab_set_nat nat-a home 203.0.113.11
next_port
lab_exec server bash -c "echo early >/dev/udp/203.0.113.11/$port"
read -r _ _ public < <(ask $port)
[ "$public" = $port ] || lab_fail "home: a probe from outside changed the port ($port -> $public)"
echo "home             keeps its port when the peer's probe comes first"

lab_ip server route add 198.51.100.0/24 via 203.0.113.11
expect open EI EI
expect firewall EI APD
lab_ip server route del 198.51.100.0/24

hairpins home no
hairpins hairpin yes

lab_ip server route add 2001:db8:a::/64 via 2001:db8::11
lab_ip alice -6 route get 2001:db8::1 >/dev/null
expect6 open EI EI
expect6 home EI APD
expect6 udp-blocked none none

# A NAT behind a NAT is what the stricter of the two makes of it.
lab_set_nat nat-a full-cone 203.0.113.11
next_port
read -r mapping filtering _ < <(lab_exec carol python3 "$here/tools/natprobe.py" ask \
	203.0.113.1 203.0.113.2 $port)
echo "home in full-cone: mapping $mapping filtering $filtering"
[ "$mapping $filtering" = "EI APD" ] || lab_fail "home in full-cone must be EI / APD"
