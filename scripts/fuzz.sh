#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Fuzzes what the element parses from the service (target `service`), what the service
# parses from its clients and recognisers (target `parsers`), the events of clients of
# sessions (target `session_events`) and the files of a speech model (target `whisper`),
# guided by coverage: the first and the last for SYMBL_FUZZ_SECONDS (default: 60), the others
# for half of that. The corpus stays in
# fuzz/target for the next run. Arguments are a target and the arguments for libFuzzer:
# scripts/fuzz.sh parsers path/of/a/crash runs one input again.
#
# Uses plain cargo with libFuzzer as a crate and the compiler flags of `cargo fuzz`,
# so that no other toolchain or tool is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${SYMBL_FUZZ_SECONDS:-60}
target=$PWD/fuzz/target
corpus=$target/corpus
seeds=$target/seeds
# With an explicit target, the flags do not apply to build scripts and macros.
triple=$(rustc -vV | sed -n 's/^host: //p')

RUSTFLAGS='--cfg fuzzing -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares' \
    cargo build --manifest-path fuzz/Cargo.toml --target-dir "$target" --target "$triple" \
    --release --locked

# Seeds: each recorded message alone, and inside a running session that has audio. A
# step ends with a byte ff; see fuzz/src/steps.rs.
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
# One conversation with all messages.
for fixture in tests/fixtures/symbl-messages/*; do
    cat "$fixture"
    printf '\377'
done >"$seeds/all"
grep -oh '"[A-Za-z_]\+"' tests/fixtures/symbl-messages/*.json | sort -u >"$target/dictionary"

# Seeds of the parsers: lines of a recogniser, spoken sentences, and messages of a
# client.
said=$target/seeds-parsers
rm -rf "$said"
mkdir -p "$said" "$target/corpus-parsers"
sed -n '/^```json$/,/^```$/{/^```/!p}' docs/recognizers.md >"$said/lines"
for table in crates/analysis/tests/data/*.tsv; do
    # The last column is a spoken sentence; 20 of them are one input.
    awk -F'\t' '/^[^#]/ { print $NF }' "$table" |
        split -l 20 - "$said/$(basename "$table")-"
done
for fixture in tests/fixtures/symbl-messages/client_*; do
    tr -d '\n' <"$fixture" >"$said/$(basename "$fixture")"
done

# Seeds of events: those in the docs of the protocol.
events=$target/seeds-session_events
rm -rf "$events"
mkdir -p "$events" "$target/corpus-session_events"
sed -n '/^```json$/,/^```$/{/^```/!p}' docs/sessions.md >"$events/documented"

# Seeds of the model's files: small ones in the format of a model.bin, and a tokenizer.
files=$target/seeds-whisper
rm -rf "$files"
mkdir -p "$files" "$target/corpus-whisper"
cp fuzz/seeds/whisper/* crates/whisper/tests/data/tokenizer.json "$files/"

if [ $# -gt 0 ]; then
    fuzzer=$target/$triple/release/$1
    shift
    exec "$fuzzer" "$@"
fi
# Usage: fuzz TARGET SECONDS CORPUS SEEDS
fuzz() {
    local log=$target/log-$1
    "$target/$triple/release/$1" -max_total_time="$2" -max_len=16384 -timeout=10 \
        -rss_limit_mb=1024 -dict="$target/dictionary" -artifact_prefix="$target/artifacts/" \
        -print_final_stats=1 "$3" "$4" >"$log" 2>&1 || {
        tail -n 60 "$log"
        echo "the fuzzer found something; scripts/fuzz.sh $1 and the path of the artifact run it again"
        exit 1
    }
    grep -E '^Done|cov:.*DONE|peak_rss' "$log"
}
# Two at a time: each takes one core.
{
    fuzz service "$seconds" "$corpus" "$seeds"
    fuzz session_events "$((seconds / 2))" "$target/corpus-session_events" "$events"
} &
first=$!
fuzz whisper "$seconds" "$target/corpus-whisper" "$files"
fuzz parsers "$((seconds / 2))" "$target/corpus-parsers" "$said"
wait "$first"
