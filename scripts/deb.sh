#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Makes packages for Debian and Ubuntu of what was built: gstreamer1.0-symbl, symbl-service,
# symbl-tap and symbl-view, in TARGET/debian. "make deb" calls this.
#
#   scripts/deb.sh TARGET [PROFILE]       PROFILE is release, or the name of another one
set -eu
cd "$(dirname "$0")/.."

target=${1:?usage: deb.sh TARGET [PROFILE]}
profile=${2:-release}
command -v cargo-deb >/dev/null || {
    echo 'deb: cargo-deb is missing; install it with: cargo install cargo-deb' >&2
    exit 1
}
fast=
case $profile in
    # For a test: large programs are not worth the time to make them small.
    dev) folder=$target/debug fast=--fast ;;
    *) folder=$target/$profile ;;
esac

rm -rf "$folder/manual"
"$folder/symbl-service" manual "$folder/manual"
"$folder/symbl-tap" --write-manual "$folder/manual"
"$folder/symbl-view" --write-manual "$folder/manual"
# Debian's pages are compressed, without the time, so that they are the same every time.
gzip -9n "$folder"/manual/man1/*.1
# The licences of what is compiled into them, with their texts.
mkdir "$folder/manual/licences"
licences() {
    name=$1
    shift
    python3 scripts/release/licences.py "$@" >"$folder/manual/licences/$name.txt"
    gzip -9n "$folder/manual/licences/$name.txt"
}
# The same for each architecture, because the plugin may be installed for several at once.
licences gstreamer1.0-symbl gst-plugin-symbl --no-default-features --target all
licences symbl-view gst-plugin-symbl
licences symbl-service symbl-service
licences symbl-tap symbl-tap
package() {
    # shellcheck disable=SC2086 # one option or none
    CARGO_TARGET_DIR=$target cargo deb --no-build --locked --profile "$profile" $fast \
        --output "$target/debian/" "$@"
}
# A plugin may be installed for several architectures at once.
package --package gst-plugin-symbl --multiarch=same
package --package gst-plugin-symbl --variant view
package --package symbl-service
package --package symbl-tap
