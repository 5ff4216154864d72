#!/bin/bash
# The data plane, with real programs: whatever offloads are on or off at either end, over a path that
# reorders, repeats and loses, TCP arrives byte for byte and UDP datagram by datagram, over IPv4 and IPv6
# inside, and every packet is accounted for. Argument: a build directory.
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

bad_path="delay_ms=2 loss_percent=0.3 duplicate_percent=1 reorder_percent=2 reorder_by=5"
good_path="delay_ms=0 loss_percent=0 duplicate_percent=0 reorder_percent=0"
swapped=6
switches="tun-tcp tun-udp udp-segment udp-gro partial-checksums"
all="$switches tun-queues"

set_up() {
	overlay_net home home
	lab_link nat-a
	overlay_init
	overlay_start_server
	overlay_bring_up alice bob
}

# restart HOST OFFLOADS [WORKERS]: with other settings; it comes up by itself.
restart() {
	lab_stop "$1"
	sed -i '/^\[Data\]/,$d' "$LAB_DIR/$1/icetund.conf"
	printf '[Data]\nOffloads=%s\nWorkers=%s\n' "$2" "${3-2}" >>"$LAB_DIR/$1/icetund.conf"
	overlay_start_host "$1"
	lab_wait 10 "$1 is up" check_is "$1" "s['state'] == 'up'"
}

# datagrams FROM TO ADDRESS COUNT LEAST
datagrams() {
	lab_start "datagrams.$2" "$2" python3 "$here/tools/datagrams.py" receive "$3" 5001
	lab_wait 10 "the receiver listens" lab_has_logged "datagrams.$2" ready
	lab_exec "$1" python3 "$here/tools/datagrams.py" send "$3" 5001 "$4" >"$LAB_DIR/sent"
	lab_wait 60 "the receiver ends" lab_has_ended "datagrams.$2"
	local sent received duplicates
	read -r sent <"$LAB_DIR/sent"
	read -r received duplicates < <(tail -n 1 "$LAB_DIR/log/datagrams.$2")
	rm "$LAB_DIR/log/datagrams.$2"
	{ [ "$duplicates" = 0 ] && [ $((received * 100)) -ge $((sent * $5)) ]; } ||
		lab_fail "of $sent datagrams $received came, and $duplicates twice"
	ok "$received of $sent datagrams from $1 to $2 ($3), each as it was sent, none twice"
}

uses() { # HOST OFFLOADS
	check_is "$1" "set(s['data']['offloads']) <= set('$2'.split())"
}

# combination OFFLOADS-OF-ALICE OFFLOADS-OF-BOB [WORKERS-OF-ALICE]: what runs over one family only runs
# over the other one in the next combination.
combination() {
	echo "alice: $1; bob: $2"
	restart alice "$1" "${3-2}"
	restart bob "$2"
	local alice bob family
	swapped=$((10 - swapped))
	read_addresses $swapped $((10 - swapped))
	# shellcheck disable=SC2086 # words
	lab_link_set nat-a $good_path
	lab_wait 15 "the hosts reach each other" lab_exec alice ping -c 1 -W 1 -q "${bob[0]}"
	for family in 0 1; do
		overlay_transfer alice bob "${bob[$family]}" 50000000
		overlay_transfer bob alice "${alice[$family]}" 30000000
		datagrams alice bob "${bob[$family]}" 2000 100
	done
	# shellcheck disable=SC2086
	lab_link_set nat-a $bad_path
	for family in 0 1; do
		overlay_transfer alice bob "${bob[$family]}" 8000000
	done
	overlay_transfer bob alice "${alice[0]}" 10000000
	datagrams alice bob "${bob[1]}" 3000 95
	datagrams bob alice "${alice[0]}" 3000 95
	for host in alice bob; do
		check_balance $host
		check_field $host "s['data']"
	done
	check "alice uses what she may" uses alice "$1"
	check "bob uses what he may" uses bob "$2"
}

# read_addresses FAMILY OTHER-FAMILY: of both hosts.
read_addresses() {
	alice=("$(overlay_address alice "$1")" "$(overlay_address alice "$2")")
	bob=("$(overlay_address bob "$1")" "$(overlay_address bob "$2")")
}

