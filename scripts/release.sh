#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Makes what a release ships in TARGET/dist: the packages for Debian, the plugin and the programs,
# the source, for each of them what it is made of (CycloneDX) and under which licences, and the
# checksums of all.
# "make release" calls this.
#
#   scripts/release.sh TARGET
#
# It ships what is committed: with other changes in the folder it ends. Publishing is up to
# you; the last lines say how.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?usage: release.sh TARGET}
mkdir -p "$target"
target=$(cd "$target" && pwd -P)
dist=$target/dist
[ -z "$(git status --porcelain)" ] || {
    echo 'release: there are changes that are not committed' >&2
    exit 1
}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
SYMBL_REVISION=$(git rev-parse --short=12 HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SYMBL_REVISION SOURCE_DATE_EPOCH

rm -rf "$dist" "$target/debian"
mkdir -p "$dist"
git archive --prefix "gst-plugin-symbl-$version/" HEAD | gzip -9n >"$dist/gst-plugin-symbl-$version.tar.gz"

scripts/release/build.sh "$target"
if command -v cargo-deb >/dev/null; then
    scripts/deb.sh "$target"
    cp "$target"/debian/*.deb "$dist/"
else
    echo 'release: WITHOUT packages for Debian: cargo-deb is missing (cargo install cargo-deb)' >&2
fi

# Writes what one file is made of, and under which licences. The packages hold the same files.
bill() {
    install --strip -m 755 "$target/release/$1" "$dist/$1"
    python3 scripts/release/sbom.py "$dist/$1" "${@:2}" >"$dist/$1.cdx.json"
    python3 scripts/release/licences.py "${@:2}" >"$dist/$1.licences.txt"
}
bill libgstsymbl.so gst-plugin-symbl --no-default-features
bill symbl-view gst-plugin-symbl
bill symbl-service symbl-service
bill symbl-tap symbl-tap

cd "$dist"
# In one order everywhere.
LC_ALL=C
sha256sum -- *[!S] >SHA256SUMS
sha256sum --check --quiet SHA256SUMS
cat SHA256SUMS
cat <<END
release: $version of $SYMBL_REVISION is in $dist
Next: make release-check; git tag -s v$version; sign SHA256SUMS (gpg --armor --detach-sign);
publish the libraries in this order: symbl-protocol, symbl-analysis, symbl-captions, symbl-manual,
symbl-log, symbl-client, symbl-models, symbl-tones, symbl-whisper, symbl-service
(cargo publish --package NAME).
END
