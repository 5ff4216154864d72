# shellcheck shell=bash
# What a lab test is made of: a lab of its own that goes when the test ends, checks that say what they
# found, and the rule that a log without an expected cause holds no warning. To be sourced after lab.sh
# and overlay.sh.

# check_begin BUILD-DIRECTORY: the lab, or 77 ("skipped") where there can be none.
check_begin() {
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
	[ -c /dev/net/tun ] || { echo "skipped: needs /dev/net/tun"; exit 77; }
	CHECK_EXPECTED=()
	# shellcheck disable=SC2034 # for lab_start()
	LAB_ENV=(ASAN_OPTIONS=strict_string_checks=1
		UBSAN_OPTIONS=print_stacktrace=1)
	lab_begin "icetun-lab-$$" "$(mktemp -d /tmp/icetun-lab.XXXXXX)"
	trap check_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	overlay_programs "$1"
	echo "programs of $OVERLAY_BUILD"
}

# Shows the logs of a test that failed. ICETUN_LAB_KEEP=1 keeps them, and the captures.
check_end() {
	local status=$?
	lab_end
	if [ $status != 0 ]; then
		tail -n 60 "$LAB_DIR"/log/*
		if [ -n "${ICETUN_LAB_KEEP-}" ]; then
			echo "kept: $LAB_DIR"
			return
		fi
	fi
	rm -rf "$LAB_DIR"
}

ok() { echo "ok: $*"; }

# check WHAT COMMAND...
check() {
	local what=$1
	shift
	"$@" || lab_fail "$what"
	ok "$what"
}

# check_exit CODE REGEX WHAT COMMAND...: COMMAND ends with CODE and says a sentence that matches.
check_exit() {
	local code=$1 regex=$2 what=$3 status=0
	shift 3
	"$@" >"$LAB_DIR/output" 2>&1 </dev/null || status=$?
	printf '%s: exit %s\n' "$what" $status
	sed 's/^/    /' "$LAB_DIR/output"
	[ $status = "$code" ] || lab_fail "$what: must end with $code, not $status"
	grep -Eq -- "$regex" "$LAB_DIR/output" || lab_fail "$what: must say \"$regex\""
}

# check_field HOST EXPRESSION: evaluates a Python expression over `s`, the JSON status of HOST.
check_field() {
	overlay_ictl "$1" status --json | python3 -c "
import json, sys
s = json.load(sys.stdin)
s = s.get('status', s)
print($2)"
}
check_is() { [ "$(check_field "$1" "$2" 2>/dev/null)" = True ]; } # HOST CONDITION

# check_pings FILE: what `ping -q` wrote there; nothing may be lost.
check_pings() {
	local summary
	summary=$(grep transmitted "$1") || lab_fail "ping: $(cat "$1")"
	[[ $summary == *" 0% packet loss"* && $summary != *duplicates* ]] || lab_fail "ping: $summary"
	echo "    $summary; $(grep rtt "$1")"
}

# check_expect REGEX: a warning or error in a log that the test itself causes.
check_expect() { CHECK_EXPECTED+=(-e "$1"); }

# check_logs: no log has a warning or error that was not expected, and no report of a sanitizer.
check_logs() {
	local file found
	for file in "$LAB_DIR"/log/*; do
		found=$(grep -E '^(<[0-4]>|error|warning)|ERROR: |runtime error:|Assertion' "$file" |
			grep -Ev -e '^$' ${CHECK_EXPECTED[@]+"${CHECK_EXPECTED[@]}"}) || continue
		printf '%s\n' "$found" | head -n 20
		lab_fail "the log of ${file##*/} has warnings that nothing here should cause"
	done
	ok "no unexpected warning or error in any log"
}

# check_memory LABEL...: the memory of programs of the lab, by pid of the label and below. PSS shares what
# several processes map among them; private is what would be free without the process.
check_memory() {
	local label pid
	for label; do
		for pid in $(lab_pid "$label") $(check_children "$(lab_pid "$label")"); do
			printf '    %s %s: RSS %d kB, PSS %d kB, private %d kB\n' "$label" \
				"$(cat "/proc/$pid/comm")" "$(check_smaps "$pid" Rss)" \
				"$(check_smaps "$pid" Pss)" "$(check_smaps "$pid" 'Private_[A-Za-z]*')"
		done
	done
}
check_smaps() { # PID FIELD
	sed -n "s/^$2: *\([0-9]*\) kB/\1/p" "/proc/$1/smaps_rollup" | awk '{ n += $1 } END { print n }'
}
# check_idle_memory LABEL...: they have been idle, and each takes 8 MB at most. (Sanitizers take more.)
check_idle_memory() {
	local label
	if grep -q __asan_init "$OVERLAY_BUILD/daemon/icetund"; then
		check_memory "$@"
		return
	fi
	for label; do
		lab_wait 30 "$label and its helper take 8 MB at most: $(check_memory "$label")" \
			check_is_small "$label"
	done
	check_memory "$@"
	ok "idle, $* take 8 MB at most"
}
check_is_small() { # LABEL
	local pid
	for pid in $(lab_pid "$1") $(check_children "$(lab_pid "$1")"); do
		[ "$(check_smaps "$pid" Rss)" -le 8192 ] || return 1
	done
}
check_children() { cat "/proc/$1/task/$1/children"; }

# check_balance HOST...: every packet that a host has read or received is accounted for: sent, handed on, or
# dropped for a reason.
check_balance() {
	local host
	for host; do
		lab_is_soon 5 check_is_balanced "$host" ||
			lab_fail "packets of $host are missing: $(check_field "$host" "s['data']")"
	done
	ok "every packet of $* is accounted for"
}
check_is_balanced() { # HOST
	check_is "$1" "all([
		(o := s['data']['out'])['read'] == o['sent'] + o['unrouted']
			+ sum(d['count'] for d in o['drops']),
		(i := s['data']['in'])['datagrams'] + i['injected'] == i['written'] + i['control']
			+ i['stun'] + i['relayed'] + i['empty'] + sum(d['count'] for d in i['drops'])])"
}

# check_residue HOST FILE: everything that a program may have left in the network of a host.
check_residue() {
	{
		lab_ip "$1" -o link | sed 's/ state [A-Z]* / /'
		lab_ip "$1" -o addr | sed 's/valid_lft.*//'
		lab_ip "$1" route show table all
		lab_ip "$1" -6 route show table all
		lab_ip "$1" rule
		lab_ip "$1" -6 rule
		lab_exec "$1" nft list ruleset
	} >"$2"
}
