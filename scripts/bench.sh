#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# The benchmarks: one JSON object per line on standard output, a table on
# standard error at the end. docs/performance.md says how to read them.
#
#   scripts/bench.sh [NAME]...     default: all
#
# SYMBL_BENCH_MINUTES is how long the run of 500 sinks lasts (by default 20 seconds).
set -euo pipefail
cd "$(dirname "$0")/.."

peers=$(scripts/bench-peers.sh)
export SYMBL_BENCH_PEERS=$peers/release
# Hundreds of sinks have hundreds of sockets.
ulimit -n "$(ulimit -H -n)"
exec "${CARGO:-cargo}" bench --locked --bench suite -- "$@"
