# shellcheck shell=bash
# Links with delay, loss and the like in the lab, made by tools/lab_link.c: the kernel may have no
# netem. To be sourced after lab.sh.
#
#	lab_link_program build
#	lab_nat nat-a home 203.0.113.11 198.51.100.1
#	lab_link nat-a delay_ms=20                # each way, between nat-a and the public net
#	lab_link_set nat-a in.loss_percent=1      # what goes to nat-a
#	lab_link_shows nat-a out.lost             # a counter, or a setting
#
# A link is a namespace NAME-link with the two devices `inside` and `outside` and the program between.
# "out" is from NAME to the public net. The settings and their units: tools/link_text.h.

# lab_link_program BUILD-DIRECTORY
lab_link_program() {
	LAB_LINK=$(cd "$1" && pwd)/tests/lab/tools/lab_link
	[ -x "$LAB_LINK" ] || lab_fail "there is no $LAB_LINK; build it first"
}

# lab_link NAME [SETTING...]: cuts the cable between NAME, a router or a public host, and the public
# net, and puts a link in between. Events go to DIR/log/NAME-link.events.
lab_link() {
	local name=$1 device
	shift
	device=$(lab_link_device "$name")
	lab_namespace "$name-link"
	lab_sysctl "$name-link" ipv6/conf/default/disable_ipv6 1
	lab_sysctl "$name-link" ipv6/conf/all/disable_ipv6 1
	lab_ip net link set "$name" netns "$LAB_NAME-$name-link" name inside
	lab_ip "$name-link" link set inside up
	lab_cable "$name-link" outside net "$name"
	lab_ip net link set "$name" master public
	lab_exec "$name" "$LAB_LINK" plain "$device"
	lab_exec net "$LAB_LINK" plain "$name"
	lab_start "$name-link" "$name-link" "$LAB_LINK" run --seed "${LAB_LINK_SEED:-1}" \
		--log "$LAB_DIR/log/$name-link.events" "$LAB_DIR/$name-link.sock" inside outside "$@"
	lab_wait 10 "the link of $name runs" lab_has_logged "$name-link" ready
}

# The device of NAME that is on the public net: a router has `wan`.
lab_link_device() {
	if lab_ip "$1" link show dev wan >/dev/null 2>&1; then echo wan; else echo eth0; fi
}

lab_link_set() { # NAME SETTING...
	local name=$1
	shift
	"$LAB_LINK" set "$LAB_DIR/$name-link.sock" "$@"
}

lab_link_shows() { # NAME KEY
	"$LAB_LINK" show "$LAB_DIR/$1-link.sock" | sed -n "s/^$2=//p"
}
