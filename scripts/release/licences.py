# SPDX-License-Identifier: MPL-2.0
"""Writes the licences of all that is compiled into an artefact, with their texts.

usage: licences.py PACKAGE [OPTION OF cargo tree]...

What is in it comes from `cargo tree`, as in sbom.py. The texts are those in the folders of the
crates, with those of the code of others that some of them bring along, and in `vendor` folders of
this project's own. Equal texts are printed once. A crate without a text of its own has a licence
that another one has the text of, or it is an error. The last text is that of Rust's library.
"""

import html
import json
import os
import pathlib
import re
import sys

from sbom import asked, tree

NAMED = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)|\.licen[cs]e$", re.IGNORECASE)
# Programs that read a text, and the code of a licence's checker, have such names as well.
NO_TEXT = {".c", ".h", ".json", ".py", ".rs", ".toml", ".yml"}
# What is there is not compiled in.
ASIDE = {"benches", "examples", "fuzz", "target", "tests"}


def crates_for(every_platform):
    """Returns what Cargo knows of each crate. Those of other platforms it may have to download."""
    cargo = os.environ.get("CARGO", "cargo")
    options = ["--locked", "--format-version", "1"]
    if not every_platform:
        host = re.search(r"^host: (.*)$", asked("rustc", "-vV"), re.MULTILINE)[1]
        options += ["--filter-platform", host]
    packages = json.loads(asked(cargo, "metadata", *options))["packages"]
    return {(one["name"], one["version"]): one for one in packages}


def alternatives(licence):
    """Returns the licences of which one is to be chosen."""
    return [one.strip("() ") for one in re.split(r" OR |/", licence)]


def texts(folder):
    """Returns the texts of licences in a folder, by their place in it."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        aside = ASIDE.intersection(place.parts)
        if not aside and NAMED.search(path.name) and path.suffix not in NO_TEXT and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                yield str(place), text


def of_rust():
    """Returns the text of the licences of Rust's library, as the compiler brings it along."""
    said = pathlib.Path(asked("rustc", "--print", "sysroot").strip()) / "share/doc/rust"
    for name in ("COPYRIGHT-library.html", "COPYRIGHT"):
        found = said / name
        if found.is_file():
            # The page without its marks.
            text = re.sub(r"<style.*?</style>|<[^>]+>", "", found.read_text(), flags=re.DOTALL)
            return html.unescape(text).strip()
    return "Rust's library is under Apache-2.0 OR MIT: https://www.rust-lang.org/policies/licenses"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: licences.py PACKAGE [OPTION OF cargo tree]...")
    known = crates_for(every_platform="--target" in sys.argv)
    rows = {row[1:3]: row[3] for row in tree(sys.argv[1], "normal,no-proc-macro", sys.argv[2:])}
    numbers, lines, without = {}, [], []
    # The licences that a text is there for.
    covered = set()
    for (name, version), licence in sorted(rows.items()):
        crate = known[name, version]
        folder, authors = pathlib.Path(crate["manifest_path"]).parent, crate["authors"]
        title = f"{name} {version}"
        if crate["source"] is None:
            found = [text for path in sorted(folder.glob("*/vendor")) for text in texts(path)]
            title, licence, authors = f"within {name}", "code of others", []
            if not found:
                continue
        else:
            found = list(texts(folder))
        own = [f"[{numbers.setdefault(text, len(numbers) + 1)}] {place}" for place, text in found]
        if own:
            covered.update(alternatives(licence))
        else:
            without.append((name, licence))
        by = f", by {', '.join(authors)}" if authors else ""
        lines.append(f"{title}{by}\n  {licence}: {'; '.join(own) or 'no text of its own'}")
    missing = [f"{name} ({of})" for name, of in without if not covered.intersection(alternatives(of))]
    if missing or not lines:
        sys.exit(f"licences: there is no text for {', '.join(missing) or sys.argv[1]}")
    numbers[of_rust()] = number = len(numbers) + 1
    lines.append(f"Rust's library, by the Rust project\n  [{number}]")
    print(f"{sys.argv[1]} is under MPL-2.0. It contains code of these projects, in this order: name,")
    print("version, authors, licence, and the texts below.\n")
    print("\n".join(lines))
    for text, number in numbers.items():
        print(f"\n{'-' * 72}\n[{number}]\n\n{text}")


if __name__ == "__main__":
    main()
