# shellcheck shell=bash
# coturn in the lab, as STUN and TURN server. To be sourced after lab.sh; turn_set_up and below: after
# overlay.sh and check.sh as well.
#
# Each has a directory LAB_DIR/LABEL with its configuration, which is made once and may be changed
# between a stop and a start.

TURN_SECRET=lab-secret # of the shared-secret scheme
TURN_PORT=3478	       # of servers that are started from now on
# Certificates: LAB_DIR/ca has ca.pem and for each address ADDRESS.pem and ADDRESS.key.

# turn_make_ca: an authority of our own for the servers' certificates.
turn_make_ca() {
	mkdir -p "$LAB_DIR/ca"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
		-keyout "$LAB_DIR/ca/ca.key" -out "$LAB_DIR/ca/ca.pem" -subj "/CN=lab authority" \
		-addext basicConstraints=critical,CA:TRUE 2>/dev/null
}

# turn_make_certificate NAME SUBJECT: signed by the authority, for that address or host name.
turn_make_certificate() {
	local kind=DNS
	[[ $2 != *:* && $2 != *[0-9] ]] || kind=IP
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
		-keyout "$LAB_DIR/ca/$1.key" -out "$LAB_DIR/ca/$1.csr" -subj "/CN=$1" 2>/dev/null
	openssl x509 -req -in "$LAB_DIR/ca/$1.csr" -CA "$LAB_DIR/ca/ca.pem" \
		-CAkey "$LAB_DIR/ca/ca.key" -CAcreateserial -days 30 -out "$LAB_DIR/ca/$1.pem" \
		-extfile <(echo "subjectAltName=$kind:$2") 2>/dev/null
	chmod 0644 "$LAB_DIR/ca/$1.key"
}

# turn_start LABEL HOST ADDRESS...: listens there on TURN_PORT (UDP, TCP) and 443 (TLS, TCP), with the
# certificate LABEL if there is one.
turn_start() {
	local label=$1 host=$2 address
	shift 2
	if [ ! -e "$LAB_DIR/$label" ]; then
		mkdir "$LAB_DIR/$label"
		for address; do
			printf 'listening-ip=%s\nrelay-ip=%s\n' "$address" "$address"
		done >"$LAB_DIR/$label/turnserver.conf"
		cat >>"$LAB_DIR/$label/turnserver.conf" <<-CONF
		listening-port=$TURN_PORT
		tls-listening-port=443
		min-port=49152
		max-port=65535
		realm=lab
		use-auth-secret
		static-auth-secret=$TURN_SECRET
		fingerprint
		no-cli
		no-rfc5780
		no-dtls
		log-file=stdout
		simple-log
		pidfile=$LAB_DIR/$label/pid
		userdb=$LAB_DIR/$label/db
		CONF
		if [ -e "$LAB_DIR/ca/$label.pem" ]; then
			cat >>"$LAB_DIR/$label/turnserver.conf" <<-CONF
			cert=$LAB_DIR/ca/$label.pem
			pkey=$LAB_DIR/ca/$label.key
			CONF
		else
			echo no-tls >>"$LAB_DIR/$label/turnserver.conf"
		fi
	fi
	lab_start "$label" "$host" turnserver -c "$LAB_DIR/$label/turnserver.conf"
	for address; do
		lab_wait 10 "coturn listens at $address" turn_is_listening "$host" "$address"
	done
}
turn_is_listening() { # HOST ADDRESS
	local address=$2
	[[ $address != *:* ]] || address="[$address]"
	lab_exec "$1" ss -Hlun "src $address and sport = :$TURN_PORT" | grep -q .
}

# turn_credentials SECONDS NAME: "USER PASSWORD" of the shared-secret scheme, good for SECONDS.
turn_credentials() {
	local user=$(($(date +%s) + $1)):$2
	echo "$user $(printf %s "$user" | openssl dgst -sha1 -hmac "$TURN_SECRET" -binary | base64)"
}

# turn_set_up LINE...: coturn at 203.0.113.2, and a rendezvous server that hands out the servers of these
# lines of its section [Servers], not yet started.
turn_set_up() {
	lab_public_host relay 203.0.113.2
	# coturn gives an allocation up when the system knows no way to a peer, as to a private address.
	lab_ip relay route add default via 203.0.113.1
	turn_make_ca
	turn_make_certificate relay 203.0.113.2
	turn_start relay relay 203.0.113.2
	overlay_init
	printf '%s\n' "[Servers]" "TurnSecret=$TURN_SECRET" "$@" >>"$LAB_DIR/server/rendezvous.conf"
}

# turn_trust HOST: its icetund takes certificates of our authority.
turn_trust() {
	overlay_configure "$1"
	printf '[Ice]\nCaFile=%s\n' "$LAB_DIR/ca/ca.pem" >>"$LAB_DIR/$1/icetund.conf"
}

turn_state_is() { # HOST URI STATE
	check_is "$1" "[t['state'] for t in s['turn'] if t['endpoint'] == '$2'] == ['$3']"
}

# turn_kill_under_pings HOST ADDRESS LIMIT [SECONDS]: kills coturn for SECONDS (2) while HOST pings ADDRESS in
# the overlay; at most LIMIT ms after its return there has to be a reply.
turn_kill_under_pings() {
	local since after ping away=${4-2}
	lab_exec "$1" ping -D -i 0.05 "$2" >"$LAB_DIR/ping.killed" 2>&1 &
	ping=$!
	lab_wait 5 "packets go" turn_first_reply 0
	lab_kill relay
	sleep "$away"
	turn_start relay relay 203.0.113.2
	since=$(lab_now_ms)
	lab_wait 30 "a reply after coturn has come back" turn_first_reply "$since"
	kill $ping
	wait $ping || true
	after=$(($(turn_first_reply "$since") - since))
	ok "coturn was killed for $away s; $after ms after its return the first reply"
	[ $after -le "$3" ] || lab_fail "that is more than $3 ms"
}
# turn_first_reply MS: when the first reply came after that time, in ms of the clock.
turn_first_reply() {
	sed -n 's/^\[\([0-9]*\)\.\([0-9]\{3\}\)[0-9]*\].* bytes from .*/\1\2/p' "$LAB_DIR/ping.killed" |
		awk -v after="$1" '$1 > after { print $1; exit }' | grep .
}
