#!/bin/sh
# Checks that every C file is as clang-format would write it. With --fix: makes it so.
# CLANG_FORMAT names the program; other versions than 14 do not agree with it in all points.
# Exit: 0 in order, 1 not, 77 when there is no clang-format 14 (ctest: skipped).
set -eu
cd "$(dirname "$0")/../.."
clang_format=${CLANG_FORMAT:-clang-format}

case $("$clang_format" --version 2>/dev/null) in
*"version 14."*) ;;
*)
	echo "format.sh: clang-format 14 is not installed" >&2
	exit 77
	;;
esac

files() {
	find daemon tun rendezvous ctl tests \( -name '*.c' -o -name '*.h' \) -print0
}

if [ "${1:-}" = --fix ]; then
	files | xargs -0 "$clang_format" -i
else
	files | xargs -0 "$clang_format" --dry-run -Werror
fi
