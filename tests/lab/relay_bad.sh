#!/bin/bash
# TURN servers that do not work, with real programs: a wrong password, a certificate of an authority that
# nobody knows, a name that does not resolve, a server that never answers. Each is its own sentence in
# `ictl status` and is asked again, less and less often; none delays a path over the one that works, which
# stands last in the list. Argument: a build directory.
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
# shellcheck source=tests/lab/dns.sh
. "$here/dns.sh"

command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }
command -v dnsmasq >/dev/null || { echo "skipped: needs dnsmasq"; exit 77; }

wrong='turn:203.0.113.2?transport=udp'
untrusted=turns:relay.test:443
nameless='turn:nowhere.test:3478?transport=udp'
silent='turn:203.0.113.9?transport=udp'
silent_tcp='turn:203.0.113.9?transport=tcp'
good='turn:relay.test:3478?transport=udp'
first_ms=2000 # from "up" to the first reply

server_of() { printf '%s\n' "[Server]" "Uri=$1" "User=$2" "Password=$3"; }

set_up() {
	local user password
	overlay_net symmetric symmetric
	turn_set_up "# bob has none"
	lab_public_host silent 203.0.113.9
	lab_exec silent nft 'table ip filter { chain input { type filter hook input priority 0; drop; }; }'
	dns_start dns server 203.0.113.1 --host-record=relay.test,203.0.113.2
	overlay_start_server
	overlay_start_host bob
	overlay_configure alice
	read -r user password < <(turn_credentials 3600 alice)
	{
		server_of "$wrong" "$user" wrong
		server_of $untrusted "$user" "$password"
		server_of "$nameless" "$user" "$password"
		server_of "$silent" "$user" "$password"
		server_of "$silent_tcp" "$user" "$password"
		server_of "$good" "$user" "$password"
	} >>"$LAB_DIR/alice/icetund.conf"
	dns_start_host alice
	check "alice joins" overlay_join alice
	check "bob joins" overlay_join bob
	check "bob comes up" overlay_ictl bob up
	bob=$(overlay_address bob)
}

works() {
	local start
	check "alice comes up" overlay_ictl alice up
	start=$(lab_now_ms)
	check "the very first packet is answered" lab_exec alice ping -c 1 -W 5 -q "$bob"
	start=$(($(lab_now_ms) - start))
	ok "first reply after $start ms"
	[ $start -le $first_ms ] || lab_fail "that is more than $first_ms ms"
	lab_wait 5 "alice says: over $good" check_is alice \
		"[p['path']['relay'] for p in s['peers']] == ['$good']"
}

# says STATE URI SENTENCE: why, and if it waits, until when.
says() {
	check_is alice "[(t['state'], t.get('reason'), 'retry_ms' in t) for t in s['turn']
		if t['endpoint'] == '$2'] == [('$1', \"$3\", '$1' == 'waiting')]"
}
waits_for() { # URI MS
	check_is alice "[t.get('retry_ms', 0) > $2 for t in s['turn'] if t['endpoint'] == '$1'] == [True]"
}

sentences() {
	lab_wait 5 "a wrong password is told" says waiting "$wrong" \
		'the TURN server refuses the user name or password (error 401)'
	lab_wait 5 "a bad certificate is told" says waiting $untrusted "the server's TLS certificate is \
not acceptable: unable to get local issuer certificate"
	lab_wait 10 "a name without an address is told" says waiting "$nameless" \
		'the name nowhere.test does not resolve: unknown node or service'
	# Waiting begins with 1 s, and 5 s for a name.
	lab_wait 10 "longer and longer: the name" waits_for "$nameless" 6000
	lab_wait 10 "longer and longer: the certificate" waits_for $untrusted 3000
	lab_wait 5 "longer and longer: the password" waits_for "$wrong" 6000
	lab_wait 10 "silence over UDP is told" says connecting "$silent" \
		'the TURN server has not answered so far'
	lab_wait 20 "silence over TCP is told" says waiting "$silent_tcp" 'the TURN server does not answer'
	overlay_ictl alice status
	ok "each has its sentence, and is asked less and less often"
}

repaired() {
	lab_stop dns || true
	dns_start dns server 203.0.113.1 --host-record=relay.test,203.0.113.2 \
		--host-record=nowhere.test,203.0.113.2
	lab_wait 25 "the name that has an address now is used" turn_state_is alice "$nameless" ready
	ok "a server that was repaired is used"
}

check_begin "$1"
check_expect 'server.resolve'
check_expect 'check_stun_auth: Cannot find credentials' # coturn, of the wrong password
set_up
works
sentences
repaired
check_logs
echo "passed"