# Switches are turned while bytes run: over IPv4 from alice, over IPv6 from bob.
switches() {
	local alice bob transfer name
	restart alice "$all"
	restart bob "$all"
	read_addresses 4 6
	lab_wait 15 "the hosts reach each other" lab_exec alice ping -c 1 -W 1 -q "${bob[0]}"
	for name in $switches; do
		for host in alice bob; do
			overlay_transfer $host "$([ $host = alice ] && echo bob || echo alice)" \
				"$([ $host = alice ] && echo "${bob[0]}" || echo "${alice[1]}")" 20000000 &
			transfer=$!
			overlay_ictl $host offload "$name" off >/dev/null
			check "$name is off on $host" check_is $host "'$name' not in s['data']['offloads']"
			wait $transfer
			overlay_ictl $host offload "$name" on >/dev/null
		done
	done
	overlay_ictl alice offload
	check "all are on again" check_is alice "len(s['data']['offloads']) >= 4"
	check_balance alice bob
}

# The device has its queues from the beginning: the switch waits for the next one.
queues() {
	check "alice has three workers" check_is alice "s['data']['workers'] == 3"
	overlay_ictl alice offload tun-queues off | tee "$LAB_DIR/queues"
	check "alice is told when it counts" grep -q '^tun-queues .* until ' "$LAB_DIR/queues"
	check "the queues are in use" check_is alice "'tun-queues' in s['data']['offloads']"
	overlay_ictl alice down
	overlay_ictl alice up
	check "alice has one worker" check_is alice "s['data']['workers'] == 1"
	check "the queues are not in use" check_is alice "'tun-queues' not in s['data']['offloads']"
	lab_wait 15 "the hosts reach each other" \
		lab_exec alice ping -c 1 -W 1 -q "$(overlay_address bob)"
}

# has_priority: control packets are marked for the kernel from Linux 6.14 on.
has_priority() { [ "$(printf '%s\n' 6.14 "$(uname -r)" | sort -V | head -n 1)" = 6.14 ]; }

# A flood has filled the queue of the device with two seconds of packets. What the hosts say to each other
# goes first: none of it is lost, and it does not wait.
control_goes_first() {
	local bob
	bob=$(overlay_address bob)
	lab_exec alice tc qdisc add dev eth0 root handle 1: tbf rate 20mbit burst 16kb limit 400kb
	lab_exec alice tc qdisc add dev eth0 parent 1:1 handle 10: pfifo_fast
	lab_exec alice ip link set eth0 txqueuelen 300
	lab_start flood alice python3 "$here/tools/flood.py" "$bob"
	lab_wait 10 "the queue is full" is_backlogged alice 3000000
	overlay_ictl alice ping -c 10 -i 0.1 bob | tee "$LAB_DIR/ahead"
	is_backlogged alice 3000000 || lab_fail "the queue has not stayed full"
	lab_kill flood
	lab_exec alice tc qdisc del dev eth0 root
	grep -q '10 replies' "$LAB_DIR/ahead" || lab_fail "control packets are lost"
	# shellcheck disable=SC2016 # of awk
	check "control packets wait less than 0.2 s of the queue" \
		awk -F '[/ ]' '/min.avg.max/ { exit !($(NF - 1) < 200) }' "$LAB_DIR/ahead"
	check_balance alice bob
}
is_backlogged() { # HOST BYTES
	[ "$(lab_exec "$1" tc -s qdisc show dev eth0 | sed -n 's/ backlog \([0-9]*\)b.*/\1/p' |
		head -n 1)" -ge "$2" ]
}

check_begin "$1"
lab_link_program "$1"
set_up
combination "$all" "$all"
check "all offloads are in use" check_is alice "len(s['data']['offloads']) >= 4"
# shellcheck disable=SC2086
lab_link_set nat-a $good_path
switches
! has_priority || control_goes_first
combination none none 1
combination "$all" none
combination "udp-segment partial-checksums tun-queues" "tun-tcp udp-gro" 3
queues
for host in alice bob; do
	check "icetund on $host ends well with SIGTERM" lab_stop $host
done
check_logs
echo passed
