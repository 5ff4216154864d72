#!/bin/bash
# A relayed session lives, with real programs: its credentials are good for 20 s, and it loses nothing
# when they are replaced; coturn is killed for 2 s, with ICETUN_TEST_LONG ten times for up to 14 s, and the
# session is back soon after it is. Argument: a build directory.
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
away=(2)
[ -z "${ICETUN_TEST_LONG-}" ] || away=(0 5 1 14 3 9 0 14 2 7)
back_ms=3000

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }

set_up() {
	overlay_net symmetric symmetric
	turn_set_up "Uri=$uri" TurnLifetime=20
	overlay_start_server
	overlay_bring_up alice bob
	alice=$(overlay_address alice)
	bob=$(overlay_address bob)
	for host in alice bob; do
		lab_wait 5 "$host has an allocation" turn_state_is $host "$uri" ready
	done
	check "the very first packet is answered" lab_exec alice ping -c 1 -W 5 -q "$bob"
	lab_wait 5 "alice says: relayed" overlay_is_relayed alice bob
}

path() { check_field alice "[(p['path']['local'], p['path']['remote']) for p in s['peers']]"; }

rotation() {
	local before
	before=$(path)
	lab_exec alice ping -q -c 1000 -i 0.02 -W 5 "$bob" >"$LAB_DIR/ping.alice" 2>&1 &
	local first=$!
	lab_exec bob ping -q -c 1000 -i 0.02 -W 5 "$alice" >"$LAB_DIR/ping.bob" 2>&1 || true
	wait $first || true
	check_pings "$LAB_DIR/ping.alice"
	check_pings "$LAB_DIR/ping.bob"
	[ "$(path)" != "$before" ] || lab_fail "the path is still $before"
	ok "the path moved from $before to $(path)"
}

check_begin "$1"
# By a daemon that still has an allocation of expired credentials, which coturn has forgotten.
check_expect 'check_stun_auth: Cannot find credentials'
set_up
rotation
for seconds in "${away[@]}"; do
	turn_kill_under_pings alice "$bob" $back_ms "$seconds"
	sleep $((3 + RANDOM % 5)) # at any time of the credentials' life
done
overlay_ictl alice status
check_logs
echo "passed"
