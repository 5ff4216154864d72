#!/bin/bash
# Hosts that move, with real daemons and links with delay, 1,000 numbered packets a second both ways. See
# `roam.sh --help`.
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
# shellcheck source=tests/lab/turn.sh
. "$here/turn.sh"
# shellcheck source=tests/lab/roam_net.sh
. "$here/roam_net.sh"

usage() {
	cat <<-'TEXT'
	Usage: roam.sh [--times N] [--nat KIND] [--long] BUILD-DIRECTORY CASE...

	  soft      another interface appears, takes the default route; the first goes 5 s later: 0 lost
	  alone     the same without the rendezvous server
	  hard      the address goes, another is there: gap within 2 S + 2 D + 100 ms
	  later     the address goes, another comes 2 s later: traffic within 2 S + 2 D + 300 ms
	  both      both hosts move at once: traffic within 3 s
	  server    hard, without the rendezvous server: traffic within 3 s of its return
	  reboot    the NAT forgets its mappings: traffic within 1 s
	  flaps     the interface comes and goes 50 times in 10 s: connected 2 s later, nothing has leaked
	  tcp       100 MB over 20 hard handovers: every byte arrives
	  load      restarts on a saturated link: nothing is lost but by the link
	  relayed   to a NAT that needs a relay and back, softly and hard; needs coturn
	  turn      coturn restarts under a relayed session: traffic within 3 s; needs coturn

	--nat: the kind of NAT (lab_nat_rules() has the list) of the network that alice changes to and from;
	home, or symmetric where a relay is needed.
	With ICETUN_TEST_LONG set each case is done ten times and every one has to be in time, else once. What
	is always counted is what was lost and what came twice. --long: skips itself where that is not set.
	TEXT
}

delay_ms=5 # of each router and the server, one way

# --- Cases -------------------------------------------------------------------------------------

# soft NAME: alice moves to the other home.
soft() {
	roam_soft "$1" 5
	sleep 1
}

case_soft() {
	local i
	roam_count_begin
	for ((i = 0; i < times; i++)); do soft soft; done
	roam_count_end
	roam_check_none soft lost duplicated
	roam_check_none soft-left lost duplicated
}

case_alone() {
	local i
	stop_server
	for host in alice bob; do
		lab_wait 10 "$host notices" check_is $host "s['rendezvous']['state'] != 'ready'"
	done
	roam_count_begin
	for ((i = 0; i < times; i++)); do soft alone; done
	roam_count_end
	start_server
	roam_check_none alone lost duplicated
	roam_check_none alone-left lost duplicated
}
stop_server() { lab_stop server || true; }
start_server() {
	local host
	overlay_start_server
	for host in alice bob; do
		lab_wait 60 "$host registers again" check_is $host "s['rendezvous']['state'] == 'ready'"
	done
}

# hard NAME HOST [COMMAND...]: see roam_hard().
hard() {
	roam_hard "$@"
	sleep 2
	roam_mark between
}

case_hard() {
	local i bound_us
	bound_us=$(($(roam_bound_us nat-a nat-b) + 100000))
	roam_count_begin
	for ((i = 0; i < times; i++)); do hard hard alice; done
	roam_count_end
	roam_check_none hard duplicated
	roam_check_us hard gap_us $bound_us
}

case_later() {
	local i bound_us
	bound_us=$(($(roam_bound_us nat-a nat-b) + 300000))
	roam_count_begin
	for ((i = 0; i < times; i++)); do
		roam_mark gone
		roam_later later
		sleep 2
	done
	roam_count_end
	roam_check_none later duplicated
	roam_check_us later resumed_us $bound_us
}

case_both() {
	local i
	roam_count_begin
	for ((i = 0; i < times; i++)); do
		roam_both both
		sleep 4
	done
	roam_count_end
	roam_check_none both duplicated
	roam_check_us both gap_us 3000000
	while [ "${ROAM_AT[bob]}" != b ]; do hard back bob; done
}

case_server() {
	local i
	roam_count_begin
	for ((i = 0; i < times; i++)); do
		hard gone alice stop_server
		roam_mark server
		start_server
		sleep 3
	done
	roam_count_end
	roam_check_none server duplicated
	roam_check_us server resumed_us 3000000
}

case_reboot() {
	local i router
	roam_count_begin
	for ((i = 0; i < times; i++)); do
		for router in nat-b "nat-${ROAM_AT[alice]}"; do
			roam_mark reboot
			lab_exec "$router" conntrack -F 2>/dev/null
			sleep 2
		done
	done
	roam_count_end
	roam_check_none reboot duplicated
	roam_check_us reboot gap_us 1000000
}

