#!/bin/bash
# Relays over streams, with real programs: alice's network forbids UDP, so that her way to every peer is
# a TCP connection to coturn, which is killed meanwhile (with ICETUN_TEST_LONG ten times, for different
# times), and then one that allows nothing but HTTPS: TLS on 443. Argument: a build directory.
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

# shellcheck disable=SC2034 # for overlay.sh
OVERLAY_PORT=443 # from where only HTTPS is allowed, too
plain=turn:203.0.113.2 tls=turns:203.0.113.2:443

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }

set_up() {
	overlay_net tcp-only symmetric
	turn_set_up "Uri=$plain" "Uri=$tls"
	overlay_start_server
	turn_trust alice
	turn_trust bob
	overlay_bring_up alice bob
	bob=$(overlay_address bob)
	alice=$(overlay_address alice)
}

# carries URI TRANSPORT: alice's path to bob goes over that allocation of hers and no other.
carries() {
	check_is alice "[p['path']['relay'] for p in s['peers']] == ['$1'] and
		[t['transport'] for t in s['turn'] if t['endpoint'] == '$1'] == ['$2']"
}

goes_over() { # URI TRANSPORT
	local start
	lab_wait 10 "alice has an allocation over $2" turn_state_is alice "$1" ready
	start=$(lab_now_ms)
	check "the very first packet is answered" lab_exec alice ping -c 1 -W 5 -q "$bob"
	ok "first reply after $(($(lab_now_ms) - start)) ms"
	lab_wait 5 "alice says: over $1, $2" carries "$1" "$2"
	overlay_ictl alice status
	lab_exec alice ping -q -c 500 -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.alice" 2>&1 &
	local first=$!
	lab_exec bob ping -q -c 500 -i 0.01 -W 5 "$alice" >"$LAB_DIR/ping.bob" 2>&1 || true
	wait $first || true
	check_pings "$LAB_DIR/ping.alice"
	check_pings "$LAB_DIR/ping.bob"
	overlay_transfer alice bob "$bob" 20000000
	overlay_transfer bob alice "$alice" 20000000
	check "still over $1" carries "$1" "$2"
}

# Every packet that alice sends goes through the overlay; each is counted.
counted() {
	local sent
	sent=$(check_field alice "[p['sent']['packets'] for p in s['peers']][0]")
	[ "$sent" -ge 1001 ] || lab_fail "alice says that she has sent $sent packets"
	ok "alice counts $sent packets that she has sent"
}

check_begin "$1"
set_up
goes_over $plain tcp
counted
away=(2)
[ -z "${ICETUN_TEST_LONG-}" ] || away=(2 0 0 5 0 2 1 0 9 3)
for seconds in "${away[@]}"; do
	sleep 3 # what is lost sooner is not asked for at once
	turn_kill_under_pings alice "$bob" 3000 "$seconds"
	lab_wait 10 "alice says: over $plain, tcp" carries $plain tcp
done
lab_stop alice || lab_fail "icetund ends with an error"
lab_set_nat nat-a udp-blocked 203.0.113.11
overlay_start_host alice
lab_wait 10 "alice is up" check_is alice "s['state'] == 'up'"
goes_over $tls tls
check_logs
echo "passed"
