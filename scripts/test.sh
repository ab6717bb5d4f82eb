#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Runs the formatter, the lints, a minute of fuzzing and every test of the workspace.
# The last line is the sum over all test programs, "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."

# The packages are installed by now, so a test that would be skipped without one must
# fail.
export SYMBL_REQUIRE_SPEECH=1

# What is built once is built faster without what would help the next build.
if [[ ${CI:-} == @(true|1) ]]; then
    export CARGO_INCREMENTAL=0
fi

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
# The service without its faults on purpose.
cargo clippy --package symbl-service --no-default-features --lib --bins --locked -- -D warnings

# How make accuracy counts.
python3 -W error -m unittest discover --start-directory scripts/accuracy --pattern 'test_*.py'

scripts/fuzz.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Checks that the simulation finds planted bugs. It has a target folder of its own,
# because everything that is compiled depends on the flags.
teeth=(env RUSTFLAGS="${RUSTFLAGS:-} --cfg planted_bugs"
    cargo test --locked --package symbl-client --test simulation
    --target-dir "${CARGO_TARGET_DIR:-target}/planted-bugs")
# Checks the number of instructions per buffer and result, which only a release build
# shows.
counts=(cargo test --release --locked --package symbl-instructions)
# Built before the time limit starts, because the build time depends on the machine.
cargo test --workspace --locked --no-run
"${teeth[@]}" --no-run
"${counts[@]}" --no-run
# The tests of captions put elements of other projects behind ours, which Debian has no
# package of. Where they cannot be downloaded or built, their tests are skipped, but not in
# continuous integration.
elements=(cargo build --locked --manifest-path tests/elements/Cargo.toml
    --target-dir "${CARGO_TARGET_DIR:-target}"
    --package gst-plugin-closedcaption --package gst-plugin-textwrap)
if "${elements[@]}"; then
    export SYMBL_REQUIRE_ELEMENTS=1
elif [[ ${CI:-} == @(true|1) ]]; then
    echo 'test: the elements of tests/elements cannot be built, see above; with CI set, no test may be skipped' >&2
    exit 1
else
    echo 'SKIPPED: every test that needs the elements of tests/elements, which cannot be built, see above' >&2
fi
# The tests of the neural recogniser need its model. A machine that cannot download it
# skips them, but not in continuous integration.
if "${CARGO_TARGET_DIR:-target}/debug/symbl-service" model fetch tiny.en; then
    export SYMBL_REQUIRE_MODEL=1
elif [[ ${CI:-} == @(true|1) ]]; then
    echo 'test: the model tiny.en cannot be had, see above; with CI set, no test may be skipped' >&2
    exit 1
else
    echo 'SKIPPED: every test that needs the model tiny.en, which cannot be had, see above' >&2
fi
# How many tests of a program run at once: see the script.
triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${triple}_RUNNER=$PWD/scripts/run-test.sh"
bound=40m
timeout --kill-after=10s "$bound" cargo test --workspace --locked --no-fail-fast 2>&1 |
    tee "$log" || status=$?
timeout --kill-after=10s 5m "${teeth[@]}" teeth:: 2>&1 | tee -a "$log" || status=$?
timeout --kill-after=10s 5m "${counts[@]}" 2>&1 | tee -a "$log" || status=$?
[ "$status" -ne 124 ] || echo "the tests did not end within $bound; see which one began last"

awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed\n", passed, failed; exit passed == 0 }' "$log" || status=1
exit "$status"
