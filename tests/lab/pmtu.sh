#!/bin/bash
# How long packets may be, with real programs: networks of several sizes, TUN devices for jumbo frames, a
# network that shrinks during a transfer and says nothing, a relayed path. Argument: a build directory.
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

tun_mtu=8900
overhead=60 # IPv4, UDP, header and tag of the tunnel
step=8	    # sizes are found to within this
has_relay=no
! command -v turnserver >/dev/null || has_relay=yes

set_up() {
	overlay_net home home
	lab_public_host relay 203.0.113.2
	for host in alice bob server relay nat-a nat-b net; do widen $host; done
	overlay_init
	if [ $has_relay = yes ]; then
		# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
		lab_ip relay route add default via 203.0.113.1
		turn_start relay relay 203.0.113.2
		cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
		[Servers]
		Uri=turn:203.0.113.2?transport=udp
		TurnSecret=$TURN_SECRET
		CONF
	fi
	overlay_start_server
	for host in alice bob; do
		overlay_configure $host
		printf '[Interface]\nMTU=%s\n' $tun_mtu >>"$LAB_DIR/$host/icetund.conf"
	done
	overlay_bring_up alice bob
	alice=$(overlay_address alice) alice6=$(overlay_address alice 6)
	bob=$(overlay_address bob) bob6=$(overlay_address bob 6)
}

# Every link of HOST takes jumbo frames.
widen() {
	local device
	for device in $(lab_ip "$1" -o link show | sed -n 's/^[0-9]*: \([^:@]*\).*/\1/p'); do
		[ "$device" = lo ] || lab_ip "$1" link set "$device" mtu 9000
	done
}

# The routers reach each other with packets of so many bytes; what hosts have remembered is forgotten.
set_mtu() {
	for router in nat-a nat-b; do lab_ip $router link set wan mtu "$1"; done
	for host in alice bob server; do
		lab_ip $host route flush cache
		lab_ip $host -6 route flush cache
	done
}

# path_bytes HOST: what it knows of its only peer's path.
path_bytes() {
	overlay_ictl "$1" peers --json | sed -n 's/.*"mtu_bytes": *\([0-9]*\).*/\1/p'
}
has_size() { # HOST LEAST MOST
	local bytes
	bytes=$(path_bytes "$1")
	[ "${bytes:-0}" -ge "$2" ] && [ "$bytes" -le "$3" ]
}

# Without a word of the router.
make_hole() {
	for router in nat-a nat-b; do
		lab_exec $router nft -f - <<-RULES
		table inet hole {
			chain output {
				type filter hook output priority filter
				icmp type destination-unreachable drop
				icmpv6 type packet-too-big drop
			}
		}
		RULES
	done
}

start_receiver() { # HOST ADDRESS
	lab_start "receive.$1" "$1" python3 "$here/tools/transfer.py" receive "$2" 5000
	lab_wait 10 "the receiver listens" lab_has_logged "receive.$1" ready
}
check_received() { # HOST, whose sender's words are in LAB_DIR/sent
	local sent received
	lab_wait 30 "the receiver ends" lab_has_ended "receive.$1"
	read -ra sent <"$LAB_DIR/sent"
	read -ra received < <(tail -n 1 "$LAB_DIR/log/receive.$1")
	rm "$LAB_DIR/log/receive.$1"
	[ "${sent[0]} ${sent[1]}" = "${received[0]} ${received[1]}" ] ||
		lab_fail "sent ${sent[*]}, $1 received ${received[*]}"
}

transfer() { # FROM TO ADDRESS BYTES
	start_receiver "$2" "$3"
	lab_exec "$1" python3 "$here/tools/transfer.py" send "$3" 5000 "$4" >"$LAB_DIR/sent"
	check_received "$2"
	ok "$4 bytes of TCP from $1 to $2 ($3), SHA-256 equal"
}

# ping_bob ADDRESS BYTES OPTION...: packets of so many bytes.
ping_bob() {
	local address=$1 headers=28 bytes=$2
	shift 2
	[[ $address != *:* ]] || headers=48
	lab_exec alice ping -c 1 -W 1 -s $((bytes - headers)) "$@" "$address" >"$LAB_DIR/ping" 2>&1
}

# check_size ADDRESS BYTES: packets of this size pass; of one byte more hosts are told.
check_size() {
	local bytes=$2
	check "a packet of $bytes bytes passes to $1" ping_bob "$1" "$bytes" -M "do"
	[ "$bytes" = $tun_mtu ] && return
	! ping_bob "$1" $((bytes + 1)) -M "do" || lab_fail "a packet of $((bytes + 1)) bytes passes"
	grep -Eiq "mtu ?= ?$bytes" "$LAB_DIR/ping" || lab_fail "ping: $(cat "$LAB_DIR/ping")"
	ok "of one byte more its sender is told: the MTU is $bytes"
	# Over IPv6 the first reply is too long: bob has not been told before.
	check "without DF packets of 5000 bytes pass" ping_bob "$1" 5000 -M dont -c 2 -i 0.2
}

