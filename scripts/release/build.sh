#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Builds what a release ships, so that the same commit gives the same bytes wherever it is built:
# no path of this machine is in them, and no time but that of the commit.
#
#   scripts/release/build.sh TARGET [PACKAGE]...     default: all that is shipped
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${1:?usage: build.sh TARGET [PACKAGE]...}
shift
[ $# -gt 0 ] || set -- gst-plugin-symbl symbl-service symbl-tap

here=$(pwd -P)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$target"
target=$(cd "$target" && pwd -P)
remap="--remap-path-prefix=$target=/target --remap-path-prefix=$here=/source --remap-path-prefix=$cargo_home=/cargo"
# SQLite, Opus and ring are written in C.
c="-ffile-prefix-map=$target=/target -ffile-prefix-map=$here=/source -ffile-prefix-map=$cargo_home=/cargo"
packages=()
for package in "$@"; do packages+=(--package "$package"); done

export RUSTFLAGS="${RUSTFLAGS:-} $remap" CFLAGS="${CFLAGS:-} $c" CXXFLAGS="${CXXFLAGS:-} $c"
export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target
exec "${CARGO:-cargo}" build --release --locked --lib --bins "${packages[@]}"
