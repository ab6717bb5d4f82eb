# SPDX-License-Identifier: MPL-2.0
"""Writes the bill of materials of an artefact: what is compiled into it, in CycloneDX 1.6.

usage: sbom.py ARTEFACT PACKAGE [OPTION OF cargo tree]...

The bill goes to standard output. What is in it comes from `cargo tree` and Cargo.lock, so that
features and platform are those of the build. A component that only the build needs, such as a
macro, has the scope `excluded`. The same artefact of the same commit has the same bill.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINE = re.compile(r"^(\d+)(\S+) v(\S+)(?: \([^)]*\))*\|([^|]*)\|")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "gst-plugin-symbl/sbom")


def asked(*command):
    """Returns what a command prints."""
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def tree(package, edges, options):
    """Returns the depth, name, version and licence of each line of `cargo tree`."""
    command = [os.environ.get("CARGO", "cargo"), "tree", "--locked", "--package", package]
    command += ["--edges", edges, "--prefix", "depth", "--format", "{p}|{l}|", *options]
    for line in asked(*command).splitlines():
        found = LINE.match(line)
        if not found:
            sys.exit(f"sbom: cargo tree says {line!r}")
        yield int(found[1]), found[2], found[3], found[4]


def purl(name, version):
    """Returns the address of a package, by which it is known everywhere."""
    return f"pkg:cargo/{name}@{version}"


def components(package, options):
    """Returns all that is compiled for a package: its parts, and who depends on whom."""
    import tomllib  # of Python 3.11, and needed only here

    in_program = {row[1:3] for row in tree(package, "normal,no-proc-macro", options)}
    with open(ROOT / "Cargo.lock", "rb") as lock:
        locked = {(one["name"], one["version"]): one for one in tomllib.load(lock)["package"]}
    parts, below, above = {}, {}, []
    for depth, name, version, licence in tree(package, "normal,build", options):
        reference = purl(name, version)
        del above[depth:]
        if above:
            below[above[-1]].add(reference)
        above.append(reference)
        below.setdefault(reference, set())
        part = {"type": "library", "bom-ref": reference, "name": name, "version": version}
        part["scope"] = "required" if (name, version) in in_program else "excluded"
        if licence:
            # Old packages write a slash for "or".
            part["licenses"] = [{"expression": licence.replace("/", " OR ")}]
        checksum = locked[name, version].get("checksum")
        if checksum:
            part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
            part["purl"] = reference
        parts[reference] = part
    return parts, below


def bill(artefact, package, options):
    """Returns the bill of materials of a file."""
    parts, below = components(package, options)
    content = hashlib.sha256(artefact.read_bytes()).hexdigest()
    own = parts.pop(next(iter(parts)))
    own.update(
        type="library" if artefact.suffix == ".so" else "application",
        name=artefact.name,
        hashes=[{"alg": "SHA-256", "content": content}],
    )
    del own["scope"]
    metadata = {"component": own}
    if "SOURCE_DATE_EPOCH" in os.environ:
        moment = int(os.environ["SOURCE_DATE_EPOCH"])
        moment = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
        metadata["timestamp"] = moment.isoformat().replace("+00:00", "Z")
    dependencies = [
        {"ref": reference, "dependsOn": sorted(of)} for reference, of in sorted(below.items())
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, artefact.name + content)}",
        "version": 1,
        "metadata": metadata,
        "components": sorted(parts.values(), key=lambda part: part["bom-ref"]),
        "dependencies": dependencies,
    }


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: sbom.py ARTEFACT PACKAGE [OPTION OF cargo tree]...")
    made = bill(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    json.dump(made, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
