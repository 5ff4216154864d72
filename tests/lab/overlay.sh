# shellcheck shell=bash
# icetun in the lab: the programs of one build directory, a rendezvous server at 203.0.113.1 (or
# OVERLAY_SERVER), and hosts that run icetund. To be sourced after lab.sh.
#
# Each has a directory below LAB_DIR with its configuration, keys and control socket: server/, alice/.

OVERLAY_PORT=4510

# overlay_programs BUILD-DIRECTORY
overlay_programs() {
	local program
	OVERLAY_BUILD=$(cd "$1" && pwd)
	for program in daemon/icetund daemon/signaling/icetun-signal ctl/ictl \
		rendezvous/icetun-rendezvous; do
		[ -x "$OVERLAY_BUILD/$program" ] ||
			lab_fail "there is no $OVERLAY_BUILD/$program; build it first"
	done
}

# Two homes on a public net, with nobody in them but alice and bob, and the server's machine.
overlay_net() { # NAT-OF-ALICE NAT-OF-BOB
	lab_public_net
	lab_public_host server 203.0.113.1
	lab_nat nat-a "$1" 203.0.113.11 198.51.100.1
	lab_nat nat-b "$2" 203.0.113.12 192.0.2.1
	lab_host alice nat-a 198.51.100.10
	lab_host bob nat-b 192.0.2.10
}

overlay_rendezvous() { lab_exec server "$OVERLAY_BUILD/rendezvous/icetun-rendezvous" "$@"; }

# Makes a network called "lab".
overlay_init() {
	overlay_rendezvous init --dir "$LAB_DIR/server" --name lab \
		--endpoint "tcp://${OVERLAY_SERVER-203.0.113.1}:$OVERLAY_PORT" >"$LAB_DIR/log/init" 2>&1 ||
		lab_fail "icetun-rendezvous init: $(cat "$LAB_DIR/log/init")"
}
overlay_start_server() {
	lab_start server server "$OVERLAY_BUILD/rendezvous/icetun-rendezvous" run \
		--config "$LAB_DIR/server/rendezvous.conf"
	lab_wait 10 "the rendezvous server listens" overlay_is_listening
}
overlay_is_listening() { lab_exec server ss -Hltn "sport = :$OVERLAY_PORT" | grep -q .; }
overlay_token() { overlay_rendezvous token create --dir "$LAB_DIR/server" "$@"; }

# overlay_configure NAME: its directory with a configuration, unless there is one.
overlay_configure() {
	local name=$1
	[ ! -e "$LAB_DIR/$name" ] || return 0
	mkdir "$LAB_DIR/$name"
	cat >"$LAB_DIR/$name/icetund.conf" <<-CONF
	[Daemon]
	StateDirectory=$LAB_DIR/$name/state
	ControlSocket=$LAB_DIR/$name/control.sock
	SignalHelper=$OVERLAY_BUILD/daemon/signaling/icetun-signal
	CONF
}

# overlay_start_host NAME: starts icetund there; with what LAB_DIR/NAME has from before, if any.
overlay_start_host() {
	local name=$1
	overlay_configure "$name"
	lab_start "$name" "$name" "$OVERLAY_BUILD/daemon/icetund" \
		--config "$LAB_DIR/$name/icetund.conf"
	lab_wait 10 "icetund answers on $name" overlay_ictl "$name" status
}

# overlay_ictl HOST ARGUMENT...
overlay_ictl() {
	local host=$1
	shift
	lab_exec "$host" "$OVERLAY_BUILD/ctl/ictl" --socket "$LAB_DIR/$host/control.sock" "$@"
}

# The token goes through standard input, so it is in no process list.
overlay_join() { # HOST [NAME]
	overlay_token --uses 1 | overlay_ictl "$1" join - --name "${2:-$1}"
}

# overlay_bring_up HOST...: each starts, joins under its own name, and comes up.
overlay_bring_up() {
	local name
	for name; do
		overlay_start_host "$name"
		check "$name joins" overlay_join "$name"
		check "$name comes up" overlay_ictl "$name" up
	done
}

# overlay_address HOST [6]: its IPv4 address in the overlay, or its IPv6 one.
overlay_address() {
	lab_ip "$1" "-${2-4}" -o addr show dev icetun0 | sed -n 's/.* inet6\? \([0-9a-f.:]*\).*/\1/p'
}

# overlay_is_relayed HOST PEER: its path goes over a relay, here or there.
overlay_is_relayed() {
	check_is "$1" "[p['path']['kind'] for p in s['peers'] if p['name'] == '$2'] == ['relayed']"
}

# overlay_transfer FROM TO ADDRESS BYTES [MARK]: over TCP to TO's ADDRESS in the overlay; MARK is repeated
# all along.
overlay_transfer() {
	local tools sent received
	tools=$(dirname "${BASH_SOURCE[0]}")/tools
	lab_start "receive.$2" "$2" python3 "$tools/transfer.py" receive "$3" 5000
	lab_wait 10 "the receiver listens" lab_has_logged "receive.$2" ready
	lab_exec "$1" python3 "$tools/transfer.py" send "$3" 5000 "${@:4}" >"$LAB_DIR/sent"
	lab_wait 60 "the receiver ends" lab_has_ended "receive.$2"
	read -ra sent <"$LAB_DIR/sent"
	read -ra received < <(tail -n 1 "$LAB_DIR/log/receive.$2")
	rm "$LAB_DIR/log/receive.$2"
	[ "${sent[0]} ${sent[1]}" = "${received[0]} ${received[1]}" ] ||
		lab_fail "$1 sent ${sent[*]}, $2 received ${received[*]}"
	ok "$4 bytes from $1 to $2 ($3), SHA-256 equal," \
		"$(python3 -c "print(round($4 * 8e-6 / ${received[2]}))") Mbit/s"
}
