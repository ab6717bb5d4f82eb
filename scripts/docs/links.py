# SPDX-License-Identifier: MPL-2.0
"""Checks that each link of a folder of HTML leads to a file and to an anchor in it.

usage: links.py FOLDER
"""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        self.links += [attrs[name] for name in ("href", "src") if attrs.get(name)]


def faults(folder):
    """Returns the number of links, and what is wrong with them."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    count, wrong = 0, []
    for path, page in pages.items():
        # Its links are those of the root of the site, wherever that is.
        if path.name == "404.html":
            continue
        for link in page.links:
            link = urllib.parse.urlsplit(link)
            if link.scheme or link.netloc:
                continue
            count += 1
            target = path
            if link.path:
                target = (path.parent / urllib.parse.unquote(link.path)).resolve()
            if not target.is_file():
                wrong.append(f"{path.name}: there is no {link.path}")
            elif target in pages and urllib.parse.unquote(link.fragment) not in pages[target].anchors:
                wrong.append(f"{path.name}: there is no #{link.fragment} in {target.name}")
    return count, wrong


def main():
    count, wrong = faults(pathlib.Path(sys.argv[1]).resolve())
    for fault in wrong:
        print(fault, file=sys.stderr)
    print(f"{count} links, {len(wrong)} of them wrong")
    sys.exit(1 if wrong or count == 0 else 0)


if __name__ == "__main__":
    main()
