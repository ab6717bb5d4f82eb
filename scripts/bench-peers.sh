#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Builds the elements that the benchmarks compare with, from their published
# crates, into a folder of their own, and prints that folder.
#
# deepgramtranscriber knows one address, that of its company. A copy of its
# source gets one line changed, so that it talks to the server of the benchmarks.
# What cannot be had or built is left out: the benchmarks say so.
set -uo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench-peers: %s\n' "$*" >&2; }

target=${CARGO_TARGET_DIR:-$PWD/target}/bench-peers
workspace=$target/workspace
deepgram=$target/gst-plugin-deepgram
manifest=benches/peers/Cargo.toml
cargo=${CARGO:-cargo}

printf '%s\n' "$target"
mkdir -p "$workspace"
# The workspace is copied, because the changed source is not in its lock.
cmp -s "$manifest" "$workspace/Cargo.toml" || {
    cp benches/peers/Cargo.toml benches/peers/Cargo.lock benches/peers/lib.rs "$workspace/" || exit 0
}

build() {
    "$cargo" build --release --manifest-path "$workspace/Cargo.toml" --target-dir "$target" \
        --jobs "${JOBS:-$(nproc)}" "$@" >&2
}

# Where cargo has put the published source of a package.
source_of() {
    "$cargo" metadata --format-version 1 --locked --manifest-path "$manifest" |
        grep -o "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"]*/Cargo.toml\"" | head -n 1 | cut -d '"' -f 4
}

build --package gst-plugin-speechmatics || say 'speechmaticstranscriber could not be built'

original=$(dirname "$(source_of gst-plugin-deepgram)")
if [ ! -e "$original/src/transcriber/imp.rs" ]; then
    say 'the source of deepgramtranscriber is not to be had'
    exit 0
fi
if [ ! -e "$deepgram/patched" ]; then
    rm -rf "$deepgram"
    cp -r "$original" "$deepgram"
    line='Deepgram::new(api_key)'
    own='Deepgram::with_base_url_and_api_key(std::env::var("DEEPGRAM_BASE_URL").unwrap_or_default().as_str(), api_key)'
    if [ "$(grep -c -F "$line" "$deepgram/src/transcriber/imp.rs")" != 1 ]; then
        say 'deepgramtranscriber is another one than expected; left out'
        exit 0
    fi
    sed -i "s|$line|$own|" "$deepgram/src/transcriber/imp.rs"
    touch "$deepgram/patched"
fi
build --package gst-plugin-deepgram --config "patch.crates-io.gst-plugin-deepgram.path='$deepgram'" ||
    say 'deepgramtranscriber could not be built'
