#!/bin/bash
# Bad input, one after the other: each has its own sentence and exit code (daemon/core/base/problem.h),
# and garbage ends no program. Argument: a build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$here/lab.sh"
# shellcheck source=tests/lab/overlay.sh
. "$here/overlay.sh"
# shellcheck source=tests/lab/check.sh
. "$here/check.sh"
# shellcheck source=tests/lab/dns.sh
. "$here/dns.sh"

alice() { overlay_ictl alice "$@"; }
bob() { overlay_ictl bob "$@"; }
join_with() { overlay_ictl "$1" join "$2" --name "$3"; } # HOST TOKEN NAME

# The server's own command line.
rendezvous_arguments() {
	check_exit 2 'no command "explode"' "a command of the server that does not exist" \
		overlay_rendezvous explode
	check_exit 2 'no option --frobnicate' "an option of the server that does not exist" \
		overlay_rendezvous run --frobnicate
	check_exit 2 'no number of uses' "a token for no host" \
		overlay_rendezvous token create --dir "$LAB_DIR/server" --uses 0
	check_exit 3 'no-such.conf' "a configuration of the server that is not there" \
		overlay_rendezvous run --config "$LAB_DIR/no-such.conf"
	check_exit 4 'exists already' "a network where there is one" \
		overlay_rendezvous init --dir "$LAB_DIR/server" --name lab
}

# other_token ENDPOINT: of another network, whose server is said to be there.
other_token() {
	rm -rf "$LAB_DIR/other"
	overlay_rendezvous init --dir "$LAB_DIR/other" --name other --endpoint "$1" \
		>"$LAB_DIR/log/other" 2>&1
	overlay_rendezvous token create --dir "$LAB_DIR/other" --uses 1
}

# A host that knows of no name server meets servers that are not there. The one that is silent takes its
# time, so the other checks go on meanwhile: see silent_server_ends().
servers_that_are_not_there() {
	local start
	lab_public_host carol 203.0.113.30
	dns_nowhere
	dns_start_host carol
	start=$(lab_now_ms)
	check_exit 21 'cannot be resolved: it has no address.*nobody\.test' \
		"a server name that does not resolve" \
		join_with carol "$(other_token tcp://nobody.test:4510)" carol
	check "at once" [ $(($(lab_now_ms) - start)) -lt 10000 ]
	lab_start silent server python3 -c '
import signal, socket
s = socket.create_server(("203.0.113.1", 4511))
print("ready", flush=True)
signal.pause()' # no accept(): the system takes the connection, and nobody reads
	lab_wait 10 "the silent server listens" lab_has_logged silent ready
	join_with carol "$(other_token tcp://203.0.113.1:4511)" carol \
		>"$LAB_DIR/silent" 2>&1 </dev/null &
	silent_join=$!
}

silent_server_ends() {
	local status=0
	wait $silent_join || status=$?
	check_exit 0 'the server does not answer .*203\.0\.113\.1:4511' "a server that is silent" \
		cat "$LAB_DIR/silent"
	check "it ends with 21" [ $status = 21 ]
}

before_joining() {
	check_exit 5 'not joined' "up without a network" alice up
	check_exit 2 'ictl help' "a command that does not exist" alice explode
	check_exit 10 'not a join token' "a token that is none" join_with alice hello alice
	local token
	token=$(overlay_token --uses 1)
	check_exit 11 'damaged' "a token cut short" join_with alice "${token%??????}" alice
	check_exit 11 'damaged' "a token with two letters swapped" \
		join_with alice "$(swap_letters "$token")" alice
	check_exit 15 'not a valid name' "a name with a space" join_with alice "$token" "al ice"
	check_exit 15 'not a valid name' "a name with capitals" join_with alice "$token" Alice
	check_exit 15 'not a valid name' "a name of 64 letters" \
		join_with alice "$token" "$(printf 'a%.0s' {1..64})"
	echo "$token" >"$LAB_DIR/token"
	check_exit 0 '' "the same token, from a file, with a good name" \
		join_with alice "@$LAB_DIR/token" alice
	check_exit 6 'joined a network already' "joining twice" join_with alice "$token" alice
	check_exit 13 'used already' "a used token" join_with bob "$token" bob
}

