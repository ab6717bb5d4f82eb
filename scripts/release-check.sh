#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# What takes too long for "make test", and is to be good before a release.
# "make release-check" calls this.
#
#   scripts/release-check.sh TARGET [CHECK]...    default: all of them
#
# A check that cannot run here, because a tool or a target is not to be had, says so, and what
# would install it. The last lines say what each check came to; the status is 0 if none failed,
# also if some could not run.
set -euo pipefail
cd "$(dirname "$0")/.."

all='bills docs packages lintian publish semver features msrv aarch64 reproducible'
target=${1:?usage: release-check.sh TARGET [CHECK]...}
shift
# shellcheck disable=SC2086 # one word for each check
[ $# -gt 0 ] || set -- $all
mkdir -p "$target"
target=$(cd "$target" && pwd -P)
export PATH=$target/tools/bin:$PATH CARGO_TARGET_DIR=$target
cargo=${CARGO:-cargo}
libraries='symbl-protocol symbl-analysis symbl-captions symbl-manual symbl-log symbl-client symbl-models
symbl-tones symbl-whisper symbl-service'
# The versions that the project was checked with.
declare -A tool=([cargo-deb]=3.8.0 [cargo-hack]=0.6.46 [cargo-semver-checks]=0.51.0)
why=

# Ends a check that cannot run, with the reason.
cannot() {
    why=$*
    return 77
}

# Looks for a subcommand of cargo. CI, which may take its time, installs it.
need() {
    command -v "$1" >/dev/null && return
    [ "${INSTALL:-}" = 1 ] || cannot "$1 is missing: INSTALL=1 make release-check, or cargo install --locked $1@${tool[$1]}" || return
    "$cargo" install --locked --root "$target/tools" "$1@${tool[$1]}" || cannot "$1 cannot be installed"
}

# Each program and the plugin has a bill of materials that the schema takes.
check_bills() {
    local venv=$target/tools/cyclonedx folder
    folder=$(mktemp -d)
    for artefact in 'libgstsymbl.so gst-plugin-symbl --no-default-features' 'symbl-view gst-plugin-symbl' \
        'symbl-service symbl-service' 'symbl-tap symbl-tap'; do
        # shellcheck disable=SC2086 # its words
        set -- $artefact
        local file=$target/release/$1
        # What is in it does not depend on the bytes.
        [ -f "$file" ] || { file=$folder/$1 && : >"$file"; }
        python3 scripts/release/sbom.py "$file" "${@:2}" >"$folder/$1.cdx.json" || return 1
    done
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || cannot 'python3 has no venv: apt-get install python3-venv' || return
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r scripts/release/requirements.txt || cannot 'the schema of CycloneDX cannot be downloaded with pip' || return
    "$venv/bin/python" scripts/release/validate.py "$folder"/*.cdx.json || return 1
    rm -rf "$folder"
}

# The site can be made, and no link of it leads nowhere.
check_docs() {
    scripts/docs.sh "$target"
}

# The packages can be made, installed into an empty root, used and removed.
check_packages() {
    need cargo-deb || return
    [ "$(id -u)" -eq 0 ] || cannot 'dpkg needs root' || return
    # PROFILE=dev takes what the tests have built, which is quick.
    [ -n "${PROFILE:-}" ] || scripts/release/build.sh "$target" || return 1
    rm -rf "$target/debian"
    scripts/deb.sh "$target" "${PROFILE:-release}" && scripts/deb-check.sh "$target/debian"
}

# Debian's own check of the packages finds no error.
check_lintian() {
    command -v lintian >/dev/null || cannot 'lintian is missing: apt-get install lintian' || return
    ls "$target"/debian/*.deb >/dev/null 2>&1 || cannot 'there are no packages: make deb' || return
    # cargo-deb writes no changelog for Debian.
    lintian --allow-root --fail-on error --suppress-tags no-changelog "$target"/debian/*.deb
}

# The libraries are whole without the rest of the repository.
check_publish() {
    local packages=()
    for library in $libraries; do packages+=(--package "$library"); done
    "$cargo" publish --dry-run --locked --allow-dirty "${VERIFY:---no-verify}" "${packages[@]}"
}

# No library breaks its users without a new version. The baseline is the last tag.
check_semver() {
    local baseline
    baseline=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) ||
        cannot 'there is no release yet: no tag v* to compare with' || return
    need cargo-semver-checks || return
    for library in $libraries; do
        "$cargo" semver-checks --package "$library" --baseline-rev "$baseline" || return 1
    done
}

# Each feature can be built alone.
check_features() {
    need cargo-hack || return
    # Its --no-dev-deps would change the lock file. A check takes no feature of dependencies of tests.
    "$cargo" hack check --each-feature --locked --package symbl-client --package symbl-service \
        --package gst-plugin-symbl --exclude-features capi,doc
}

# The oldest compiler that the packages promise builds them.
check_msrv() {
    local minimum
    minimum=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
    command -v rustup >/dev/null || cannot 'rustup is missing' || return
    rustup run "$minimum" rustc --version 2>/dev/null ||
        timeout 120 rustup toolchain install "$minimum" --profile minimal ||
        cannot "Rust $minimum is not here and cannot be downloaded" || return
    rustup run "$minimum" cargo check --workspace --lib --bins --locked --target-dir "$target/msrv"
}

# It compiles for another architecture.
check_aarch64() {
    local triple=aarch64-unknown-linux-gnu
    rustup target list --installed 2>/dev/null | grep -qx "$triple" ||
        timeout 120 rustup target add "$triple" ||
        cannot "the standard library for $triple is not here and cannot be downloaded" || return
    command -v aarch64-linux-gnu-gcc >/dev/null ||
        cannot 'aarch64-linux-gnu-gcc is missing: apt-get install gcc-aarch64-linux-gnu' || return
    # A check links nothing, so that the files of pkg-config of this architecture do.
    PKG_CONFIG_ALLOW_CROSS=1 "$cargo" check --workspace --lib --bins --locked --target "$triple"
}

# Two builds of the committed state are the same bytes, without a path of this machine.
check_reproducible() {
    # shellcheck disable=SC2086 # one word for each package
    scripts/release/reproducible.sh "$target/reproducible" ${PACKAGES:-}
}

results=()
failed=0
for check in "$@"; do
    case " $all " in
        *" $check "*) ;;
        *) echo "release-check: there is no check $check; there are: $all" >&2 && exit 2 ;;
    esac
    echo "release-check: $check"
    why=
    status=0
    SECONDS=0
    "check_$check" || status=$?
    if [ -n "$why" ]; then
        results+=("$check: NOT RUN: $why")
    elif [ "$status" -eq 0 ]; then
        results+=("$check: ok (${SECONDS} s)")
    else
        results+=("$check: FAILED")
        failed=1
    fi
done
echo
printf 'release-check: %s\n' "${results[@]}"
exit "$failed"
