#!/bin/bash
# long.sh PROGRAM SEEDS: a simulator over many seeds, with ICETUN_TEST_LONG set; else it skips itself.
# A seed that goes wrong prints the command that runs it again.
set -eu

program=$1
count=${ICETUN_SIM_SEEDS:-$2}

if [ -z "${ICETUN_TEST_LONG:-}" ]; then
	echo "skipped: 'tests/run --long' runs $count seeds"
	exit 77
fi
jobs=$(nproc)
share=$(((count + jobs - 1) / jobs))
pids=()
for ((i = 0; i < jobs; i++)); do
	"$program" --seeds "$share" --from $((1 + i * share)) --all &
	pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done
exit $failed
