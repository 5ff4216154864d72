#!/bin/bash
# Our ICE agent against other implementations, with coturn as STUN and TURN server, in a laboratory.
#
#	tests/interop/interop.sh BUILD [--write] [--only WORDS] [--verbose]
#
# BUILD is the build directory. --write: docs/INTEROP.md is written anew with what
# was found; else what was found has to be what stands there. Skips itself (77) without root or packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift
# shellcheck source=tests/lab/lab.sh
. "$here/../lab/lab.sh"
# shellcheck source=tests/interop/net.sh
. "$here/net.sh"

interop_begin "$build"
SSL_CERT_FILE=$LAB_DIR/cert.pem PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/interop.py" \
	--build "$build" --lab "$LAB_NAME" --table "$here/../../docs/INTEROP.md" "$@"
