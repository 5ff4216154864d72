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

uri='turn:203.0.113.2?transport=udp'

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }

set_up() {
	overlay_net symmetric symmetric
	turn_set_up "Uri=$uri"
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

symmetric_to_symmetric() {
	local start
	lab_wait 5 "alice has an allocation" turn_state_is alice "$uri" ready
	lab_wait 5 "bob has an allocation" turn_state_is bob "$uri" ready
	start=$(lab_now_ms)
	check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice"
	ok "first reply after $(($(lab_now_ms) - start)) ms"
	lab_wait 5 "alice says: relayed" overlay_is_relayed alice bob
	lab_wait 5 "bob says: relayed" overlay_is_relayed bob alice
	overlay_ictl alice status
	lab_exec alice ping -q -c 500 -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.relayed" 2>&1 || true
	check_pings "$LAB_DIR/ping.relayed"
	overlay_transfer alice bob "$bob" 20000000
	overlay_transfer bob alice "$alice" 20000000
}

check_begin "$1"
set_up
symmetric_to_symmetric
check_logs
echo "passed"
