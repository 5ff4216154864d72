#!/bin/bash
# How soon the first byte goes, with real daemons and links with delay. Arguments: the build directory of
# the programs, and that of lab_link if it is another.
#
# S is the time one way to the other host through the rendezvous server, D the round trip without it;
# both are measured with ping on the same links. From the packet that wants a connection on, ICE needs
# 2 S for offer and answer and D for the check: nothing can be faster. The offerer has to send the first
# packet of the tunnel within 15 ms more than that, of which 10 ms are Ta: the check between the private
# addresses goes first and has no answer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/link.sh
. "$here/link.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"

# Times on a busy machine say nothing, so this belongs to the long runs.
if [ -z "${ICETUN_TEST_LONG:-}" ]; then
	echo "skipped: 'tests/run --long' runs it"
	exit 77
fi

runs=${ICETUN_SPEED_RUNS:-3}
slack_us=15000

set_up() {
	overlay_net home home
	local host key
	for host in nat-a nat-b server; do lab_link $host; done
	# Mappings that nobody uses are gone soon, so that each run finds NATs that know nothing.
	for key in udp_timeout udp_timeout_stream icmp_timeout; do
		lab_sysctl nat-a netfilter/nf_conntrack_$key 2
		lab_sysctl nat-b netfilter/nf_conntrack_$key 2
	done
	overlay_init
	overlay_start_server
	overlay_bring_up alice bob
	bob=$(overlay_address bob)
	lab_start echo bob python3 "$here/tools/firstbyte.py" echo 0.0.0.0 7000
	lab_wait 10 "the echo is ready" lab_has_logged echo ready
}

# rtt_us HOST ADDRESS: the best of five pings.
rtt_us() {
	lab_exec "$1" ping -q -c 5 -i 0.2 "$2" | sed -n 's|^rtt [^=]*= \([0-9.]*\)/.*|\1|p' |
		awk '{ print int($1 * 1000) }'
}

# connect: sets `left` and `answered` to what firstbyte.py says. Then bob goes away, which he can tell alice
# as long as there are mappings, and comes back. Both know the server and their mapped address.
connect() {
	read -r left answered < <(lab_exec alice python3 "$here/tools/firstbyte.py" ask "$bob" 7000 eth0)
	overlay_ictl bob down >/dev/null
	overlay_ictl bob up >/dev/null
	lab_wait 10 "alice has no path" check_is alice \
		"[p['state'] for p in s['peers'] if p['name'] == 'bob'] == ['idle']"
	lab_wait 10 "bob has its candidates" check_is bob "len(s['candidates']) == 2"
	lab_wait 10 "bob is registered" check_is bob "s['rendezvous']['state'] == 'ready'"
	lab_wait 10 "the mappings are gone" has_no_mappings nat-a
	lab_wait 10 "the mappings are gone" has_no_mappings nat-b
}
has_no_mappings() {
	local status=0
	lab_exec "$1" grep -q '^ipv4 .* udp .*=203\.0\.113\.11 .*=203\.0\.113\.12 ' /proc/net/nf_conntrack ||
		status=$?
	[ $status = 1 ]
}

# measure LINK-A-MS LINK-B-MS LINK-SERVER-MS
measure() {
	lab_link_set nat-a "delay_ms=$1"
	lab_link_set nat-b "delay_ms=$2"
	lab_link_set server "delay_ms=$3"
	local direct_us s_us run first=() reply=()
	direct_us=$(rtt_us nat-a 203.0.113.12)
	s_us=$((($(rtt_us nat-a 203.0.113.1) + $(rtt_us nat-b 203.0.113.1)) / 2))
	for ((run = 0; run < runs; run++)); do
		connect
		first+=("$left")
		reply+=("$answered")
	done
	local least_us=$((2 * s_us + direct_us))
	echo "    S $s_us us, D $direct_us us, 2 S + D $least_us us"
	echo "    first byte of the offerer: ${first[*]} us, answer there: ${reply[*]} us"
	check "first byte within 2 S + D + $((slack_us / 1000)) ms" \
		[ "$(least "${first[@]}")" -le $((least_us + slack_us)) ]
	check "and not before 2 S + D: it was measured right" \
		[ "$(least "${first[@]}")" -ge $((least_us - 1000)) ]
	check "the answer is there D later, within 5 ms" \
		[ "$(least "${reply[@]}")" -le $(($(least "${first[@]}") + direct_us + 5000)) ]
}
# Of several runs the one that the rest of the machine has disturbed least.
least() { printf '%s\n' "$@" | sort -n | head -n 1; }

check_begin "$1"
lab_link_program "${2:-$1}"
set_up
# alice knows the certificate of bob from now on.
connect
measure 10 10 0
measure 20 10 10
measure 30 30 30
check_logs
echo "passed"
