# shellcheck shell=bash
# The laboratory: hosts, routers and a public net as network namespaces of one machine, with real
# daemons in them. packaging/demo and the tests of this directory are written with it. To be sourced
# by bash with -eu; needs root, ip, nft, nsenter, setsid.
#
#       alice 198.51.100.10          bob 192.0.2.10          carol 203.0.113.30
#             |                           |                         |
#      nat-a  lan 198.51.100.1     nat-b  lan 192.0.2.1             |
#             wan 203.0.113.11            wan 203.0.113.12          |
#             |                           |                         |
#     ========+===========================+=============+===========+====  203.0.113.0/24
#                                                       |                  (bridge `public` in `net`)
#                                                   server 203.0.113.1
#
# Names stand for namespaces: `alice` is the namespace LAB_NAME-alice. Devices are made inside of
# namespaces only, so the machine's own devices, addresses, routes and firewall stay as they are.
# Every address is from a documentation range (RFC 5737): no lab can meet a real network.
#
#	lab_begin icetun-lab-$$ "$(mktemp -d)"     # removes everything when the shell exits
#	lab_public_net
#	lab_public_host server 203.0.113.1
#	lab_nat nat-a home 203.0.113.11 198.51.100.1
#	lab_host alice nat-a 198.51.100.10
#	lab_start alice.icetund alice icetund --config ...
#	lab_wait 10 "alice is up" test -S ...
#
# Nothing here sleeps and hopes: lab_wait() asks again until it is so, or ends with what it waited for.

# lab_begin NAME DIR: a lab whose namespaces are called NAME-*; logs, pids and state go to DIR.
lab_begin() {
	LAB_NAME=$1
	LAB_DIR=$2
	if [ "$(id -u)" != 0 ]; then
		echo "This needs root, for network namespaces." >&2
		return 1
	fi
	mkdir -p "$LAB_DIR/pid" "$LAB_DIR/log"
	chmod 0755 "$LAB_DIR"
}

# Ends every process of the lab and removes its namespaces. Can be called again, also by a shell that
# did not start the lab, and by one whose lab was only half built.
lab_end() {
	local namespace pid
	for pid in $(lab_pids); do kill -TERM "$pid" 2>/dev/null || true; done
	lab_is_soon 5 lab_is_quiet || for pid in $(lab_pids); do kill -KILL "$pid" 2>/dev/null || true; done
	lab_is_soon 5 lab_is_quiet || true
	for namespace in $(lab_namespaces); do ip netns delete "$namespace" 2>/dev/null || true; done
}

lab_namespaces() { ip netns list | cut -d ' ' -f 1 | grep "^$LAB_NAME-" || true; }
lab_pids() {
	local namespace
	for namespace in $(lab_namespaces); do ip netns pids "$namespace" 2>/dev/null || true; done
}
lab_is_quiet() { [ -z "$(lab_pids)" ]; }

# --- The network -------------------------------------------------------------------------------

lab_namespace() {
	ip netns add "$LAB_NAME-$1"
	# Addresses are there at once, without a second of duplicate address detection.
	lab_sysctl "$1" ipv6/conf/default/accept_dad 0 2>/dev/null || true
	# Bridges are cables: the rules of a router are for what it routes.
	lab_sysctl "$1" bridge/bridge-nf-call-iptables 0 2>/dev/null || true
	lab_sysctl "$1" bridge/bridge-nf-call-ip6tables 0 2>/dev/null || true
	ip -n "$LAB_NAME-$1" link set lo up
}

# lab_exec HOST COMMAND...: in the network of HOST. (nsenter, not ip netns exec: that one remounts
# /sys, which not every container allows.)
lab_exec() {
	local host=$1
	shift
	nsenter --net="/run/netns/$LAB_NAME-$host" -- "$@"
}
lab_ip() {
	local host=$1
	shift
	ip -n "$LAB_NAME-$host" "$@"
}
lab_sysctl() { # HOST KEY VALUE
	lab_exec "$1" sh -c "echo $3 > /proc/sys/net/$2"
}

# The public net: a bridge. A capture on its device `public` sees every packet between the routers.
lab_public_net() {
	lab_namespace net
	lab_ip net link add public type bridge
	lab_ip net link set public up
}

