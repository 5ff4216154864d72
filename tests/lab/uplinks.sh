#!/bin/bash
# Two ways out over IPv6, with real programs: alice has a cable and a radio, each with an address of its
# provider and a default route, and no UDP goes through the cable's router. What has the radio's address
# leaves by the radio, though the cable's default route is the better one; and it goes on when that
# changes. Argument: a build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"

set_up() {
	local way number=11
	lab_public_net
	lab_public_host server 203.0.113.1
	lab_public_host bob 203.0.113.20 2001:db8::20
	# A device counts as a real one by its default route.
	lab_ip bob route add default via 203.0.113.1
	lab_ip bob -6 route add default via 2001:db8::1
	lab_namespace alice
	for way in cable radio; do
		lab_nat nat-$way tcp-only 203.0.113.$number 198.51.100.$((number - 10))/28
		lab_router_addresses nat-$way 2001:db8::$number 2001:db8:$number::1
		lab_cable alice $way nat-$way alice
		lab_ip nat-$way link set alice master lan
		lab_ip alice addr add 2001:db8:$number::2/64 dev $way
		lab_ip alice -6 route add default via 2001:db8:$number::1 dev $way metric $((number * 10))
		lab_ip bob route add 2001:db8:$number::/64 via 2001:db8::$number
		number=$((number + 1))
	done
	lab_ip alice addr add 198.51.100.2/28 dev cable
	lab_ip alice route add default via 198.51.100.1
	# The radio's router, over IPv6 alone.
	lab_exec nat-radio nft flush chain ip6 filter forward
	lab_exec alice nft -f - <<-'RULES'
	table ip6 ways {
		chain out {
			type filter hook postrouting priority filter
			ip6 saddr 2001:db8:11::2 meta l4proto udp oifname "cable" counter comment "cable by cable"
			ip6 saddr 2001:db8:11::2 meta l4proto udp oifname "radio" counter comment "cable by radio"
			ip6 saddr 2001:db8:12::2 meta l4proto udp oifname "cable" counter comment "radio by cable"
			ip6 saddr 2001:db8:12::2 meta l4proto udp oifname "radio" counter comment "radio by radio"
		}
	}
	RULES
	overlay_init
	overlay_start_server
	overlay_bring_up alice bob
}

sent() { # WHAT: packets that have left so.
	lab_exec alice nft list table ip6 ways | sed -n "s/.*packets \([0-9]*\) .*\"$1\".*/\1/p"
}

goes_well() { # COUNT: packets both ways arrive, and all have left by their own device.
	local before
	before=$(sent "radio by radio")
	lab_exec alice ping -q -c "$1" -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.alice" 2>&1 || true
	check_pings "$LAB_DIR/ping.alice"
	[ $(($(sent "radio by radio") - before)) -ge "$1" ] || lab_fail "the packets went elsewhere"
	for what in "radio by cable" "cable by radio"; do
		[ "$(sent "$what")" = 0 ] || lab_fail "$(sent "$what") packets: $what"
	done
	ok "$(($(sent "radio by radio") - before)) packets with the radio's address left by the radio," \
		"$(sent "cable by cable") with the cable's by the cable, none by the other"
}

check_begin "$1"
set_up
bob=$(overlay_address bob)
check "the very first packet is answered" lab_exec alice ping -c 1 -W 5 -q "$bob"
check_is alice "[p['path']['local'].split(']')[0] for p in s['peers']] == ['[2001:db8:12::2']" ||
	lab_fail "the path is $(check_field alice "[p['path'] for p in s['peers']]")"
goes_well 500
# The radio becomes the better one, and the cable again.
old=120
for metric in 50 200; do
	lab_ip alice -6 route add default via 2001:db8:12::1 dev radio metric $metric
	lab_ip alice -6 route del default dev radio metric $old
	old=$metric
	sleep 1
	goes_well 500
done
# The address moves to another device: its socket cannot, and is made anew.
lab_cable alice other nat-radio other
lab_ip nat-radio link set other master lan
lab_exec alice ip -6 -batch - <<'CHANGES'
route del default dev radio
addr add 2001:db8:12::2/64 dev other
route add default via 2001:db8:12::1 dev other metric 200
addr del 2001:db8:12::2/64 dev radio
CHANGES
lab_wait 10 "there is a socket on the other device" lab_has_logged alice \
	'socket.open address=\[2001:db8:12::2\].* interface=other result=ok'
check "the peer is reached from there" lab_exec alice ping -c 1 -W 10 -q "$bob"
[ "$(sent "radio by cable")" = 0 ] || lab_fail "$(sent "radio by cable") packets: radio by cable"
for host in alice bob; do
	check "icetund on $host ends well with SIGTERM" lab_stop $host
done
check_logs
echo passed
