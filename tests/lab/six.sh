#!/bin/bash
# IPv6 with real programs: the outside has nothing else, and inside both families are carried. A host that
# cannot have IPv6 inside goes on without. Argument: a build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"

# shellcheck disable=SC2034 # for overlay_init()
OVERLAY_SERVER='[2001:db8::1]'

# Two homes behind routers that let in what was asked for.
set_up() {
	local side
	lab_public_net
	lab_public_host server 2001:db8::1
	for side in a b; do
		lab_router nat-$side net
		lab_router_addresses nat-$side 2001:db8::$side 2001:db8:$side::1
		lab_set_nat nat-$side firewall 2001:db8::$side
	done
	lab_ip server route add 2001:db8:a::/64 via 2001:db8::a
	lab_ip server route add 2001:db8:b::/64 via 2001:db8::b
	lab_ip nat-a route add 2001:db8:b::/64 via 2001:db8::b
	lab_ip nat-b route add 2001:db8:a::/64 via 2001:db8::a
	lab_host alice nat-a 2001:db8:a::10
	lab_host bob nat-b 2001:db8:b::10
	lab_host carol nat-b 2001:db8:b::11
	overlay_init
	overlay_start_server
	overlay_bring_up alice bob
	alice4=$(overlay_address alice) alice6=$(overlay_address alice 6)
	bob4=$(overlay_address bob) bob6=$(overlay_address bob 6)
	overlay_rendezvous member list --dir "$LAB_DIR/server" | tee "$LAB_DIR/members"
	check "both addresses of bob are in the list" grep -q "bob.* $bob4 .* $bob6 " "$LAB_DIR/members"
	check "they have the same number" [ "${bob4##*.}" = "${bob6##*:}" ]
}

connects() {
	check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice6"
	lab_wait 10 "the path is direct, and over IPv6" check_is bob \
		"s['peers'][0]['path']['kind'] == 'direct' and '2001:db8:a::10' in s['peers'][0]['path']['remote']"
	check "bob shows both addresses of alice" check_is bob \
		"s['peers'][0]['addresses'] == ['$alice4', '$alice6']"
	check "and of himself" check_is bob "s['addresses'] == ['$bob4', '$bob6']"
	overlay_ictl bob ping -c 1 "$alice6" | tee "$LAB_DIR/pong"
	check "ictl asks an address" grep -q "reply from alice ($alice6)" "$LAB_DIR/pong"
}

# The kernel sends nothing into the device by itself; what programs send to whoever is on a link is counted.
is_quiet() {
	local host
	for host in alice bob; do
		check "nothing was sent into the device of $host that leads nowhere" check_is $host \
			"s['data']['out']['drops'] == []"
	done
	# Alice hears herself.
	lab_exec alice ping -q -c 3 -i 0.01 -W 1 -I icetun0 ff02::1 >/dev/null 2>&1 || true
	check "multicast has a name of its own" check_is alice \
		"[(d['reason'], d['count']) for d in s['data']['out']['drops']] == [('link', 3)]"
	check_balance alice
}

# bob_starts_anew ADDRESS...: he comes up by himself, with these addresses.
bob_starts_anew() {
	local address
	lab_stop bob
	overlay_start_host bob
	lab_wait 10 "bob is up" check_is bob "s['state'] == 'up'"
	check "he has $*" check_is bob "s['addresses'] == '$*'.split()"
	check "so has the device" [ "$(overlay_address bob && overlay_address bob 6)" = "$(printf '%s\n' "$@")" ]
	for address; do
		lab_wait 10 "alice reaches $address" lab_exec alice ping -c 1 -W 1 -q "$address"
	done
}

without_ip6() {
	echo "an MTU below 1280"
	printf '[Interface]\nMTU=1200\n' >>"$LAB_DIR/bob/icetund.conf"
	bob_starts_anew "$bob4"
	check "the log says why" lab_has_logged bob 'tun.no_ipv6 mtu=1200'
	overlay_transfer alice bob "$bob4" 1000000
	sed -i '/^MTU/d' "$LAB_DIR/bob/icetund.conf"

	echo "IPv6 is switched off"
	lab_sysctl bob ipv6/conf/default/disable_ipv6 1
	bob_starts_anew "$bob4"
	check "the log says why" lab_has_logged bob 'tun.no_ipv6 .*disable_ipv6'
	lab_sysctl bob ipv6/conf/default/disable_ipv6 0
	bob_starts_anew "$bob4" "$bob6"
}

# The network loses its IPv6 prefix, carol joins, it gets the prefix again.
joined_before() {
	local conf=$LAB_DIR/server/rendezvous.conf prefix carol
	echo "a member of before"
	prefix=$(grep '^Prefix=.*:' "$conf")
	lab_stop server
	sed -i '/^Prefix=.*:/d' "$conf"
	overlay_start_server
	overlay_start_host carol
	check "carol joins" overlay_join carol
	lab_stop server
	sed -i "s|^\[Network\]|&\n$prefix|" "$conf"
	overlay_start_server
	check "carol comes up" overlay_ictl carol up
	carol=$(overlay_address carol)
	check "she has an IPv4 address alone" check_is carol "s['addresses'] == ['$carol']"
	overlay_rendezvous member list --dir "$LAB_DIR/server" | tee "$LAB_DIR/members"
	check "so says the list" grep -Eq "carol +$carol +- " "$LAB_DIR/members"
	lab_wait 30 "bob reaches her" lab_exec bob ping -c 1 -W 1 -q "$carol"
	lab_wait 30 "she reaches alice, who may come back later" lab_exec carol ping -c 1 -W 1 -q "$alice4"
	check "not what would be her other address" \
		fails lab_exec bob ping -c 1 -W 1 -q "${bob6%:*}:${carol##*.}"
}
fails() { ! "$@"; }

check_begin "$1"
set_up
connects
overlay_transfer alice bob "$bob6" 30000000
overlay_transfer bob alice "$alice6" 30000000
overlay_transfer alice bob "$bob4" 30000000
overlay_transfer bob alice "$alice4" 30000000
check_balance alice bob
is_quiet
without_ip6
joined_before
check_balance alice bob carol
for host in alice bob carol; do
	check "icetund on $host ends well with SIGTERM" lab_stop $host
done
check_expect '^warning tun\.no_ipv6 '
check_expect '^warning rendezvous\.(lost state=offline|down reason=(closed|unreachable))' # joined_before
check_logs
echo passed
