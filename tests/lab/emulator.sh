#!/bin/bash
# The lab itself: a link does what it says, in each direction, and TCP passes it whole. No icetun in it.
# Argument: a build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/link.sh
. "$here/link.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"

[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
lab_begin "icetun-lab-$$" "$(mktemp -d /tmp/icetun-lab.XXXXXX)"
trap check_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

left=203.0.113.21
right=203.0.113.22

received=0 duplicates=0 late=0 steps=0 min_us=0 median_us=0
# probe FROM TO ADDRESS COUNT INTERVAL_MS BYTES: sets these to what linkprobe.py finds.
probe() {
	rm -f "$LAB_DIR/log/probe"
	lab_start probe "$2" python3 "$here/tools/linkprobe.py" receive "$3" 5000
	lab_wait 10 "the receiver is ready" lab_has_logged probe ready
	lab_exec "$1" python3 "$here/tools/linkprobe.py" send "$3" 5000 "${@:4}"
	lab_wait 60 "the receiver ends" lab_has_ended probe
	read -r summary < <(tail -n 1 "$LAB_DIR/log/probe")
	echo "    $1 to $2: $summary"
	eval "$summary"
}

is_between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; } # NUMBER LOW HIGH

# Each direction has its own delay. The median is held to 1 ms, so that one late turn of a busy machine
# does no harm; a frame that comes too early is always wrong.
delays() { # OUT_MS IN_MS
	lab_link_set left "out.delay_ms=$1" "in.delay_ms=$2"
	probe left right $right 100 10 200
	check "out: never before $1 ms" [ "$min_us" -ge $(($1 * 1000)) ]
	check "out: $1 ms within 1 ms" is_between "$median_us" $(($1 * 1000)) $(($1 * 1000 + 1000))
	probe right left $left 100 10 200
	check "in: never before $2 ms" [ "$min_us" -ge $(($2 * 1000)) ]
	check "in: $2 ms within 1 ms" is_between "$median_us" $(($2 * 1000)) $(($2 * 1000 + 1000))
	check "nothing was lost" [ "$received" = 100 ]
	lab_link_set left delay_ms=0
}

jitter() {
	lab_link_set left out.delay_ms=5 out.jitter_ms=10
	probe left right $right 300 5 200
	check "delays reach from 5 to 15 ms" [ "$min_us" -ge 5000 ]
	check "the median of 5 to 15 ms is 10" is_between "$median_us" 9000 12500
	check "the order is kept" [ "$late" = 0 ]
	lab_link_set left delay_ms=0 jitter_ms=0
}

# Exactly as many as the link says, and that is about what was asked for.
loss() {
	lab_link_set left out.loss_percent=20
	probe left right $right 2000 1 200
	check "20 % of 2000 are lost" is_between "$received" 1500 1700
	probe right left $left 500 1 200
	check "the other way nothing is" [ "$received" = 500 ]
	lab_link_set left out.loss_percent=0
	check "the events tell of each" \
		[ "$(grep -c ' out lost ' "$LAB_DIR/log/left-link.events")" = \
			"$(lab_link_shows left out.lost)" ]
}

duplicates() {
	lab_link_set left in.duplicate_percent=10
	probe right left $left 1000 1 200
	check "10 % of 1000 come twice" is_between "$duplicates" 60 140
	check "none is lost" [ "$received" = 1000 ]
	lab_link_set left duplicate_percent=0
}

reordering() {
	lab_link_set left out.reorder_percent=5 out.reorder_by=3
	probe left right $right 1000 2 200
	check "5 % of 1000 come late" is_between "$late" 25 75
	check "each after three that were sent later" [ "$steps" = 3 ]
	check "none is lost" [ "$received" = 1000 ]
	lab_link_set left reorder_percent=0
}

transfer() { # FROM TO ADDRESS BYTES: sets `mbit`, the rate of a TCP stream, whose SHA-256 is compared.
	lab_start receive "$2" python3 "$here/tools/transfer.py" receive "$3" 5000
	lab_wait 10 "the receiver listens" lab_has_logged receive ready
	lab_exec "$1" python3 "$here/tools/transfer.py" send "$3" 5000 "$4" >"$LAB_DIR/sent"
	lab_wait 120 "the receiver ends" lab_has_ended receive
	local sent arrived
	read -ra sent <"$LAB_DIR/sent"
	read -ra arrived < <(tail -n 1 "$LAB_DIR/log/receive")
	rm "$LAB_DIR/log/receive"
	[ "${sent[0]} ${sent[1]}" = "${arrived[0]} ${arrived[1]}" ] ||
		lab_fail "$1 sent ${sent[*]}, $2 received ${arrived[*]}"
	mbit=$(python3 -c "print(round($4 * 8e-6 / ${arrived[2]}))")
	ok "$4 bytes of TCP from $1 to $2, SHA-256 equal, $mbit Mbit/s"
}

rates() {
	lab_link_set left out.rate_mbit=20 queue_kib=128
	transfer left right $right 5000000
	check "not more than 20 Mbit/s" [ "$mbit" -le 20 ]
	check "and not far below" [ "$mbit" -ge 14 ]
	lab_link_set left rate_mbit=0
}

tcp_survives() {
	transfer left right $right 100000000
	lab_link_set left delay_ms=5 jitter_ms=3 loss_percent=1 duplicate_percent=1 \
		reorder_percent=1 reorder_by=4
	transfer left right $right 2000000
	transfer right left $left 2000000
	lab_link_set left delay_ms=0 jitter_ms=0 loss_percent=0 duplicate_percent=0 \
		reorder_percent=0
	check "frames were lost" [ "$(lab_link_shows left out.lost)" -gt 0 ]
	check "none was too long for the link" [ "$(lab_link_shows left out.too_long)" = 0 ]
	check "none could not be sent" [ "$(lab_link_shows left in.unsent)" = 0 ]
}

wrong_settings() {
	check_exit 1 'no such setting: delay=3' "a setting that is none" \
		lab_link_set left loss_percent=50 delay=3
	check "nothing was changed" [ "$(lab_link_shows left out.loss_percent)" = 0 ]
}

lab_link_program "$1"
lab_public_net
lab_public_host left $left
lab_public_host right $right
lab_link left
check "the two reach each other" lab_exec left ping -q -c 1 -W 5 $right >/dev/null
delays 20 0
delays 1 60
jitter
loss
duplicates
reordering
rates
tcp_survives
wrong_settings
check "the link ends well" lab_stop left-link
check_exit 1 '' "nothing passes without it" lab_exec left ping -q -c 1 -W 1 $right
echo "passed"
