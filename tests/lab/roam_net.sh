# shellcheck shell=bash
# Hosts that move, and what their packets notice. To be sourced after lab.sh, overlay.sh, link.sh, check.sh.
#
#	alice eth-a - nat-a --+--  public net  --+-- nat-b - eth-b bob
#	      eth-c - nat-c --+                  +-- nat-d - eth-d
#	                      +-- server (rendezvous), relay (coturn)
#
# Home a, b, c or d is a router with its lan; a host is attached to one or two of them, by devices that
# come and go. As network managers do it, a second device has a default route of its own, and the metric
# tells which is the better one. Each router and the server have a link with delay between them and the
# public net, made by tools/lab_link.
#
# tools/counted.py sends 1,000 numbered datagrams a second both ways inside the tunnel. A line of
# $LAB_DIR/report for each roam_mark() says what became of them.

declare -A ROAM_WAN=([a]=203.0.113.11 [b]=203.0.113.12 [c]=203.0.113.13 [d]=203.0.113.14)
declare -A ROAM_INSIDE=([a]=198.51.100.1 [b]=192.0.2.1 [c]=198.51.100.129 [d]=192.0.2.129)
declare -A ROAM_ADDRESS=([a]=198.51.100.10 [b]=192.0.2.10 [c]=198.51.100.138 [d]=192.0.2.138)
# Where each host was attached last, and the metric there.
declare -A ROAM_AT ROAM_METRIC
ROAM_PORT=5005
ROAM_TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tools

# roam_begin DELAY-MS [CONFIGURE [KIND]]: alice in home a and bob in home b have joined, and the tunnel is
# there. CONFIGURE is called before the server starts; KIND is the NAT of home c.
roam_begin() {
	local host home configure=${2-true}
	declare -A kind=([a]=home [b]=home [c]=${3-home} [d]=home)
	lab_public_net
	lab_public_host server 203.0.113.1
	lab_link server "delay_ms=$1"
	for home in a b c d; do
		lab_nat nat-$home "${kind[$home]}" "${ROAM_WAN[$home]}" "${ROAM_INSIDE[$home]}/25"
		lab_link nat-$home "delay_ms=$1"
	done
	for host in alice bob; do lab_namespace $host; done
	roam_attach alice a 1000
	roam_attach bob b 1000
	overlay_init
	$configure
	overlay_start_server
	overlay_bring_up alice bob
	for host in alice bob; do
		lab_start "events.$host" $host "$OVERLAY_BUILD/ctl/ictl" \
			--socket "$LAB_DIR/$host/control.sock" events
	done
	ROAM_ALICE=$(overlay_address alice)
	ROAM_BOB=$(overlay_address bob)
	lab_wait 15 "the hosts reach each other" roam_is_connected
}

# roam_attach HOST HOME METRIC [MARK]: a device appears, and gets its address (from then on: MARK) and route.
roam_attach() {
	lab_cable "$1" "eth-$2" "nat-$2" "$1"
	lab_ip "nat-$2" link set "$1" master lan
	[ -z "${4-}" ] || roam_mark "$4"
	lab_ip "$1" addr add "${ROAM_ADDRESS[$2]}/25" dev "eth-$2"
	lab_ip "$1" route add default via "${ROAM_INSIDE[$2]}" dev "eth-$2" metric "$3"
	# shellcheck disable=SC2034 # for who sources this
	ROAM_AT[$1]=$2
	# shellcheck disable=SC2034
	ROAM_METRIC[$1]=$3
}
roam_detach() { lab_ip "$1" link delete "eth-$2"; } # HOST HOME

# roam_other HOME: the other one of the same host.
roam_other() { tr abcd cdab <<<"$1"; }

# Puts the mappings of all NATs to the logs, which are shown when a test fails.
roam_log_mappings() {
	local home
	for home in a b c d; do
		lab_exec nat-$home conntrack -L -p udp >"$LAB_DIR/log/nat-$home.mappings" 2>&1 || true
	done
}

roam_is_connected() { lab_exec alice ping -c 1 -W 1 -q "$ROAM_BOB"; }

# roam_is_at HOST PEER HOME [KIND]: the path to PEER leaves from HOME, and is of that kind. Its local address
# may be the one that the router gives it.
roam_is_at() {
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'
		and p['path']['local'].rsplit(':', 1)[0] in ('${ROAM_ADDRESS[$3]}', '${ROAM_WAN[$3]}')
		] == ['${4-direct}']"
}

# --- Moving ------------------------------------------------------------------------------------

# roam_soft MARK SECONDS: another interface appears and takes alice's default route; the first goes SECONDS
# later.
roam_soft() {
	local from=${ROAM_AT[alice]} to
	to=$(roam_other "$from")
	roam_mark "$1"
	roam_attach alice "$to" $((ROAM_METRIC[alice] - 1))
	sleep "$2"
	roam_is_at alice bob "$to" || {
		roam_log_mappings
		lab_fail "$1: the path of alice is still the old one"
	}
	roam_mark "$1-left"
	roam_detach alice "$from"
}

