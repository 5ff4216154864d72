#!/bin/bash
# The main job, with real programs: two hosts behind port-restricted NATs join and reach each other.
# Nothing is lost, nothing is told, nothing is left. Argument: a build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"

mark=icetun-known-inner-payload
transfer_bytes=200000000

# start_capture LABEL HOST DEVICE
start_capture() {
	lab_start "$1" "$2" tcpdump -i "$3" -U --immediate-mode -s 0 -w "$LAB_DIR/$1.pcap" -Z root
	lab_wait 10 "tcpdump listens on $3" lab_has_logged "$1" 'listening on'
}
# stop_capture LABEL FROM ADDRESS: tcpdump drops what it has not yet read when it ends. So that the file
# is whole, a last packet goes past it first, which is waited for.
stop_capture() {
	lab_exec "$2" ping -q -c 1 -W 5 -p "$(hex end-of-file)" "$3" >/dev/null
	lab_wait 10 "the capture $1 is whole" finds --file "$LAB_DIR/$1.pcap" end-of-file
	lab_stop "$1" || true
}
hex() { printf %s "$1" | od -An -tx1 | tr -d ' \n'; }
scan() { python3 "$here/tools/scan.py" "$@"; }
finds() { ! scan "$@" >/dev/null; }

set_up() {
	overlay_net home home
	check_residue alice "$LAB_DIR/alice.before"
	check_residue bob "$LAB_DIR/bob.before"
	start_capture public net public
	overlay_init
	overlay_start_server
	overlay_start_host alice
	overlay_start_host bob
	check "alice joins" overlay_join alice
	check "bob joins" overlay_join bob
	check "alice comes up" overlay_ictl alice up
}

first_packet() {
	local start
	start=$(lab_now_ms)
	check "bob comes up" overlay_ictl bob up
	alice=$(overlay_address alice)
	bob=$(overlay_address bob)
	check "the very first packet is answered" lab_exec bob ping -c 1 -W 5 -q "$alice"
	ok "first reply $(($(lab_now_ms) - start)) ms after \`ictl up\`"
	check "so is one over IPv6" lab_exec bob ping -c 1 -W 5 -q "$(overlay_address alice 6)"
	check "and one that ictl sends there" overlay_ictl bob ping -c 1 "$(overlay_address alice 6)"
}

is_direct() { # HOST PEER
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'] == ['direct']"
}

# ping_both FILE-SUFFIX COUNT: both directions at a time, every 10 ms; IPv4 in one, IPv6 in the other.
ping_both() {
	lab_exec alice ping -q -c "$2" -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.alice.$1" 2>&1 &
	local first=$!
	lab_exec bob ping -q -c "$2" -i 0.01 -W 5 "$(overlay_address alice 6)" \
		>"$LAB_DIR/ping.bob.$1" 2>&1 || true
	wait $first || true
	check_pings "$LAB_DIR/ping.alice.$1"
	check_pings "$LAB_DIR/ping.bob.$1"
}

# The packets on the public net go between the two routers and show nothing of what is inside.
capture_is_clean() {
	start_capture inside alice icetun0
	overlay_transfer alice bob "$bob" 1000000 $mark
	lab_exec bob ping -q -c 3 -i 0.01 -p "$(hex ping-mark)" "$alice" >/dev/null
	stop_capture inside bob "$alice"
	stop_capture public server 203.0.113.11
	check "the capture inside the overlay has the payload" \
		finds --file "$LAB_DIR/inside.pcap" $mark
	check "the capture on the public net does not" \
		scan --file "$LAB_DIR/public.pcap" $mark ping-mark
	# An address has four bytes only; in megabytes of ciphertext they may stand by chance.
	tcpdump -r "$LAB_DIR/public.pcap" -w "$LAB_DIR/signalling.pcap" -Z root \
		'tcp port 4510 or (udp and udp[8] < 192)' 2>/dev/null
	check "messages and STUN have no address of either home, in any form" \
		scan --file "$LAB_DIR/signalling.pcap" "${private[@]}"
	local direct
	direct=$(tcpdump -r "$LAB_DIR/public.pcap" -nn \
		'udp and host 203.0.113.11 and host 203.0.113.12' 2>/dev/null | wc -l)
	check "it has $direct packets from router to router" [ "$direct" -gt 1000 ]
}

