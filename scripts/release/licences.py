# SPDX-License-Identifier: MPL-2.0
"""Writes the licences of all that is compiled into an artefact, with their texts.

usage: licences.py PACKAGE [OPTION OF cargo tree]...

What is in it comes from `cargo tree`, as in sbom.py. The texts are those in the folders of the
crates, with those of the C code that some of them bring along. Equal texts are printed once. A
crate without a text of its own has a licence that another one has the text of, or it is an error.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from sbom import ROOT, purl, tree

NAMED = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
# Programs that read a text, and the code of a licence's checker, have such names as well.
NO_TEXT = {".c", ".h", ".json", ".py", ".rs", ".toml", ".yml"}
# Deeper than that are only texts of tests.
DEPTH = 3


def folders():
    """Returns the folder and the authors of each crate in Cargo.lock."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version", "1"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {
        (one["name"], one["version"]): (pathlib.Path(one["manifest_path"]).parent, one["authors"])
        for one in json.loads(said)["packages"]
    }


def texts(folder):
    """Returns the texts of licences in a crate's folder, by their place in it."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        inside = len(place.parts) <= DEPTH and "tests" not in place.parts
        if inside and NAMED.match(path.name) and path.suffix not in NO_TEXT and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                yield str(place), text


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: licences.py PACKAGE [OPTION OF cargo tree]...")
    known = folders()
    crates = {row[1:3]: row[3] for row in tree(sys.argv[1], "normal,no-proc-macro", sys.argv[2:])}
    numbers, lines, without = {}, [], []
    # The licences that a text is there for.
    covered = set()
    for (name, version), licence in sorted(crates.items()):
        folder, authors = known[name, version]
        if folder.is_relative_to(ROOT):
            continue
        own = [
            f"[{numbers.setdefault(text, len(numbers) + 1)}] {place}"
            for place, text in texts(folder)
        ]
        if own:
            covered.add(licence)
        else:
            without.append((name, licence))
        by = f", by {', '.join(authors)}" if authors else ""
        lines.append(f"{name} {version}{by}\n  {licence}: {'; '.join(own) or 'no text of its own'}")
    missing = [purl(name, licence) for name, licence in without if licence not in covered]
    if missing:
        sys.exit(f"licences: there is no text for {', '.join(missing)}")
    print(f"{sys.argv[1]} is under MPL-2.0. It contains code of these projects, in this order: name,")
    print("version, authors, licence, and the texts below.\n")
    print("\n".join(lines))
    for text, number in numbers.items():
        print(f"\n{'-' * 72}\n[{number}]\n\n{text}")


if __name__ == "__main__":
    main()
