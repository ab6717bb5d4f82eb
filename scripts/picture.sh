#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Makes docs/page.png, the picture of the page in README.md: plays the demo, and has a
# headless Chromium take the picture while the talk goes on.
#
#   scripts/picture.sh [FILE]     FILE: where the picture goes; default: docs/page.png
#
# It needs what "make demo" has built, and the packages of scripts/install-deps.sh picture.
set -euo pipefail
cd "$(dirname "$0")/.."

picture=${1:-docs/page.png}
# Seconds into the talk of about 70 seconds.
moment=${MOMENT:-47}
largest=200000

die() {
    printf 'picture: %s\n' "$*" >&2
    exit 1
}

browser=
for program in chromium-headless-shell google-chrome chromium; do
    browser=$(command -v "$program") && break
done
[ -n "$browser" ] || die 'no Chromium; run: scripts/install-deps.sh picture'
for program in node pngquant; do
    command -v "$program" >/dev/null || die "$program is missing; run: scripts/install-deps.sh picture"
done

dir=$(mktemp -d)
demo_pid=
clean_up() {
    trap - EXIT
    if [ -n "$demo_pid" ]; then
        kill "$demo_pid" 2>/dev/null || true
        wait "$demo_pid" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/demo.sh >"$dir/captions" 2>"$dir/demo.log" &
demo_pid=$!

address=
for _ in $(seq 600); do
    address=$(sed -n 's/^demo: service at .*, its live page at \(.*\)$/\1/p' "$dir/demo.log")
    [ -z "$address" ] || break
    kill -0 "$demo_pid" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || {
    cat "$dir/demo.log" >&2
    die 'the demo did not start; what it said is above'
}

node scripts/picture/picture.mjs "$browser" "$address" "$moment" "$dir/page.png"
# Few colours are enough for text.
pngquant --force --strip --speed 1 --quality 80-100 --output "$picture" "$dir/page.png"
size=$(stat --format %s "$picture")
[ "$size" -le "$largest" ] || die "$picture has $size bytes, more than $largest"
printf 'picture: %s, %s bytes\n' "$picture" "$size" >&2
