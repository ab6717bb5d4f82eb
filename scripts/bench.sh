#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Runs the benchmarks: one JSON object per line on standard output, and a table on
# standard error at the end. docs/performance.md explains the results.
#
#   scripts/bench.sh [NAME]...     default: all
#
# SYMBL_BENCH_MINUTES sets how long the run of 500 sinks lasts (default: some
# seconds).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench: %s\n' "$*" >&2; }

# Prints the time since the last call.
since=0
took() {
    say "$1 took $((SECONDS - since)) s"
    since=$SECONDS
}

# The tools that measure and the peers are not available everywhere, and there may be
# no network. Then the benchmarks run with what is installed, and report what is
# missing.
scripts/install-deps.sh build run demo bench >&2 || scripts/install-deps.sh build run demo >&2 ||
    say 'going on with what is there'
took 'installing packages'

SYMBL_BENCH_PEERS=$(scripts/bench-peers.sh)
export SYMBL_BENCH_PEERS
took 'building the peers'

suite=("${CARGO:-cargo}" bench --locked --package symbl-bench --bench suite)
"${suite[@]}" --no-run
took 'building the suite'

# Hundreds of sinks have hundreds of sockets.
ulimit -n "$(ulimit -H -n)"
status=0
"${suite[@]}" -- "$@" || status=$?
took 'measuring'
say "all took $SECONDS s"
exit "$status"