# Addresses are ADDRESS or ADDRESS/LENGTH; the length is 24 and 64 without one.
lab_prefix() {
	case $1 in
	*/*) echo "$1" ;;
	*:*) echo "$1/64" ;;
	*) echo "$1/24" ;;
	esac
}

# lab_public_host NAME ADDRESS...: a host with public addresses.
lab_public_host() {
	local name=$1 address
	shift
	lab_namespace "$name"
	lab_cable "$name" eth0 net "$name"
	lab_ip net link set "$name" master public
	for address; do lab_ip "$name" addr add "$(lab_prefix "$address")" dev eth0; done
}

# lab_router NAME OUTSIDE: a router without addresses and rules. Its device `wan` is on the public net
# (OUTSIDE is `net`) or inside of another router, and its device `lan` a bridge.
lab_router() {
	local name=$1 outside=$2 bridge=lan
	[ "$outside" != net ] || bridge=public
	lab_namespace "$name"
	lab_cable "$name" wan "$outside" "$name"
	lab_ip "$outside" link set "$name" master $bridge
	lab_ip "$name" link add lan type bridge
	lab_ip "$name" link set lan up
	lab_sysctl "$name" ipv4/ip_forward 1
	lab_sysctl "$name" ipv6/conf/all/forwarding 1
}

# lab_router_addresses NAME WAN LAN: of one family.
lab_router_addresses() {
	lab_ip "$1" addr add "$(lab_prefix "$2")" dev wan
	lab_ip "$1" addr add "$(lab_prefix "$3")" dev lan
}

# lab_nat NAME KIND WAN LAN [OUTER]: a home router with the address WAN, whose inside has the address
# LAN. WAN is public, or inside of the router OUTER. KIND: see lab_nat_rules().
lab_nat() {
	local name=$1 kind=$2 wan=$3 lan=$4 outer=${5-net}
	lab_router "$name" "$outer"
	lab_router_addresses "$name" "$wan" "$lan"
	[ "$outer" = net ] || lab_ip "$name" route add default via "$(lab_gateway "$outer" 4)"
	lab_set_nat "$name" "$kind" "${wan%/*}"
}

# lab_set_nat NAME KIND WAN: makes the router another kind of NAT. Its old mappings stay.
lab_set_nat() {
	{ echo "flush ruleset"; lab_nat_rules "$2" "$3"; } | lab_exec "$1" nft -f -
}

# lab_host NAME ROUTER ADDRESS...: a host in the home of ROUTER, with its default routes.
lab_host() {
	local name=$1 router=$2 address family
	shift 2
	lab_namespace "$name"
	lab_cable "$name" eth0 "$router" "$name"
	lab_ip "$router" link set "$name" master lan
	for address; do
		lab_ip "$name" addr add "$(lab_prefix "$address")" dev eth0
		family=4
		[[ $address != *:* ]] || family=6
		lab_ip "$name" "-$family" route add default via "$(lab_gateway "$router" $family)"
	done
}

# lab_gateway ROUTER FAMILY: the address of its inside.
lab_gateway() {
	lab_ip "$1" "-$2" -o addr show dev lan scope global |
		sed -n 's/.* inet6\? \([0-9a-f.:]*\).*/\1/p'
}

# lab_cable HOST DEVICE OTHER-HOST OTHER-DEVICE
lab_cable() {
	ip -n "$LAB_NAME-$1" link add "$2" type veth peer name "$4" netns "$LAB_NAME-$3"
	ip -n "$LAB_NAME-$1" link set "$2" up
	ip -n "$LAB_NAME-$3" link set "$4" up
}

