#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Makes packages for Debian and Ubuntu of what was built: gstreamer1.0-symbl, symbl-service and
# symbl-tap, in TARGET/debian. "make deb" calls this.
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
case $profile in
    dev) folder=$target/debug ;;
    *) folder=$target/$profile ;;
esac

rm -rf "$folder/manual"
"$folder/symbl-service" manual "$folder/manual"
"$folder/symbl-tap" --write-manual "$folder/manual"
for package in gst-plugin-symbl symbl-service symbl-tap; do
    # A plugin may be installed for several architectures at once.
    multiarch=
    [ "$package" = gst-plugin-symbl ] && multiarch=--multiarch=same
    # shellcheck disable=SC2086 # one option or none
    CARGO_TARGET_DIR=$target cargo deb --no-build --locked --profile "$profile" $multiarch \
        --package "$package" --output "$target/debian/"
done
