#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Formatting, lints, a minute of fuzzing and every test of the workspace. The last line is the sum
# over all test programs, "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."

# Packages are installed by now: a test that would be skipped for want of one fails.
export SYMBL_REQUIRE_SPEECH=1

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings

scripts/fuzz.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Whether the simulation finds bugs that were planted. In a folder of its own: all that
# is compiled depends on the flags.
teeth=(env RUSTFLAGS="${RUSTFLAGS:-} --cfg planted_bugs"
    cargo test --locked --package symbl-client --test simulation
    --target-dir "${CARGO_TARGET_DIR:-target}/planted-bugs")
# How many instructions audio and results take, which only a release build says.
counts=(cargo test --release --locked --package symbl-instructions)
# Built outside the bound: how long that takes is the machine's affair.
cargo test --workspace --locked --no-run
"${teeth[@]}" --no-run
"${counts[@]}" --no-run
bound=25m
timeout --kill-after=10s "$bound" cargo test --workspace --locked --no-fail-fast 2>&1 |
    tee "$log" || status=$?
timeout --kill-after=10s 5m "${teeth[@]}" teeth:: 2>&1 | tee -a "$log" || status=$?
timeout --kill-after=10s 5m "${counts[@]}" 2>&1 | tee -a "$log" || status=$?
[ "$status" -ne 124 ] || echo "the tests did not end within $bound; see which one began last"

awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed\n", passed, failed; exit passed == 0 }' "$log" || status=1
exit "$status"
