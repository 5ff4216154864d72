#!/bin/bash
# Every kind of NAT against every other, with real daemons, a rendezvous server and coturn: which pairs
# connect directly and which over a relay, and how long the first packet takes. See `grid.sh --help`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"
# shellcheck source=tests/lab/turn.sh
. "$here/turn.sh"

usage() {
	cat <<-'TEXT'
	Usage: grid.sh [--quick] [--text FILE] [--html FILE] BUILD-DIRECTORY

	Two hosts of each kind, a-KIND and b-KIND, are members of one network. Each a sends a packet
	to each b, with nothing known of it before. The path that both ends report must be the one
	that RFC 4787's properties of the two NATs allow. What the NATs do is measured first.

	  --quick      only some of the kinds
	  --text FILE  writes the table there too
	  --html FILE  writes it as a page
	TEXT
}

# NAME MAPPING FILTERING FAMILIES IS-QUICK. Mapping and filtering are what natprobe.py has to find;
# "none": no UDP.
kinds_all='
public          EI   EI   4  quick
firewall        EI   APD  4  -
full-cone       EI   EI   4  -
restricted-cone EI   AD   4  quick
home            EI   APD  4  quick
cgn             EI   APD  4  quick
dual-stack      EI   APD  46 quick
ipv6            EI   APD  6  quick
address         AD   APD  4  -
sequential      APD  APD  4  -
symmetric-keep  APD  APD  4  -
symmetric       APD  APD  4  quick
udp-blocked     none none 4  quick
'

server4=203.0.113.1 server4_other=203.0.113.3
server6=2001:db8::1 server6_other=2001:db8::3
relay4=203.0.113.2 relay6=2001:db8::2
OVERLAY_PORT=443 # also from where only HTTPS is allowed

# --- The network: `a3` is the host of the third kind on side a, `ra3` its router, `ca3` its carrier's.

on_public_net=() # namespaces
routes=()        # what each of them has to know: PREFIX GATEWAY

net_of() { if [ "$1" = a ]; then echo 198.51.100; else echo 192.0.2; fi; }

site() { # SIDE NUMBER KIND
	local side=$1 number=$2 kind=$3 host=$1$2 net wan wan6 lan6
	net=$(net_of "$side")
	if [ "$side" = a ]; then wan=203.0.113.$((20 + number)); else wan=203.0.113.$((60 + number)); fi
	wan6=2001:db8::$side:$number lan6=2001:db8:$side:$number
	case $kind in
	public)
		lab_public_host "$host" "$wan"
		lab_ip "$host" route add default via $server4 # else icetund takes it for a private wire
		on_public_net+=("$host")
		return ;;
	cgn)
		lab_nat "c$host" home "$wan" "$net.129/25"
		lab_nat "r$host" home "$net.130/25" "$net.1/25" "c$host"
		lab_host "$host" "r$host" "$net.10/25"
		on_public_net+=("c$host")
		return ;;
	ipv6)
		lab_router "r$host" net
		lab_set_nat "r$host" firewall "$wan"
		lab_router_addresses "r$host" "$wan6" "$lan6::1"
		lab_host "$host" "r$host" "$lan6::10" ;;
	dual-stack)
		lab_nat "r$host" home "$wan" "$net.1/25"
		lab_router_addresses "r$host" "$wan6" "$lan6::1"
		lab_host "$host" "r$host" "$net.10/25" "$lan6::10" ;;
	*)
		lab_nat "r$host" "$kind" "$wan" "$net.1/25"
		lab_host "$host" "r$host" "$net.10/25" ;;
	esac
	on_public_net+=("r$host")
	case $kind in
	ipv6 | dual-stack) routes+=("$lan6::/64 $wan6") ;;
	firewall) routes+=("$net.0/25 $wan") ;;
	esac
}

