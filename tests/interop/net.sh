# shellcheck shell=bash
# Where agents meet, with coturn as STUN and TURN server. To be sourced after lab.sh.
#
#   left 203.0.113.21   right 203.0.113.22     hosts with public addresses
#   alice, bob behind one home router each     (port-restricted NATs)
#   server 203.0.113.1                         coturn: UDP, TCP 3478, TLS 443
#
# interop_begin BUILD-DIRECTORY: the lab, which goes with the shell, or 77 ("skipped") where there can be
# none. LAB_DIR/cert.pem is what coturn's certificate is to be verified with.
interop_begin() {
	local program
	[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
	for program in turnserver openssl; do
		command -v $program >/dev/null || { echo "needs $program"; exit 77; }
	done
	[ -x "$1/tests/interop/nice_agent" ] || { echo "needs libnice-dev"; exit 77; }
	/usr/bin/python3 -c 'import aioice' 2>/dev/null || { echo "needs python3-aioice"; exit 77; }

	lab_begin "icetun-interop-$$" "$(mktemp -d)"
	trap 'lab_end; rm -rf "$LAB_DIR"' EXIT
	lab_public_net
	lab_public_host server 203.0.113.1
	lab_public_host left 203.0.113.21
	lab_public_host right 203.0.113.22
	lab_nat nat-a home 203.0.113.11 198.51.100.1
	lab_nat nat-b home 203.0.113.12 192.0.2.1
	lab_host alice nat-a 198.51.100.10
	lab_host bob nat-b 192.0.2.10
	interop_start_server
}

interop_start_server() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=203.0.113.1 \
		-addext subjectAltName=IP:203.0.113.1 -keyout "$LAB_DIR/key.pem" -out "$LAB_DIR/cert.pem" \
		2>/dev/null
	lab_start coturn server turnserver -n --log-file stdout --listening-ip 203.0.113.1 \
		--relay-ip 203.0.113.1 --listening-port 3478 --tls-listening-port 443 --no-dtls --no-cli \
		--cert "$LAB_DIR/cert.pem" --pkey "$LAB_DIR/key.pem" --lt-cred-mech --realm example.org \
		--user alice:secret --pidfile "$LAB_DIR/coturn.pid"
	lab_wait 10 "coturn listens" lab_exec server sh -c 'ss -ltn | grep -q 203.0.113.1:443'
}