# lab_nat_rules KIND WAN: the nft rules of a router, in the words of RFC 4787 (mapping / filtering;
# EI endpoint-independent, AD address-dependent, APD address-and-port-dependent).
#
#   home             EI / APD   what most homes have ("port-restricted cone")
#   full-cone        EI / EI
#   hairpin          EI / EI    and hosts inside reach each other by their public addresses
#   restricted-cone  EI / AD
#   address          AD / APD
#   symmetric        APD / APD  a random port for each destination
#   symmetric-keep   APD / APD  the host's own port for the first one, random ports for others
#   sequential       APD / APD  ports in order
#   tcp-only         no UDP at all
#   udp-blocked      no UDP at all; TCP only to port 443
#   firewall         EI / APD   no translation; what hosts inside did not ask for stays outside
#   open             EI / EI    no translation, no filter
#
# (With the last two the public net needs a route to the inside.) IPv6 is never translated; all but
# `open` let in only what was asked for.
#
# The filter on input is what makes them right: without it, a probe that comes before the host inside
# has sent one leaves a conntrack entry in the router itself, which then occupies the port that the
# mapping should get, and hole punching fails at random.
lab_nat_rules() {
	local kind=$1 wan=$2 translate="" learn="" redirect="" filter="" filter6 input=drop
	filter6='ct state established,related accept
			iifname "lan" accept
			meta l4proto ipv6-icmp accept
			drop'
	case $kind in
	home | tcp-only | udp-blocked) translate='masquerade' ;;
	symmetric) translate='masquerade fully-random' ;;
	symmetric-keep)
		translate='meta l4proto udp udp sport @kept masquerade fully-random
			oifname "wan" meta l4proto udp update @kept { udp sport }
			oifname "wan" masquerade' ;;
	sequential)
		translate='meta l4proto udp masquerade to :numgen inc mod 10000 offset 30000
			oifname "wan" masquerade' ;;
	address)
		translate="meta l4proto udp snat to $wan:jhash ip daddr . udp sport mod 20000 seed 1 offset 40000
			oifname \"wan\" masquerade" ;;
	full-cone | restricted-cone)
		learn='update @mappings { udp sport timeout 300s : ip saddr . udp sport }'
		redirect='iifname "wan" meta l4proto udp dnat to udp dport map @mappings'
		translate="snat to $wan" ;;
	hairpin)
		learn='update @mappings { udp sport timeout 300s : ip saddr . udp sport }'
		redirect="ip daddr $wan meta l4proto udp dnat to udp dport map @mappings"
		translate="snat to $wan
			iifname \"lan\" oifname \"lan\" ct status dnat snat to $wan" ;;
	firewall) ;;
	open) input=accept filter6=accept ;;
	*) echo "There is no kind of NAT called $kind." >&2; return 1 ;;
	esac
	case $kind in
	restricted-cone)
		filter='iifname "lan" meta l4proto udp update @peers { ip saddr . udp sport . ip daddr }
			iifname "wan" meta l4proto udp ip daddr . udp dport . ip saddr != @peers drop' ;;
	tcp-only)
		filter='ct state established,related accept
			iifname "lan" meta l4proto tcp accept
			drop'
		filter6=$filter ;;
	udp-blocked)
		filter='ct state established,related accept
			iifname "lan" tcp dport 443 accept
			drop'
		filter6=$filter ;;
	firewall)
		filter='ct state established,related accept
			iifname "lan" accept
			drop' ;;
	esac
	cat <<-RULES
	table ip nat {
		map mappings {
			type inet_service : ipv4_addr . inet_service
			flags dynamic,timeout
			timeout 300s
			size 65536
		}
		set kept {
			type inet_service
			flags dynamic,timeout
			timeout 300s
			size 65536
		}
		chain prerouting {
			type nat hook prerouting priority dstnat
			$redirect
		}
		chain postrouting {
			type nat hook postrouting priority srcnat
			${learn:+oifname "wan" meta l4proto udp $learn}
			${translate:+oifname "wan" $translate}
		}
	}
	table ip filter {
		set peers {
			type ipv4_addr . inet_service . ipv4_addr
			flags dynamic,timeout
			timeout 300s
			size 65536
		}
		chain forward {
			type filter hook forward priority filter
			$filter
		}
		chain input {
			type filter hook input priority filter; policy $input
			iifname { "lo", "lan" } accept
			ct state established,related accept
			ip protocol icmp accept
		}
	}
	table ip6 filter {
		chain forward {
			type filter hook forward priority filter
			$filter6
		}
	}
	RULES
}

# --- Programs ----------------------------------------------------------------------------------

# lab_start LABEL HOST COMMAND...: starts a daemon; its output goes to DIR/log/LABEL. Its environment
# is empty, so that nothing of the lab can be found in its memory but what came over the network.
lab_start() {
	local label=$1 host=$2
	shift 2
	setsid nsenter --net="/run/netns/$LAB_NAME-$host" -- \
		env -i PATH="$PATH" ${LAB_ENV[@]+"${LAB_ENV[@]}"} "$@" \
		</dev/null >>"$LAB_DIR/log/$label" 2>&1 &
	echo $! >"$LAB_DIR/pid/$label"
}

lab_pid() { cat "$LAB_DIR/pid/$1"; }
lab_is_running() { kill -0 "$(lab_pid "$1")" 2>/dev/null; }
lab_has_ended() { ! lab_is_running "$1"; }
lab_has_logged() { grep -Eq -- "$2" "$LAB_DIR/log/$1"; } # LABEL REGEX

# lab_kill LABEL: as if it had crashed.
lab_kill() {
	kill -KILL "$(lab_pid "$1")"
	wait "$(lab_pid "$1")" 2>/dev/null || true
}

# lab_stop LABEL: asks it to end, waits until it has. Return: its exit status.
lab_stop() {
	kill -TERM "$(lab_pid "$1")"
	lab_wait 10 "$1 ends after SIGTERM" lab_has_ended "$1"
	wait "$(lab_pid "$1")"
}

# --- Waiting -----------------------------------------------------------------------------------

# lab_is_soon SECONDS COMMAND...: whether COMMAND succeeds within SECONDS.
lab_is_soon() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# lab_wait SECONDS WHAT COMMAND...: until COMMAND succeeds, at most SECONDS; else the run fails.
lab_wait() {
	local seconds=$1 what=$2
	shift 2
	lab_is_soon "$seconds" "$@" || lab_fail "not within $seconds s: $what"
}

lab_fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# Milliseconds of the clock, to measure a time with.
lab_now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
