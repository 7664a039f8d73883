#!/usr/bin/env python3
"""Writes unicode_tables.cc: the ranges of General_Category of Unicode 15.1.

Run by hand when the version is to change; never by the build. Needs a Python whose unicodedata is of
that version (3.13), or the package unicodedata2==15.1.0:

  python3 local_engine/tokenizer/make_unicode_tables.py > local_engine/tokenizer/unicode_tables.cc
"""

import sys
import unicodedata

VERSION = "15.1.0"
CLASSES = {"L": 1, "M": 2, "N": 3, "P": 4, "S": 5, "Z": 6, "C": 7}
PER_LINE = 8


def database():
    if unicodedata.unidata_version == VERSION:
        return unicodedata
    try:
        import unicodedata2
    except ImportError:
        sys.exit(f"needs Unicode {VERSION}, this Python has {unicodedata.unidata_version}: "
                 f"pip install unicodedata2=={VERSION}")
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"needs unicodedata2 of Unicode {VERSION}, not {unicodedata2.unidata_version}")
    return unicodedata2


def ranges(data):
    found, last = [], None
    for code_point in range(0x110000):
        category = data.category(chr(code_point))
        char_class = 0 if category == "Cn" else CLASSES[category[0]]
        if char_class != last:
            found.append(code_point << 8 | char_class)
            last = char_class
    return found


def main():
    found = ranges(database())
    print(f"// Written by make_unicode_tables.py from Unicode {VERSION}; not to be edited.\n")
    print('#include "local_engine/tokenizer/unicode.h"\n')
    print("namespace nearfar {\nnamespace unicode_internal {\n")
    print("// clang-format off")
    print("const uint32_t kRanges[] = {")
    for i in range(0, len(found), PER_LINE):
        print("    " + " ".join(f"0x{entry:x}," for entry in found[i:i + PER_LINE]))
    print("};\n// clang-format on\n")
    print("const size_t kRangeCount = sizeof(kRanges) / sizeof(kRanges[0]);\n")
    print("}  // namespace unicode_internal\n}  // namespace nearfar")


if __name__ == "__main__":
    main()