# Hosts that are neighbours: in one home, and in two homes of one carrier.
neighbours() {
	lab_nat rs home 203.0.113.150 198.51.100.1/25
	lab_host s1 rs 198.51.100.10/25
	lab_host s2 rs 198.51.100.11/25
	carrier n home 203.0.113.151
	carrier h hairpin 203.0.113.152
}
carrier() { # LETTER KIND WAN
	lab_nat "c$1" "$2" "$3" 198.51.100.129/25
	lab_nat "r${1}1" home 198.51.100.130/25 198.51.100.1/25 "c$1"
	lab_nat "r${1}2" home 198.51.100.131/25 192.0.2.1/25 "c$1"
	lab_host "${1}1" "r${1}1" 198.51.100.10/25
	lab_host "${1}2" "r${1}2" 192.0.2.10/25
}

know_the_way() {
	local host route prefix gateway
	for host in "${on_public_net[@]}"; do
		for route in ${routes[@]+"${routes[@]}"}; do
			read -r prefix gateway <<<"$route"
			# Not where it is the inside itself, or where that family is missing.
			lab_ip "$host" route add "$prefix" via "$gateway" 2>/dev/null || true
		done
	done
}

build_net() {
	local number
	lab_public_net
	lab_public_host server $server4 $server4_other $server6 $server6_other
	lab_public_host relay $relay4 $relay6
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via $server4
	lab_ip relay -6 route add default via $server6
	on_public_net=(server relay)
	for number in "${!kinds[@]}"; do
		site a "$number" "${kinds[number]}"
		site b "$number" "${kinds[number]}"
	done
	neighbours
	know_the_way
}

# --- What the NATs do

measure_nats() {
	local number side pids=()
	lab_start probe4 server python3 "$here/tools/natprobe.py" serve $server4 $server4_other
	lab_start probe6 server python3 "$here/tools/natprobe.py" serve $server6 $server6_other
	lab_wait 5 "the probe's server listens" lab_has_logged probe4 ready
	lab_wait 5 "the probe's server listens with IPv6" lab_has_logged probe6 ready
	for number in "${!kinds[@]}"; do
		for side in a b; do
			measure_nat $side "$number" &
			pids+=($!)
		done
	done
	wait "${pids[@]}"
	lab_stop probe4 || true
	lab_stop probe6 || true
	for number in "${!kinds[@]}"; do
		for side in a b; do nat_is_right $side "$number"; done
	done
	ok "each of $((${#kinds[@]} * 2)) NATs maps and filters as its kind does"
}
measure_nat() { # SIDE NUMBER
	local one=$server4 other=$server4_other
	[ "${families[$2]}" != 6 ] || one=$server6 other=$server6_other
	lab_exec "$1$2" python3 "$here/tools/natprobe.py" ask $one $other 34000 \
		>"$LAB_DIR/grid/nat.$1$2"
}
nat_is_right() { # SIDE NUMBER
	local mapping filtering
	read -r mapping filtering _ <"$LAB_DIR/grid/nat.$1$2"
	[ "$mapping $filtering" = "${mappings[$2]} ${filterings[$2]}" ] ||
		lab_fail "the NAT of $1-${kinds[$2]} is $mapping / $filtering"
}

# --- The overlay

servers() {
	turn_make_ca
	turn_make_certificate relay $relay4
	turn_start relay relay $relay4 $relay6
	overlay_init
	cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
	[Rendezvous]
	Listen=tcp://*:$OVERLAY_PORT
	Endpoint=tcp://[$server6]:$OVERLAY_PORT
	[Servers]
	Uri=stun:[$server6]
	Uri=turn:$relay4?transport=udp
	Uri=turn:[$relay6]?transport=udp
	Uri=turns:$relay4:443
	TurnSecret=$TURN_SECRET
	CONF
	overlay_start_server
}

host() { # HOST NAME
	overlay_configure "$1"
	printf '[Ice]\nCaFile=%s\n' "$LAB_DIR/ca/ca.pem" >>"$LAB_DIR/$1/icetund.conf"
	overlay_start_host "$1"
	overlay_join "$1" "$2" >/dev/null
	overlay_ictl "$1" up >/dev/null
}

