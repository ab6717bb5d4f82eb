#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Builds the elements that the benchmarks compare with, from their published crates,
# and prints the folder with their libraries. It is the folder of the suite, with the
# same profile, so that common dependencies are built only once.
#
# deepgramtranscriber uses a fixed address, that of its company. One line in a copy of
# its source is changed, so that it uses the server of the benchmarks. An element that
# cannot be downloaded or built is left out, and the benchmarks report that.
set -uo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench-peers: %s\n' "$*" >&2; }

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
workspace=$target/bench-peers/workspace
deepgram=$target/bench-peers/gst-plugin-deepgram
manifest=benches/peers/Cargo.toml
cargo=${CARGO:-cargo}

printf '%s\n' "$target/release"
mkdir -p "$workspace"
# The workspace is copied, because the changed source does not match the lock file.
cmp -s "$manifest" "$workspace/Cargo.toml" || {
    rm -rf "$deepgram"
    cp benches/peers/Cargo.toml benches/peers/Cargo.lock benches/peers/lib.rs "$workspace/" || exit 0
}

# Prints the manifest of a package in cargo's folder of published sources. Without the
# platform, cargo would fetch what other systems need too.
source_of() {
    "$cargo" metadata --format-version 1 --locked --manifest-path "$manifest" \
        --filter-platform "$("$cargo" -vV | sed -n 's/^host: //p')" |
        grep -o "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"]*/Cargo.toml\"" | head -n 1 | cut -d '"' -f 4
}

# Makes the changed copy of deepgramtranscriber, unless it exists.
change_deepgram() {
    [ -e "$deepgram/patched" ] && return
    local original line own
    original=$(dirname "$(source_of gst-plugin-deepgram)")
    if [ ! -e "$original/src/transcriber/imp.rs" ]; then
        say 'the source of deepgramtranscriber is not to be had; left out'
        return 1
    fi
    rm -rf "$deepgram"
    cp -r "$original" "$deepgram"
    line='Deepgram::new(api_key)'
    own='Deepgram::with_base_url_and_api_key(std::env::var("DEEPGRAM_BASE_URL").unwrap_or_default().as_str(), api_key)'
    if [ "$(grep -c -F "$line" "$deepgram/src/transcriber/imp.rs")" != 1 ]; then
        say 'deepgramtranscriber is another one than expected; left out'
        return 1
    fi
    sed -i "s|$line|$own|" "$deepgram/src/transcriber/imp.rs"
    touch "$deepgram/patched"
}

packages=(--package gst-plugin-speechmatics)
if change_deepgram; then
    packages+=(--package gst-plugin-deepgram --config "patch.crates-io.gst-plugin-deepgram.path='$deepgram'")
fi
# If one fails, the other is still built. Libraries of an earlier run are removed, so
# that they are not measured in place of a failed build.
rm -f "$target"/release/libgst{deepgram,speechmatics}.so
"$cargo" build --profile bench --keep-going --manifest-path "$workspace/Cargo.toml" \
    --target-dir "$target" "${packages[@]}" >&2 ||
    say 'not all could be built'
