#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Makes the site of the documentation, with a search, in TARGET/docs/html, and checks all of its
# links and anchors. "make docs" calls this.
#
#   scripts/docs.sh TARGET
#
# mdBook of that version on the PATH is taken; else it is installed into TARGET/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${1:?usage: docs.sh TARGET}
version=0.5.4
mdbook=mdbook
if [ "$(mdbook --version 2>/dev/null)" != "mdbook v$version" ]; then
    mdbook=$target/tools/bin/mdbook
    [ "$("$mdbook" --version 2>/dev/null)" = "mdbook v$version" ] ||
        "${CARGO:-cargo}" install --locked --version "=$version" --root "$target/tools" \
            --no-default-features --features search mdbook
fi

book=$target/docs
rm -rf "$book"
python3 scripts/docs/pages.py "$book/src"
cp docs/book.toml "$book/"
"$mdbook" build "$book"
python3 scripts/docs/links.py "$book/html"
