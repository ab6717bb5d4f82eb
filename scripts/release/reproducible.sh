#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Builds the committed state twice, in two folders with names of different lengths, and compares
# the bytes of what a release ships.
#
#   scripts/release/reproducible.sh FOLDER [PACKAGE]...
#
# FOLDER keeps both builds, so that a second run is short.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:?usage: reproducible.sh FOLDER [PACKAGE]...}
shift
[ $# -gt 0 ] || set -- gst-plugin-symbl symbl-service symbl-tap
folder=$(mkdir -p "$folder" && cd "$folder" && pwd -P)
SYMBL_REVISION=$(git rev-parse --short=12 HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SYMBL_REVISION SOURCE_DATE_EPOCH

for place in one another-place; do
    # A clone, because the plugin says its commit and the date of it.
    rm -rf "${folder:?}/$place"
    git clone --quiet --no-hardlinks . "$folder/$place"
    "$folder/$place/scripts/release/build.sh" "$folder/built-$place" "$@"
done

status=0
for package in "$@"; do
    case $package in
        gst-plugin-symbl) files='libgstsymbl.so symbl-view' ;;
        *) files=$package ;;
    esac
    for file in $files; do
        one=$folder/built-one/release/$file another=$folder/built-another-place/release/$file
        if cmp "$one" "$another"; then
            echo "$file: the same $(stat -c %s "$one") bytes, $(sha256sum <"$one" | cut -c 1-16)…"
        else
            status=1
        fi
        # What the compiler was told about this machine must not be in it.
        for secret in "$folder" "${CARGO_HOME:-$HOME/.cargo}/registry"; do
            if grep -qaF "$secret" "$one"; then
                echo "$file: has the path $secret" >&2
                status=1
            fi
        done
    done
done
exit "$status"
