#!/bin/bash
# Runs shellcheck over every shell script of the clone.
set -eu
cd "$(dirname "$0")/../.."
command -v shellcheck >/dev/null || { echo "skipped: shellcheck is not installed"; exit 77; }
mapfile -t scripts < <(
	find packaging tests .ci -type f -not -name '*.py' -print0 | xargs -0 grep -lE \
		-m 1 '^#!/bin/(ba)?sh|^# shellcheck shell=' | sort)
[ ${#scripts[@]} -gt 5 ]
shellcheck -x -P . "${scripts[@]}"
echo "${#scripts[@]} scripts"
