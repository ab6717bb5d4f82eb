#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Installs the programs with their manual pages, completions of shells, the unit of systemd and
# what watches the service, or removes them. "make install" calls this.
#
#   scripts/install-files.sh install|uninstall FOLDER_OF_THE_PROGRAMS DESTDIR PREFIX
set -eu
cd "$(dirname "$0")/.."

[ $# -eq 4 ] || { echo 'usage: install-files.sh install|uninstall FOLDER DESTDIR PREFIX' >&2; exit 2; }
action=$1 built=$2 root=$3$4 prefix=$4
programs='symbl-service symbl-tap symbl-view'

bash=$root/share/bash-completion/completions
zsh=$root/share/zsh/site-functions
fish=$root/share/fish/vendor_completions.d
man=$root/share/man/man1
units=$root/lib/systemd/system
shared=$root/share/symbl-service
doc=$root/share/doc/symbl-service

case $action in
    install)
        manual=$(mktemp -d)
        trap 'rm -rf "$manual"' EXIT
        "$built/symbl-service" manual "$manual"
        "$built/symbl-tap" --write-manual "$manual"
        "$built/symbl-view" --write-manual "$manual"
        install -d "$root/bin" "$man" "$bash" "$zsh" "$fish" "$units" "$shared" "$doc"
        for program in $programs; do
            install --strip -m 755 "$built/$program" "$root/bin/$program"
            install -m 644 "$manual/bash/$program.bash" "$bash/$program"
            install -m 644 "$manual/zsh/_$program" "$zsh/_$program"
            install -m 644 "$manual/fish/$program.fish" "$fish/$program.fish"
        done
        install -m 644 "$manual"/man1/*.1 "$man/"
        for unit in symbl-service.service symbl-service.socket; do
            sed "s|/usr/bin/|$prefix/bin/|" "packaging/$unit" >"$manual/$unit"
            install -m 644 "$manual/$unit" "$units/$unit"
        done
        install -m 644 packaging/symbl.toml packaging/grafana-dashboard.json \
            packaging/prometheus-alerts.yml "$shared/"
        install -m 644 LICENSE "$doc/copyright"
        ;;
    uninstall)
        for program in $programs; do
            rm -f "$root/bin/$program" "$bash/$program" "$zsh/_$program" "$fish/$program.fish" \
                "$man/$program.1" "$man/$program"-*.1
        done
        rm -f "$units/symbl-service.service" "$units/symbl-service.socket"
        rm -rf "$shared" "$doc"
        ;;
    *)
        echo "install-files: $action is neither install nor uninstall" >&2
        exit 2
        ;;
esac
