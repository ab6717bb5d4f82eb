# SPDX-License-Identifier: MPL-2.0
"""Copies the documents of the project to where mdBook reads them.

usage: pages.py FOLDER

The documents are in docs/ and at the root, so that they can be read in the repository. On the
site all of them are in one folder. A file of the repository that a document links to, such as
an example, becomes a file of the site.
"""

import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The target of a link or a picture.
TARGET = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)


def pages():
    """Returns the documents of the site."""
    linked = TARGET.findall((ROOT / "docs/SUMMARY.md").read_text())
    found = [ROOT / "docs/SUMMARY.md"]
    found += [(ROOT / "docs" / target).resolve() for target in linked]
    return found


def name(page):
    """Returns the name of a document on the site."""
    return "index.md" if page.name == "README.md" else page.name


def on_site(page, target, known, files):
    """Returns where a target of a page is on the site, and adds what it needs to files."""
    if re.match(r"[a-z]+:", target) or target.startswith("#"):
        return target
    path, _, anchor = target.partition("#")
    path = (page.parent / path).resolve()
    if path in known:
        place = name(path)
    else:
        place = f"files/{path.relative_to(ROOT)}"
        # A browser shows a text, and asks what to do with a program.
        if path.suffix not in (".png", ".json"):
            place += ".txt"
        files[path] = place
    return f"{place}#{anchor}" if anchor else place


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    known, files = pages(), {}
    for page in known:
        text = COMMENT.sub("", page.read_text())
        text = TARGET.sub(lambda found: on_site(page, found[1], known, files), text)
        (folder / name(page)).write_text(text)
    for path, place in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / place)
    print(f"{len(known) - 1} pages and {len(files)} files")


if __name__ == "__main__":
    main()
