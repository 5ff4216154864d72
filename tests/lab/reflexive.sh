#!/bin/bash
# A TURN server is all there is: it tells hosts behind NATs their public addresses as well, so that they
# meet directly and the relay is not needed. Argument: a build directory.
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

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }

set_up() {
	overlay_net home home
	lab_public_host relay 203.0.113.2
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via 203.0.113.1
	turn_start relay relay 203.0.113.2
	overlay_init
	sed -i 's/^StunListen=.*/StunListen=off/' "$LAB_DIR/server/rendezvous.conf"
	cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
	[Servers]
	Uri=turn:203.0.113.2?transport=udp
	TurnSecret=$TURN_SECRET
	CONF
	overlay_start_server
	overlay_bring_up alice bob
	alice=$(overlay_address alice)
}

has_no_stun() { check_is "$1" "s['stun'] == []"; }
is_direct() { # HOST PEER
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'] == ['direct']"
}

check_begin "$1"
set_up
check "nobody was told of a STUN server" has_no_stun alice
check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice"
lab_wait 10 "alice says: direct" is_direct alice bob
lab_wait 10 "bob says: direct" is_direct bob alice
overlay_ictl alice status
check_logs
echo "passed"