# network MTU LEAST MOST: a network of this size; the sizes that may be found.
network() {
	local start bytes
	echo "a network of $1 bytes"
	set_mtu "$1"
	check "a restart is under way" overlay_ictl alice restart-ice bob
	start=$(lab_now_ms)
	for host in alice bob; do
		lab_wait 10 "$host finds $2 to $3 bytes" has_size $host "$2" "$3"
	done
	ok "$(path_bytes alice) and $(path_bytes bob) bytes after $(($(lab_now_ms) - start)) ms"
	lab_wait 10 "alice is told no more of sizes" is_found alice
	bytes=$(path_bytes alice)
	check_size "$bob" "$bytes"
	# IPv6 has a right to 1,280 bytes on any path.
	check_size "$bob6" $((bytes > 1280 ? bytes : 1280))
	transfer alice bob "$bob" 10000000
	transfer bob alice "$alice" 3000000
	transfer alice bob "$bob6" 3000000
	transfer bob alice "$alice6" 3000000
}

# The last that the log says.
is_found() { grep 'peer\.path' "$LAB_DIR/log/$1" | tail -n 1 | grep -q 'found=1'; }

# The network shrinks while a transfer runs, and nobody says so.
shrink() {
	local start
	echo "a network that shrinks"
	start_receiver bob "$bob"
	lab_start send.alice alice python3 "$here/tools/transfer.py" send "$bob" 5000 "$1" "" \
		"$LAB_DIR/go-on"
	lab_wait 10 "half of it is sent" lab_has_logged send.alice half
	make_hole
	set_mtu 1300
	start=$(lab_now_ms)
	touch "$LAB_DIR/go-on"
	lab_wait 30 "the sender ends" lab_has_ended send.alice
	tail -n 1 "$LAB_DIR/log/send.alice" >"$LAB_DIR/sent"
	check_received bob
	ok "$1 bytes of TCP, SHA-256 equal, $(($(lab_now_ms) - start)) ms after that"
	lab_wait 10 "alice finds the new size" has_size alice $((1300 - overhead - step + 1)) \
		$((1300 - overhead))
	ok "$(path_bytes alice) bytes"
	check "the path has stayed" check_is alice "s['peers'][0]['restarts']['last_cause'] == '$2'"
}

is_relayed() { check_is "$1" "s['peers'][0]['path']['kind'] == 'relayed'"; }

# The header of a channel is four bytes more; not for the host that sends to the other one's relay.
relayed() {
	local most=$((1300 - overhead))
	echo "a relayed path"
	lab_exec nat-a nft "add table ip direct;
		add chain ip direct forward { type filter hook forward priority -10; };
		add rule ip direct forward ip daddr 203.0.113.12 drop;
		add rule ip direct forward ip saddr 203.0.113.12 drop"
	# So that it sends in pieces what the routers would not take.
	lab_ip relay link set eth0 mtu 1300
	check "a restart is under way" overlay_ictl alice restart-ice bob
	for host in alice bob; do
		lab_wait 10 "the path of $host is relayed" is_relayed $host
		lab_wait 10 "$host finds the size" has_size $host $((most - 4 - step + 1)) $most
		lab_wait 10 "it is told no more of sizes" is_found $host
	done
	ok "$(path_bytes alice) and $(path_bytes bob) bytes"
	check "a packet of that size passes" ping_bob "$bob" "$(path_bytes alice)" -M "do"
	check "one of 1280 bytes over IPv6 passes" ping_bob "$bob6" 1280 -M "do"
	transfer alice bob "$bob" 5000000
	transfer bob alice "$alice6" 5000000
}

check_begin "$1"
set_up
lab_wait 10 "the hosts reach each other" lab_exec alice ping -c 1 -W 1 -q "$bob"
network 1500 $((1500 - overhead - step + 1)) $((1500 - overhead))
network 1280 $((1280 - overhead - step + 1)) $((1280 - overhead))
network 1000 $((1000 - overhead - step + 1)) $((1000 - overhead))
network 9000 $tun_mtu $tun_mtu
check "what hosts were told is counted" check_is alice "s['data']['out']['too_big'] >= 3"
cause=$(check_field alice "s['peers'][0]['restarts']['last_cause']")
shrink 40000000 "$cause"
[ $has_relay = no ] || relayed
for host in alice bob; do
	check_balance $host
	check "icetund on $host ends well with SIGTERM" lab_stop $host
done
check_logs
echo passed