hosts() {
	local number side
	for number in "${!kinds[@]}"; do
		for side in a b; do host $side"$number" "$side-${kinds[number]}"; done
	done
	host s1 home-1
	host s2 home-2
	host n1 carrier-1
	host n2 carrier-2
	host h1 hairpin-1
	host h2 hairpin-2
}
is_relay_ready() { check_is "$1" "any(t['state'] == 'ready' for t in s['turn'])"; }

# first_packet FROM TO: milliseconds until the answer to the very first packet, "-" without one.
first_packet() {
	local to ms
	to=$(overlay_address "$2")
	ms=$(lab_exec "$1" ping -q -c 1 -W 10 "$to" | sed -n 's|^rtt[^=]*= \([0-9.]*\)/.*|\1|p')
	echo "${ms:--}"
}

measure_cells() {
	local a b
	for a in "${!kinds[@]}"; do
		for b in "${!kinds[@]}"; do
			printf '%s\t%s\t%s\n' "${kinds[a]}" "${kinds[b]}" "$(first_packet a"$a" b"$b")"
		done
	done >"$LAB_DIR/grid/cells"
	{
		printf 'home\tdirect\ttwo hosts of one home\t%s\n' "$(first_packet s1 s2)"
		printf 'carrier\trelayed\ttwo homes behind one carrier NAT\t%s\n' \
			"$(first_packet n1 n2)"
		printf 'hairpin\tdirect\ttwo homes behind one carrier NAT that hairpins\t%s\n' \
			"$(first_packet h1 h2)"
	} >"$LAB_DIR/grid/pairs"
}

look() { # the paths that all ends report
	local host
	rm -f "$LAB_DIR"/grid/*.json
	for host in "${all_hosts[@]}"; do
		overlay_ictl "$host" status --json >"$LAB_DIR/grid/$host.json"
	done
}
is_as_expected() { look && python3 "$here/tools/grid.py" "$LAB_DIR/grid"; }

# --- The program

quick=false output=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=true ;;
	--text | --html)
		output+=("$1" "$2")
		shift ;;
	--help | -h) usage; exit ;;
	*) break ;;
	esac
	shift
done
command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }
check_begin "${1?grid.sh: a build directory is missing}"

kinds=() mappings=() filterings=() families=()
mkdir "$LAB_DIR/grid"
while read -r kind mapping filtering family is_quick; do
	[ -n "$kind" ] || continue
	! $quick || [ "$is_quick" = quick ] || continue
	kinds+=("$kind") mappings+=("$mapping") filterings+=("$filtering") families+=("$family")
	printf '%s\t%s\t%s\t%s\n' "$kind" "$mapping" "$filtering" "$family" >>"$LAB_DIR/grid/kinds"
done <<<"$kinds_all"
all_hosts=(s1 s2 n1 n2 h1 h2)
for number in "${!kinds[@]}"; do all_hosts+=(a"$number" b"$number"); done

start=$(lab_now_ms)
build_net
ok "a net of $(lab_namespaces | wc -l) namespaces, $(($(lab_now_ms) - start)) ms"
measure_nats
servers
hosts
ok "${#all_hosts[@]} hosts are up, $(($(lab_now_ms) - start)) ms"
for host in "${all_hosts[@]}"; do lab_wait 20 "$host has a relay" is_relay_ready "$host"; done
ok "each has a relay, $(($(lab_now_ms) - start)) ms"
measure_cells
ok "every first packet was sent, $(($(lab_now_ms) - start)) ms"
lab_is_soon 15 is_as_expected || true
status=0
python3 "$here/tools/grid.py" ${output[@]+"${output[@]}"} "$LAB_DIR/grid" || status=$?
[ $status = 0 ] || lab_fail "some cells are not as they must be"
check_balance "${all_hosts[@]}"
check_logs
ok "$(($(lab_now_ms) - start)) ms"
echo "passed"
