#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Measures how many words the recognisers get wrong, through symblsink and
# symbl-service. docs/accuracy.md explains the sets and how errors are counted.
#
#   scripts/accuracy.sh
#
# SETS     names of sets, default: all
# ENGINES  names of recognisers, default: "whisper pocketsphinx". "whisper:base" is the
#          recogniser whisper with the model base
# ALL      anything: also the slow recognisers play all recordings, which takes an hour
# SIDE_BY_SIDE  how many recordings are played at the same time, default: one per core
#
# Standard output has the report as Markdown. target/accuracy has it again, as report.md
# and report.json, beside all texts.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'accuracy: %s\n' "$*" >&2; }

target=${CARGO_TARGET_DIR:-target}
folder=$target/accuracy
engines=${ENGINES:-whisper pocketsphinx}
requirements=scripts/accuracy/requirements.txt

scripts/install-deps.sh build run accuracy >&2
"${CARGO:-cargo}" build --release --locked --workspace --lib --bins \
    --example transcribe

# The file is copied when all is installed, so that half an installation is made again.
venv=$folder/venv
if ! cmp -s "$requirements" "$venv/installed.txt"; then
    say 'installing the normaliser of Whisper'
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes --retries 2 --timeout 30 -r "$requirements" >&2
    cp "$requirements" "$venv/installed.txt"
fi

# A model that cannot be fetched is told again when the service does not find it.
for engine in $engines; do
    case $engine in
        whisper) model=tiny.en ;;
        whisper:*) model=${engine#whisper:} ;;
        *) continue ;;
    esac
    [ -d "$model" ] || "$target/release/symbl-service" model fetch "$model" >&2 ||
        say "the model $model could not be fetched"
done

exec "$venv/bin/python" scripts/accuracy/run.py \
    --service "$target/release/symbl-service" \
    --transcribe "$target/release/examples/transcribe" \
    --output "$folder" --sets "${SETS:-}" --engines "$engines" \
    ${ALL:+--all} ${SIDE_BY_SIDE:+--side-by-side "$SIDE_BY_SIDE"}