# Every address of the hosts that nobody outside needs to know.
private_addresses() {
	local host
	for host in alice bob; do
		lab_ip $host -o addr show dev eth0 | sed -n 's/.* inet6\? \([0-9a-f.:]*\).*/\1/p'
	done
}

server_knows_nothing() {
	local server
	server=$(lab_pid server)
	check "the memory of icetund on alice holds alice's address (so the search works)" \
		finds --pid "$(lab_pid alice)" 198.51.100.10
	check "the memory of the server holds the name of alice" finds --pid "$server" alice
	check "the memory of the server holds no private address" \
		scan --pid "$server" "${private[@]}"
	check "neither does its log" scan --file "$LAB_DIR/log/server" "${private[@]}"
	check "neither do its files" scan_files "$LAB_DIR/server"
}
scan_files() {
	local file args=()
	while read -r file; do args+=(--file "$file"); done < <(find "$1" -type f)
	scan "${args[@]}" "${private[@]}"
}

# A restart that comes out where it was tells of itself, and not of the path once more.
restarts() {
	lab_start events bob "$OVERLAY_BUILD/ctl/ictl" --socket "$LAB_DIR/bob/control.sock" events
	lab_wait 5 "the events are watched" has_watcher
	check "bob looks for another path" overlay_ictl bob restart-ice alice
	lab_wait 10 "packets move" lab_has_logged events 'packets have moved'
	lab_wait 10 "a path is chosen again" check_is bob \
		"[p['path']['nominated'] for p in s['peers'] if p['name'] == 'alice'] == [True]"
	lab_stop events || true
	sed 's/^/    /' "$LAB_DIR/log/events"
	check "the same path is not told again" [ "$(grep -c ' direct path' "$LAB_DIR/log/events")" = 0 ]
}
has_watcher() { [ "$(lab_exec bob ss -Hxn src "$LAB_DIR/bob/control.sock" | grep -c ESTAB)" -ge 1 ]; }

helper_of() { check_children "$(lab_pid "$1")"; }

# Live tunnels need neither the server nor the helper.
survives() {
	lab_exec alice ping -q -c 600 -i 0.01 -W 5 "$bob" >"$LAB_DIR/ping.crash" 2>&1 &
	local ping=$! helper
	helper=$(helper_of alice)
	lab_kill server
	kill -KILL "$helper"
	lab_wait 10 "alice notices that the server has gone" \
		check_is alice "s['rendezvous']['state'] != 'ready'"
	lab_wait 10 "alice starts another helper" is_other_helper alice "$helper"
	wait $ping || true
	check_pings "$LAB_DIR/ping.crash"
	ok "0 lost while the server and the helper of alice were killed"
	check "the path is still direct" is_direct alice bob

	overlay_start_server
	local host
	for host in alice bob; do
		lab_wait 90 "$host registers again" check_is $host "s['rendezvous']['state'] == 'ready'"
	done
	ok "both register again with the new server"
}
is_other_helper() { local now; now=$(helper_of "$1") && [ -n "$now" ] && [ "$now" != "$2" ]; }

leaves_nothing() {
	local host
	for host in alice bob; do
		check "icetund on $host ends well with SIGTERM" lab_stop $host
		check_residue $host "$LAB_DIR/$host.after"
		check "$host has no device, address, route or rule left" \
			diff "$LAB_DIR/$host.before" "$LAB_DIR/$host.after"
		check "$host has no control socket left" [ ! -e "$LAB_DIR/$host/control.sock" ]
	done
	check "no helper is left" [ -z "$(ip netns pids "$LAB_NAME-alice")" ]
	check "the server ends well with SIGTERM" lab_stop server
}

check_begin "$1"
set_up
first_packet
lab_wait 10 "a direct path is chosen on alice" is_direct alice bob
lab_wait 10 "a direct path is chosen on bob" is_direct bob alice
ok "both say: direct"
mapfile -t private < <(private_addresses)
check_memory server
check_idle_memory alice bob
ping_both main 1000
ok "1000 pings each way (ping -i 0.01), IPv4 and IPv6, none lost"
capture_is_clean
server_knows_nothing
overlay_transfer alice bob "$bob" $transfer_bytes $mark
overlay_transfer bob alice "$alice" $transfer_bytes $mark
check_idle_memory alice bob
restarts
survives
check_balance alice bob
leaves_nothing
check_expect '^warning rendezvous\.(lost state=offline|down reason=(helper|closed|unreachable))' # survives
check_logs
echo "passed"
