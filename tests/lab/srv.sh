#!/bin/bash
# Servers that only SRV records lead to: a name without a port stands for them, and hosts behind
# symmetric NATs meet over a relay that is found in no other way. Argument: a build directory.
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

start_dns() { # OPTION...
	dns_start dns server 203.0.113.1 \
		--host-record=rendezvous.test,203.0.113.1 \
		--host-record=relay.test,203.0.113.2 \
		--host-record=silent.test,203.0.113.9 \
		--srv-host=_stun._udp.stun.test,rendezvous.test,3478,10,1 \
		--srv-host=_turn._udp.example.test,silent.test,3478,20,1 \
		--srv-host=_turn._udp.example.test,relay.test,3999,10,1 \
		--srv-host=_turn._tcp.example.test,relay.test,3999,10,1 \
		--srv-host=_turns._tcp.secure.test,relay.test,443,10,1 \
		--host-record=plain.test,203.0.113.1 \
		--srv-host=_turn._udp.none.test \
		--host-record=later.example,203.0.113.1 "$@"
}

# The names example.test and stun.test have no address: only their SRV records help.
set_up() {
	overlay_net symmetric symmetric
	lab_public_host relay 203.0.113.2
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via 203.0.113.1
	TURN_PORT=3999 # no address record tells of it
	turn_make_ca
	turn_make_certificate relay secure.test # not relay.test, where the SRV record leads
	turn_start relay relay 203.0.113.2
	start_dns
	overlay_init
	sed -i 's/^StunListen=.*/StunListen=203.0.113.1:3478/' "$LAB_DIR/server/rendezvous.conf"
	cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
	[Servers]
	Uri=stun:stun.test
	Uri=stun:plain.test
	Uri=stun:later.example
	Uri=turn:example.test
	Uri=turns:secure.test
	Uri=turn:none.test
	TurnSecret=$TURN_SECRET
	CONF
	overlay_start_server
	for host in alice bob; do
		overlay_configure $host
		printf '[Ice]\nCaFile=%s\n' "$LAB_DIR/ca/ca.pem" >>"$LAB_DIR/$host/icetund.conf"
		dns_start_host $host
		check "$host joins" overlay_join $host
		check "$host comes up" overlay_ictl $host up
	done
	alice=$(overlay_address alice)
}

server_is() { # HOST KIND URI STATE
	check_is "$1" "[t['state'] for t in s['$2'] if t['endpoint'] == '$3'] == ['$4']"
}
# Only the host whose relay it is knows which server that is.
is_of_srv() { [[ $1 == *turn:relay.test:3999* || $1 == *turns:relay.test:443* ]]; }
relays() { # HOST
	check_field "$1" "' '.join(p['path'].get('relay', '') for p in s['peers'])"
}

servers() {
	for host in alice bob; do
		lab_wait 10 "$host has an allocation at the relay of the SRV records" \
			server_is $host turn turn:relay.test:3999 ready
	done
	ok "alice and bob have allocations at the relay of the SRV records"
	lab_wait 10 "TLS is for the name that was asked for" \
		server_is alice turn turns:relay.test:443 ready
	ok "a server over TLS is the one of the name that was asked for, wherever the SRV record leads"
	lab_wait 10 "the STUN server of an SRV record answers" \
		server_is alice stun stun:rendezvous.test:3478 ready
	ok "the STUN server of an SRV record answers"
	lab_wait 10 "a name without SRV records is the server itself" \
		server_is alice stun stun:plain.test ready
	ok "a name without SRV records is the server itself"
	check "servers take the place of the name, by priority" check_is alice \
		"[t['endpoint'] for t in s['turn']][:2] ==
			['turn:relay.test:3999', 'turn:silent.test:3478?transport=udp']"
	lab_wait 10 "SRV records that say there is no such service are believed" check_is alice \
		"['no server in them' in t['reason'] for t in s['turn']
			if t['endpoint'] == 'turn:none.test'] == [True]"
	ok "SRV records that say there is no such service are believed"
}

relayed() {
	check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice"
	lab_wait 5 "alice says: relayed" overlay_is_relayed alice bob
	lab_wait 5 "bob says: relayed" overlay_is_relayed bob alice
	check "the relay is one of the SRV records" is_of_srv "$(relays alice) $(relays bob)"
	overlay_ictl alice status
}

# A name server that does not say whether there are SRV records is asked again.
refused() {
	lab_wait 10 "a name serves while nobody tells of SRV records" \
		server_is alice stun stun:later.example ready
	ok "a name serves while nobody tells of SRV records"
	lab_stop dns
	start_dns --srv-host=_stun._udp.later.example,plain.test,3478,10,1
	lab_wait 60 "the SRV record is found" server_is alice stun stun:plain.test:3478 ready
	check "the server of the SRV record takes its place" \
		check_is alice "'stun:later.example' not in [t['endpoint'] for t in s['stun']]"
}

# The look-up of a name that the network's name server does not know ends at once.
names() {
	local start token
	overlay_ictl bob leave --yes >/dev/null
	overlay_rendezvous init --dir "$LAB_DIR/other" --name other \
		--endpoint "tcp://nobody.test:$OVERLAY_PORT" >"$LAB_DIR/log/other" 2>&1
	token=$(overlay_rendezvous token create --dir "$LAB_DIR/other" --uses 1)
	start=$(lab_now_ms)
	check_exit 21 'cannot be resolved: it has no address.*nobody\.test' \
		"a server name that does not resolve" overlay_ictl bob join "$token" --name bob
	ok "that was said after $(($(lab_now_ms) - start)) ms"
	check "long before the 15 s are over" [ $(($(lab_now_ms) - start)) -lt 5000 ]
	overlay_ictl alice down
	lab_stop alice
	printf '[Rendezvous]\nEndpoint=tcp://nobody.test:4510\n' >>"$LAB_DIR/alice/icetund.conf"
	dns_start_host alice
	check_exit 50 "^offline: the server's name cannot be resolved: .*nobody\.test" \
		"up with such a name says so while it tries" overlay_ictl alice up --timeout 3
}

check_begin "$1"
set_up
servers
relayed
refused
names
check_expect '^warning server\.resolve server=turn:none\.test ' # servers
check_expect '^warning rendezvous\.down reason=name '          # names
check_expect '^warning join\.failed problem=ServerUnreachable'   # names
check_logs
echo "passed"