# roam_hard MARK HOST [COMMAND...]: the interface goes, another, which is not the better one, is there.
# COMMAND comes in between. A pair over the other interface stands by then.
roam_hard() {
	local from=${ROAM_AT[$2]}
	roam_mark between # what is in flight when the interface goes
	roam_attach "$2" "$(roam_other "$from")" $((ROAM_METRIC[$2] + 1))
	lab_wait 5 "$2 knows what the NAT of its other interface makes of it" roam_knows_home "$2" "${ROAM_AT[$2]}"
	lab_wait 10 "$2 has a path over its other interface standing by" roam_stands_by "$2" "${ROAM_AT[$2]}"
	"${@:3}"
	roam_mark "$1"
	roam_detach "$2" "$from"
}
# From relayed to direct ICE may be there already.
roam_stands_by() { # HOST HOME
	check_is "$1" "any(p['local'].rsplit(':', 1)[0] in ('${ROAM_ADDRESS[$2]}', '${ROAM_WAN[$2]}')
		for p in s['peers'][0]['standby'] + [s['peers'][0]['path']])"
}
roam_knows_home() {
	check_is "$1" "any(c['address'].startswith('${ROAM_WAN[$2]}:') for c in s['candidates'])"
}

# roam_later MARK: alice has no address for 2 s, then another; MARK is when.
roam_later() {
	local from=${ROAM_AT[alice]}
	roam_detach alice "$from"
	sleep 2
	roam_attach alice "$(roam_other "$from")" 1000 "$1"
}

# roam_both MARK: both hosts lose their addresses, and get others at once.
roam_both() {
	local host
	declare -A left
	roam_mark "$1"
	for host in alice bob; do
		left[$host]=${ROAM_AT[$host]}
		roam_detach $host "${left[$host]}"
	done
	for host in alice bob; do roam_attach $host "$(roam_other "${left[$host]}")" 1000; done
}

# --- Counting ----------------------------------------------------------------------------------

roam_count_begin() {
	local host
	: >"$LAB_DIR/marks"
	roam_count_start alice "$ROAM_ALICE" "$ROAM_BOB"
	roam_count_start bob "$ROAM_BOB" "$ROAM_ALICE"
	for host in alice bob; do
		lab_wait 10 "the counter on $host is ready" lab_has_logged "counted.$host" ready
	done
	# The first datagrams came before the other end was there.
	sleep 0.2
}
roam_count_start() { # HOST ADDRESS PEER
	rm -f "$LAB_DIR/log/counted.$1"
	lab_start "counted.$1" "$1" python3 "$ROAM_TOOLS/counted.py" run "$2" "$3" $ROAM_PORT \
		"$LAB_DIR/counted.$1"
}

# roam_mark NAME: what is sent from now on belongs to NAME.
roam_mark() { echo "${EPOCHREALTIME/[.,]/} $1" >>"$LAB_DIR/marks"; }

# Ends the counters and writes the report.
roam_count_end() {
	roam_mark end
	lab_stop counted.alice || true
	lab_stop counted.bob || true
	python3 "$ROAM_TOOLS/counted.py" report "$LAB_DIR/counted.alice" "$LAB_DIR/counted.bob" \
		"$LAB_DIR/marks" | grep -v '^end ' >"$LAB_DIR/report"
}

# roam_check_none NAME FIELD...: these numbers are 0 in all lines of NAME.
roam_check_none() {
	local name=$1 field sum
	shift
	for field; do
		sum=$(roam_values "$name" "$field" | awk '{ sum += $1 } END { print NR ? sum : -1 }')
		[ "$sum" = 0 ] || { cat "$LAB_DIR/report"; lab_fail "$name: $sum $field"; }
	done
	ok "$name: $(roam_values "$name" sent | wc -l) times, none $*"
}

# roam_check_us NAME FIELD US: within that time each time, in long tests; else at least once: of several runs
# the one that the rest of the machine has disturbed least.
roam_check_us() {
	local all us=() worst best
	mapfile -t us < <(roam_values "$1" "$2" | sort -n)
	all=${us[*]}
	best=${us[0]} worst=${us[-1]}
	[ "$best" -ge 0 ] || { cat "$LAB_DIR/report"; lab_fail "$1: $2 $all"; }
	[ -n "${ICETUN_TEST_LONG-}" ] || worst=$best
	[ "$worst" -le "$3" ] || { cat "$LAB_DIR/report"; lab_fail "$1: $2 $all, allowed are $3"; }
	ok "$1: ${#us[@]} times, $2 $((best / 1000)) to $((us[-1] / 1000)) ms, allowed are $(($3 / 1000)) ms"
}
roam_values() { # NAME FIELD
	awk -v name="$1" -v field="$2" '
		$1 == name { for (i = 2; i < NF; i += 2) if ($i == field) print $(i + 1) }' "$LAB_DIR/report"
}

# roam_bound_us: 2 S + 2 D as measured now: S the time one way to the other host through the rendezvous
# server, D the round trip without it.
roam_bound_us() { # ROUTER-OF-ALICE ROUTER-OF-BOB
	local direct_us s_us
	direct_us=$(roam_rtt_us "$1" 203.0.113.12)
	s_us=$((($(roam_rtt_us "$1" 203.0.113.1) + $(roam_rtt_us "$2" 203.0.113.1)) / 2))
	echo $((2 * s_us + 2 * direct_us))
}
roam_rtt_us() { # HOST ADDRESS: the best of five pings
	lab_exec "$1" ping -q -c 5 -i 0.2 "$2" | sed -n 's|^rtt [^=]*= \([0-9.]*\)/.*|\1|p' |
		awk '{ print int($1 * 1000) }'
}
