# SPDX-License-Identifier: MPL-2.0
"""Checks bills of materials against the schema of CycloneDX 1.6, with its Python library.

usage: validate.py FILE...
"""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main():
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for file in sys.argv[1:]:
        with open(file, encoding="utf-8") as text:
            fault = validator.validate_str(text.read())
        if fault is not None:
            sys.exit(f"{file}: {fault}")
        print(f"{file}: valid")


if __name__ == "__main__":
    main()
