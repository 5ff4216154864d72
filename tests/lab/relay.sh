#!/bin/bash
# Relays with real programs: two hosts behind symmetric NATs have no direct path. Argument: a build
# directory.
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

mark=icetun-known-inner-payload

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }

set_up() {
	overlay_net symmetric symmetric
	lab_public_host relay 203.0.113.2
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via 203.0.113.1
	turn_make_ca
	turn_make_certificate relay 203.0.113.2
	turn_start relay relay 203.0.113.2
	overlay_init
	cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
	[Servers]
	Uri=turn:203.0.113.2?transport=udp
	TurnSecret=$TURN_SECRET
	CONF
	overlay_start_server
	overlay_start_host alice
	overlay_start_host bob
	check "alice joins" overlay_join alice
	check "bob joins" overlay_join bob
	check "alice comes up" overlay_ictl alice up
	check "bob comes up" overlay_ictl bob up
	alice=$(overlay_address alice)
	bob=$(overlay_address bob)
}

turn_state_is() { # HOST URI STATE
	check_is "$1" "[t['state'] for t in s['turn'] if t['endpoint'] == '$2'] == ['$3']"
}
is_relayed() { # HOST PEER
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'] == ['relayed']"
}

transfer() { # FROM TO ADDRESS BYTES
	lab_start "receive.$2" "$2" python3 "$here/tools/transfer.py" receive "$3" 5000
	lab_wait 10 "the receiver listens" lab_has_logged "receive.$2" ready
	lab_exec "$1" python3 "$here/tools/transfer.py" send "$3" 5000 "$4" $mark \
		>"$LAB_DIR/sent"
	lab_wait 60 "the receiver ends" lab_has_ended "receive.$2"
	local sent received
	read -ra sent <"$LAB_DIR/sent"
	read -ra received < <(tail -n 1 "$LAB_DIR/log/receive.$2")
	rm "$LAB_DIR/log/receive.$2"
	[ "${sent[0]} ${sent[1]}" = "${received[0]} ${received[1]}" ] ||
		lab_fail "$1 sent ${sent[*]}, $2 received ${received[*]}"
	ok "$4 bytes from $1 to $2, SHA-256 equal," \
		"$(python3 -c "print(round($4 * 8e-6 / ${received[2]}))") Mbit/s"
}

symmetric_to_symmetric() {
	local start
	lab_wait 5 "alice has an allocation" turn_state_is alice 'turn:203.0.113.2?transport=udp' ready
	lab_wait 5 "bob has an allocation" turn_state_is bob 'turn:203.0.113.2?transport=udp' ready
	start=$(lab_now_ms)
	check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice"
	ok "first reply after $(($(lab_now_ms) - start)) ms"
	lab_wait 5 "alice says: relayed" is_relayed alice bob
	lab_wait 5 "bob says: relayed" is_relayed bob alice
	overlay_ictl alice status
	lab_exec alice ping -q -c 500 -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.relayed" 2>&1 || true
	check_pings "$LAB_DIR/ping.relayed"
	transfer alice bob "$bob" 50000000
	transfer bob alice "$alice" 50000000
}

check_begin "$1"
set_up
symmetric_to_symmetric
check_logs
echo "passed"
