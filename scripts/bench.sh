#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The benchmarks: one JSON object per line on standard output, a table on
# standard error at the end. docs/performance.md says how to read them.
#
#   scripts/bench.sh [NAME]...     default: all
#
# SYMBL_BENCH_MINUTES is how long the run of 500 sinks lasts (by default some seconds).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench: %s\n' "$*" >&2; }

# Says how long it has been since the last call.
since=0
took() {
    say "$1 took $((SECONDS - since)) s"
    since=$SECONDS
}

# What counts and what is compared with is not to be had everywhere, and there may be no
# network: then it goes with what is there, and says what is left out.
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
