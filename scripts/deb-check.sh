#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Installs the packages of "make deb" into an empty root, uses them and removes them again.
# Needs root, because dpkg does. "make deb-check" calls this.
#
#   scripts/deb-check.sh FOLDER
set -eu

folder=${1:?usage: deb-check.sh FOLDER}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
die() { printf 'deb-check: %s\n' "$*" >&2; exit 1; }

mkdir -p "$root/etc" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
: >"$root/var/lib/dpkg/status"
packages='gstreamer1.0-symbl symbl-service symbl-tap symbl-view'
# What they depend on is on this machine, and not in that root.
as_in() { dpkg --root="$root" --force-depends --force-script-chrootless "$@" >"$root/log" 2>&1 || { cat "$root/log"; die "dpkg $*"; }; }

for package in $packages; do
    ls "$folder/$package"_*.deb >/dev/null 2>&1 || die "there is no $package in $folder; make deb makes it"
done
as_in --install "$folder"/*.deb
for package in $packages; do
    zcat "$root/usr/share/doc/$package/licences.txt.gz" | grep -q 'Permission is hereby granted' ||
        die "$package has no licences"
done
for program in symbl-service symbl-tap symbl-view; do
    "$root/usr/bin/$program" --version
    find "$root/usr/share/man/man1" -name "$program.1*" | grep -q . || die "$program has no manual page"
done
"$root/usr/bin/symbl-service" --check-config --config "$root/etc/symbl-service/symbl.toml" --recognizer scripted
plugin=$(find "$root/usr/lib" -name libgstsymbl.so)
GST_PLUGIN_PATH=$(dirname "$plugin") GST_REGISTRY=$root/registry gst-inspect-1.0 symblsink >/dev/null ||
    die 'the plugin has no symblsink'
if command -v systemd-analyze >/dev/null; then
    exposure=$(systemd-analyze security --offline=true --threshold=20 --no-pager \
        "$root/usr/lib/systemd/system/symbl-service.service") || die "the unit is exposed: $exposure"
    printf '%s\n' "$exposure" | tail -n 1
fi
# shellcheck disable=SC2086 # one word for each package
as_in --purge $packages
left=$(find "$root" -path "$root/var" -prune -o -type f ! -path "$root/log" ! -path "$root/registry" -print)
[ -z "$left" ] || die "these are left behind: $left"
echo 'deb-check: installed, used and removed'
