#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Fuzzes everything that is parsed from the service, guided by coverage, for
# SYMBL_FUZZ_SECONDS (default: 60). What is found stays in fuzz/target/corpus for
# the next run. Arguments go to libFuzzer: scripts/fuzz.sh path/of/a/crash runs one
# input again.
#
# Plain cargo with libFuzzer as a crate, and the compiler flags that `cargo fuzz`
# would set: so that it needs no other toolchain and no tool to install.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${SYMBL_FUZZ_SECONDS:-60}
target=$PWD/fuzz/target
corpus=$target/corpus
seeds=$target/seeds
# With a target given, the flags do not apply to build scripts and macros.
triple=$(rustc -vV | sed -n 's/^host: //p')

RUSTFLAGS='--cfg fuzzing -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares' \
    cargo build --manifest-path fuzz/Cargo.toml --target-dir "$target" --target "$triple" \
    --release --locked

# Each recorded message alone, and inside a session that runs and has heard audio:
# steps end with a byte ff, see fuzz/src/steps.rs.
rm -rf "$seeds"
mkdir -p "$seeds" "$corpus" "$target/artifacts"
begin=tests/fixtures/symbl-messages/started_listening.json
for fixture in tests/fixtures/symbl-messages/*; do
    name=$(basename "$fixture")
    cp "$fixture" "$seeds/$name"
    {
        cat "$begin"
        printf '\377A\310\377W\0\144\377A\310\377'
        cat "$fixture"
        printf '\377C\003\356\377W\020\0\377c\377'
        cat "$begin" <(printf '\377') "$fixture"
    } >"$seeds/session-$name"
    {
        printf 'H'
        cat "$fixture"
    } >"$seeds/history-$name"
done
# One conversation with everything in it.
for fixture in tests/fixtures/symbl-messages/*; do
    cat "$fixture"
    printf '\377'
done >"$seeds/all"
grep -oh '"[A-Za-z_]\+"' tests/fixtures/symbl-messages/*.json | sort -u >"$target/dictionary"

fuzzer=$target/$triple/release/service
if [ $# -gt 0 ]; then
    exec "$fuzzer" "$@"
fi
log=$target/log
"$fuzzer" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
    -dict="$target/dictionary" -artifact_prefix="$target/artifacts/" -print_final_stats=1 \
    "$corpus" "$seeds" >"$log" 2>&1 || {
    tail -n 60 "$log"
    echo "the fuzzer found something; scripts/fuzz.sh and the path of the artifact run it again"
    exit 1
}
grep -E '^Done|cov:.*DONE|peak_rss' "$log"