swap_letters() { # two different ones that stand together
	python3 -c '
import sys
t = sys.argv[1]
i = next(i for i in range(len(t) // 2, len(t) - 1) if t[i] != t[i + 1])
print(t[:i] + t[i + 1] + t[i] + t[i + 2:])' "$1"
}

tokens_and_names() {
	local token
	token=$(overlay_token --expires 1s)
	lab_wait 5 "the clock passes its expiry" is_after $(($(date +%s) + 1))
	check_exit 12 'expired' "an expired token" join_with bob "$token" bob
	token=$(overlay_token --uses 1)
	check_exit 16 'has this name' "a name that is taken" join_with bob "$token" alice
	alice up >/dev/null
	check "alice is up and was not disturbed" \
		check_is alice "s['rendezvous']['state'] == 'ready'"
	alice down
}

is_after() { [ "$(date +%s)" -gt "$1" ]; }

wrong_server() {
	local token
	token=$(overlay_token --uses 1)
	lab_stop server
	check_exit 21 'cannot be reached' "a server that does not run" join_with bob "$token" bob
	up_without_a_server
	mv "$LAB_DIR/server" "$LAB_DIR/server.right"
	overlay_init
	overlay_start_server
	check_exit 20 'another key' "a server with another key" join_with bob "$token" bob
	lab_stop server
	rm -r "$LAB_DIR/server"
	mv "$LAB_DIR/server.right" "$LAB_DIR/server"
	overlay_start_server
	check_exit 0 '' "the right server again" join_with bob "$token" bob
}

up_without_a_server() {
	local start
	start=$(lab_now_ms)
	check_exit 50 '^offline: ' "up without a server shows how far it is, and ends" \
		alice up --timeout 3
	check "after the three seconds it was given" [ $(($(lab_now_ms) - start)) -lt 4500 ]
	check "the daemon goes on trying" check_is alice "s['state'] == 'offline' and s['wanted_up']"
	alice down
}

permissions() {
	check_exit 3 'not running' "no daemon behind the socket" \
		"$OVERLAY_BUILD/ctl/ictl" --socket "$LAB_DIR/nobody.sock" status
	chmod 0755 "$LAB_DIR/alice"
	check_exit 4 'no permission' "a user who may not" \
		setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$OVERLAY_BUILD/ctl/ictl" --socket "$LAB_DIR/alice/control.sock" status
}

this_host() {
	lab_ip alice route add 100.96.64.0/18 via 198.51.100.1
	check_exit 42 '100\.96\.64\.0/18' "a route that overlaps the overlay" alice up
	check "nothing was left behind by the failed start" is_absent alice icetun0
	lab_ip alice route del 100.96.64.0/18
	lab_ip alice link add icetun0 type bridge
	check_exit 43 'exists already' "a device with the name of ours" alice up
	lab_ip alice link del icetun0
	check_exit 0 '' "alice comes up once these are gone" alice up
	check_exit 0 '' "and down" alice down
	check "no device is left" is_absent alice icetun0
}
is_absent() { ! lab_ip "$1" link show dev "$2" >/dev/null 2>&1; }

no_tun() {
	lab_stop alice
	lab_start alice alice unshare --mount sh -c \
		"mount -t tmpfs none /dev/net && exec $OVERLAY_BUILD/daemon/icetund --config $LAB_DIR/alice/icetund.conf"
	lab_wait 10 "icetund answers" alice status
	check_exit 40 '/dev/net/tun' "no /dev/net/tun" alice up
	lab_stop alice
	overlay_start_host alice
}

bad_start() { # CODE REGEX WHAT HOST CONFIG
	check_exit "$1" "$2" "$3" lab_exec "$4" timeout 10 "$OVERLAY_BUILD/daemon/icetund" --config "$5"
}
files() {
	printf '[Ice]\nPort=many\n' >"$LAB_DIR/bad.conf"
	bad_start 60 'bad.conf:2' "a value that is none" alice "$LAB_DIR/bad.conf"
	bad_start 60 'no-such.conf' "a configuration that is not there" alice "$LAB_DIR/no-such.conf"
	chmod 0644 "$LAB_DIR/alice/icetund.conf"
	check_exit 61 'Permission denied' "icetund without root, on root's state" \
		lab_exec alice timeout 10 setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$OVERLAY_BUILD/daemon/icetund" --config "$LAB_DIR/alice/icetund.conf"
	lab_stop alice
	chmod 0755 "$LAB_DIR/alice/state"
	bad_start 61 '0700' "a state directory that others can read" alice \
		"$LAB_DIR/alice/icetund.conf"
	chmod 0700 "$LAB_DIR/alice/state"
	overlay_start_host alice
	bad_start 63 'control.sock' "a second icetund on the same socket" alice \
		"$LAB_DIR/alice/icetund.conf"
	check "the first one still answers" check_is alice "s['name'] == 'alice'"
}

peers() {
	check_exit 0 '' "alice comes up" alice up
	check_exit 30 'no such host' "a peer that nobody knows" alice ping carol
	check_exit 31 'not online' "a peer that is not online" alice ping bob
	check_exit 0 '' "bob comes up" bob up
	check_exit 0 ' 0 % lost' "bob reaches alice with the very first request" bob ping -c 3 alice
}

garbage() { lab_exec "$1" python3 "$here/tools/garbage.py" "${@:2}"; }

udp_ports() { # HOST LABEL: where the program listens
	lab_exec "$1" ss -Hlunp | grep "pid=$(lab_pid "$2")," | awk '{ print $4 }' |
		sed 's/.*://' | sort -u
}

# While packets flow, garbage goes to everything that listens.
all_stand_garbage() {
	local port ports program
	ports=$(udp_ports alice alice)
	[ -n "$ports" ] || lab_fail "icetund of alice listens on no UDP port"
	check_memory server alice
	lab_exec alice ping -q -c 500 -i 0.02 -W 5 "$(overlay_address bob)" >"$LAB_DIR/ping" 2>&1 &
	local ping=$!
	for port in $ports; do garbage nat-a udp 198.51.100.10 "$port" 20000; done
	garbage alice udp 203.0.113.1 3478 20000
	garbage alice tcp 203.0.113.1 4510 200
	garbage alice unix "$LAB_DIR/alice/control.sock" 100
	wait $ping || true
	check_pings "$LAB_DIR/ping"
	check_memory server alice
	for program in server alice bob; do
		check "$program still runs" lab_is_running $program
	done
	check_exit 0 alice "alice still answers" alice status
	check_exit 0 'reply from alice' "bob still reaches alice" bob ping -c 1 alice
	lab_wait 60 "alice is registered" check_is alice "s['rendezvous']['state'] == 'ready'"
	echo "    what alice dropped: $(check_field alice "s['drops']")"
}

ends_well() {
	local program
	for program in alice bob server; do
		check "$program ends well with SIGTERM" lab_stop $program
	done
}

check_begin "$1"
overlay_net home home
overlay_init
overlay_start_server
overlay_start_host alice
overlay_start_host bob
rendezvous_arguments
servers_that_are_not_there
before_joining
tokens_and_names
wrong_server
permissions
this_host
no_tun
files
peers
all_stand_garbage
silent_server_ends
ends_well
check_expect '^warning join\.failed problem=(Token|Name|Server)' # before_joining, carol
check_expect '^error up\.failed problem=(RouteOverlap|InterfaceExists|NoTun)'
check_expect '^warning rendezvous\.(lost state=offline|down reason=(closed|unreachable))' # wrong_server
check_expect '^warning control\.disconnected reason=(malformed|message_too_long)' # all_stand_garbage
check_logs
echo "passed"
