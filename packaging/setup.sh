# shellcheck shell=bash
# What packaging/demo and tests/run share: the Debian 12 packages that icetun needs, and how it is
# built. To be sourced by bash with -eu.
#
# This is the one list of packages, by purpose. A package stands at the first purpose that needs it.
declare -A SETUP_PACKAGES=(
	# To build the programs.
	[build]="gcc libc6-dev cmake ninja-build pkgconf
		libuv1-dev libsodium-dev libssl-dev libnl-3-dev libnl-route-3-dev libzmq3-dev
		libcbor-dev libjansson-dev libinih-dev libsqlite3-dev uthash-dev"
	# To run them in network namespaces: ip, nft, ping, nsenter, setsid; nft reads /etc/protocols.
	[lab]="iproute2 nftables iputils-ping util-linux netbase"
	# To test them.
	[test]="libcmocka-dev clang libclang-rt-14-dev llvm clang-format valgrind shellcheck git python3
		python3-cbor2 tcpdump conntrack
		coturn dnsmasq-base openssl libnice-dev python3-aioice"
	# To measure them beside their peers (tests/bench/run).
	[bench]="iperf3 ethtool openssl wireguard-tools wireguard-go openvpn nebula tinc fastd"
)
# Faster ciphers, for the processors that have them; icetun builds without.
case $(dpkg --print-architecture 2>/dev/null) in
amd64) SETUP_PACKAGES[build]+=" libipsec-mb-dev" ;;
esac

SETUP_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# setup_packages PURPOSE...: installs what is missing for build, lab, test. Asks nothing; touches
# neither the network nor apt when all is there.
setup_packages() {
	local purpose package missing=()
	for purpose; do
		for package in ${SETUP_PACKAGES[$purpose]}; do
			setup_is_installed "$package" || missing+=("$package")
		done
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ "$(id -u)" != 0 ]; then
		echo "These packages are missing, and only root can install them:" >&2
		echo "    apt-get install ${missing[*]}" >&2
		return 1
	fi
	echo "Installing ${#missing[@]} packages: ${missing[*]}"
	setup_apt_get update && setup_apt_get install --no-install-recommends "${missing[@]}"
}

setup_is_installed() {
	# shellcheck disable=SC2016 # a format of dpkg-query
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Quiet unless it fails.
setup_apt_get() {
	local log status=0
	log=$(mktemp)
	DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" </dev/null >"$log" 2>&1 || status=$?
	[ $status = 0 ] || { tail -n 40 "$log"; echo "apt-get $1 failed." >&2; } >&2
	rm -f "$log"
	return $status
}

# setup_build DIR OPTION...: configures and builds in DIR (below the clone) with these cmake options,
# as many jobs at a time as there are cores. Quiet unless it fails; all of it is in DIR/build.log.
setup_build() {
	local dir=$SETUP_SOURCE/$1
	shift
	mkdir -p "$dir"
	if ! { cmake -S "$SETUP_SOURCE" -B "$dir" -G Ninja "$@" && cmake --build "$dir" -- -k 0; } \
		</dev/null >"$dir/build.log" 2>&1; then
		grep -E -A 12 'error:|warning:|FAILED:|CMake Error' "$dir/build.log" | head -n 60 >&2
		echo "The build failed; all of its output is in $dir/build.log." >&2
		return 1
	fi
}