fds_of() { find "/proc/$1/fd" | wc -l; }
rss_kib_of() { sed -n 's/VmRSS:[ \t]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }

case_flaps() {
	local i n pid home=${ROAM_AT[alice]} fds rss
	pid=$(lab_pid alice)
	for ((n = 0; n < times; n++)); do
		flap "$home" 10 # what is allocated once is there
		lab_wait 10 "the hosts reach each other" roam_is_connected
		sleep 4
		fds=$(fds_of "$pid") rss=$(rss_kib_of "$pid")
		roam_count_begin
		flap "$home" 49
		roam_detach alice "$home"
		sleep 0.1
		roam_attach alice "$home" 1000 flaps
		sleep 5
		roam_count_end
		roam_check_none flaps duplicated
		roam_check_us flaps resumed_us 2000000
		lab_wait 10 "alice has no more files open than before" has_fds "$pid" "$fds"
		i=$(rss_kib_of "$pid")
		check "alice has $fds files open as before, memory $rss KiB, then $i" \
			[ "$i" -le $((rss + 2048)) ]
	done
}
flap() { # HOME COUNT
	local i
	for ((i = 0; i < $2; i++)); do
		roam_detach alice "$1"
		sleep 0.08
		roam_attach alice "$1" 1000
		sleep 0.08
	done
}
has_fds() { [ "$(fds_of "$1")" -le "$2" ]; }

transfer_start() { # FROM TO ADDRESS BYTES
	rm -f "$LAB_DIR/log/receive.$2"
	lab_start "receive.$2" "$2" python3 "$here/tools/transfer.py" receive "$3" 5000
	lab_wait 10 "the receiver listens" lab_has_logged "receive.$2" ready
	rm -f "$LAB_DIR/log/send.$1"
	lab_start "send.$1" "$1" python3 "$here/tools/transfer.py" send "$3" 5000 "$4"
}
transfer_end() { # FROM TO
	local sent received
	lab_wait 180 "the receiver ends" lab_has_ended "receive.$2"
	lab_wait 5 "the sender ends" lab_has_ended "send.$1"
	read -ra sent < <(tail -n 1 "$LAB_DIR/log/send.$1")
	read -ra received < <(tail -n 1 "$LAB_DIR/log/receive.$2")
	[ "${sent[0]} ${sent[1]}" = "${received[0]} ${received[1]}" ] ||
		lab_fail "$1 sent ${sent[*]}, $2 received ${received[*]}"
	ok "${sent[0]} bytes from $1 to $2, SHA-256 equal, in ${received[2]} s"
}

case_tcp() {
	local i home
	for home in a b c d; do lab_link_set nat-$home rate_mbit=8 queue_kib=256; done
	transfer_start alice bob "$ROAM_BOB" 100000000
	for ((i = 0; i < 20; i++)); do
		hard tcp alice
		lab_is_running send.alice || lab_fail "the transfer ended after $i handovers"
	done
	transfer_end alice bob
	ok "20 hard handovers meanwhile"
	for home in a b c d; do lab_link_set nat-$home rate_mbit=0; done
}

# What the links have dropped on the way from alice to bob, and what has been sealed there and not arrived.
link_drops() {
	echo $(($(lab_link_shows nat-a out.queue_full) + $(lab_link_shows nat-c out.queue_full) + \
		$(lab_link_shows nat-b in.queue_full)))
}
not_arrived() {
	echo $(($(check_field alice "s['data']['out']['sent']") - $(check_field bob "s['data']['in']['datagrams']")))
}

case_load() {
	local i home before missing lost switched
	for home in a b c d; do lab_link_set nat-$home rate_mbit=50 queue_kib=64; done
	before=$(link_drops) missing=$(not_arrived)
	transfer_start alice bob "$ROAM_BOB" 60000000
	transfer_start bob alice "$ROAM_ALICE" 60000000
	roam_count_begin
	switched=$(check_field alice "s['peers'][0]['restarts']['switched']")
	roam_mark load
	for ((i = 0; i < 4; i++)); do
		sleep 1
		overlay_ictl alice restart-ice bob
	done
	sleep 1
	soft load
	roam_count_end
	transfer_end alice bob
	transfer_end bob alice
	lost=$(cat <(roam_values load lost) <(roam_values load-left lost) | awk '{ sum += $1 } END { print sum }')
	i=$(($(link_drops) - before)) missing=$(($(not_arrived) - missing))
	check "of all packets to bob $missing are missing, the links have dropped $i; of the numbered ones $lost" \
		[ $missing -le $i ]
	roam_check_none load duplicated
	check "alice has switched 5 times" check_is alice \
		"s['peers'][0]['restarts']['switched'] - $switched >= 5"
	check "alice never was without a path" [ "$(grep -c 'no path' "$LAB_DIR/log/events.alice")" = 0 ]
	for home in a b c d; do lab_link_set nat-$home rate_mbit=0; done
}

# --- With a relay: alice's home c is behind a symmetric NAT, which bob's does not let in. ----------------

# The addresses of NATs can be learnt without the rendezvous server, whose STUN service goes with it: another
# one's is there.
configure() {
	lab_public_host stun 203.0.113.3
	lab_link stun "delay_ms=$delay_ms"
	lab_exec stun "$OVERLAY_BUILD/rendezvous/icetun-rendezvous" init --dir "$LAB_DIR/stun" \
		--name stun --endpoint "tcp://203.0.113.3:$OVERLAY_PORT" >"$LAB_DIR/log/init.stun" 2>&1
	lab_start stun stun "$OVERLAY_BUILD/rendezvous/icetun-rendezvous" run \
		--config "$LAB_DIR/stun/rendezvous.conf"
	printf '[Servers]\nUri=stun:203.0.113.3\n' >>"$LAB_DIR/server/rendezvous.conf"
	[ -z "$needs_relay" ] || start_relay
}

start_relay() {
	lab_public_host relay 203.0.113.2
	lab_link relay "delay_ms=$delay_ms"
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via 203.0.113.1
	turn_make_ca
	turn_make_certificate relay 203.0.113.2
	turn_start relay relay 203.0.113.2
	cat >>"$LAB_DIR/server/rendezvous.conf" <<-CONF
	Uri=turn:203.0.113.2?transport=udp
	TurnSecret=$TURN_SECRET
	CONF
}
is_kind() { # HOST PEER KIND
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'] == ['$3']"
}
kind_at() { if [ "$1" = c ]; then echo relayed; else echo direct; fi; }

# A direct path over the interface that will go is better than a relayed one over the one that stays: what is
# soft otherwise is hard on the way to the relay, which stands by. With short links, since what is in flight when
# the interface goes, before the mark, is lost.
set_delay() {
	local name
	for name in nat-a nat-b nat-c nat-d server stun relay; do
		lab_link_set "$name" "delay_ms=$1"
	done
}
case_relayed() {
	local i bound_us kind
	set_delay 1
	bound_us=$(($(roam_bound_us nat-a nat-b) + 100000))
	roam_count_begin
	for ((i = 0; i < 2 * times; i++)); do
		soft_to "$(kind_at "$(roam_other "${ROAM_AT[alice]}")")"
	done
	for ((i = 0; i < 2 * times; i++)); do
		kind=$(kind_at "$(roam_other "${ROAM_AT[alice]}")")
		hard "hard-to-$kind" alice
		are_kind "$kind"
	done
	roam_count_end
	roam_check_none soft-to-relayed lost duplicated
	roam_check_none soft-to-direct lost duplicated
	roam_check_none left-for-direct lost duplicated
	for i in left-for-relayed hard-to-relayed hard-to-direct; do
		roam_check_none $i duplicated
		roam_check_us $i gap_us "$bound_us"
	done
	set_delay $delay_ms
}
soft_to() { # KIND
	local from=${ROAM_AT[alice]}
	roam_mark "soft-to-$1"
	roam_attach alice "$(roam_other "$from")" $((ROAM_METRIC[alice] - 1))
	sleep 5
	[ "$1" = relayed ] || are_kind "$1"
	roam_mark "left-for-$1"
	roam_detach alice "$from"
	sleep 2
	are_kind "$1"
	roam_mark between
}
are_kind() {
	lab_wait 10 "alice says: $1" is_kind alice bob "$1"
	lab_wait 10 "bob says: $1" is_kind bob alice "$1"
}

case_turn() {
	local i
	[ "${ROAM_AT[alice]}" = c ] || hard to-relayed alice
	are_kind relayed
	roam_count_begin
	for ((i = 0; i < times; i++)); do
		sleep 1
		lab_kill relay
		roam_mark turn
		turn_start relay relay 203.0.113.2
		sleep 6
	done
	roam_count_end
	roam_check_none turn duplicated
	roam_check_us turn resumed_us 3000000
}

# --- Main --------------------------------------------------------------------------------------

times=${ICETUN_TEST_LONG:+10}
times=${times:-1}
nat=""
while [ $# -gt 0 ]; do
	case $1 in
	--times) times=$2; shift ;;
	--nat) nat=$2; shift ;;
	--long) [ -n "${ICETUN_TEST_LONG-}" ] || { echo "skipped: ICETUN_TEST_LONG is not set"; exit 77; } ;;
	--help) usage; exit ;;
	*) break ;;
	esac
	shift
done
[ $# -ge 2 ] || { usage >&2; exit 2; }
build=$1
shift
needs_relay=""
case " $* " in
*" relayed "* | *" turn "*)
	command -v turnserver >/dev/null || { echo "skipped: needs coturn"; exit 77; }
	needs_relay=yes ;;
esac
check_begin "$build"
lab_link_program "$build"
: "${nat:=${needs_relay:+symmetric}}"
roam_begin $delay_ms configure "${nat:-home}"
for name; do
	echo "$name"
	"case_$name"
done
check_expect '^warning rendezvous\.(lost state=offline|down reason=(helper|closed|unreachable))'
for host in alice bob; do
	check "icetund on $host ends well with SIGTERM" lab_stop $host
done
check_logs
echo passed
