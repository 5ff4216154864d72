# shellcheck shell=bash
# A name server in the lab (dnsmasq), and hosts that ask it. To be sourced after lab.sh and overlay.sh.

# dns_start LABEL HOST ADDRESS OPTION...: answers at ADDRESS what the options of dnsmasq say, that there is
# nothing else below `test`, and refuses to say more.
dns_start() {
	local label=$1 host=$2 address=$3
	shift 3
	lab_start "$label" "$host" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= \
		--user=root --no-resolv --no-hosts --local=/test/ --bind-interfaces \
		--listen-address="$address" --log-queries --log-facility=- "$@"
	lab_wait 10 "the name server listens" dns_is_listening "$host" "$address"
	printf 'nameserver %s\noptions timeout:1 attempts:2\n' "$address" >"$LAB_DIR/resolv.conf"
	echo 'hosts: files dns' >"$LAB_DIR/nsswitch.conf"
}
dns_is_listening() { # HOST ADDRESS
	lab_exec "$1" ss -Hlun "src $2 and sport = :53" | grep -q .
}

# dns_nowhere: there is none, and no name but those of /etc/hosts has an address.
dns_nowhere() {
	: >"$LAB_DIR/resolv.conf"
	echo 'hosts: files' >"$LAB_DIR/nsswitch.conf"
}

# dns_start_host NAME: icetund there, with a resolver of its own.
dns_start_host() {
	local name=$1
	overlay_configure "$name"
	lab_start "$name" "$name" unshare --mount sh -c "
		mount --bind $LAB_DIR/resolv.conf /etc/resolv.conf &&
		mount --bind $LAB_DIR/nsswitch.conf /etc/nsswitch.conf &&
		exec $OVERLAY_BUILD/daemon/icetund --config $LAB_DIR/$name/icetund.conf"
	lab_wait 10 "icetund answers on $name" overlay_ictl "$name" status
}
