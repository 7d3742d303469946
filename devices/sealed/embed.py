#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""embed.py PROGRAM OUTPUT: the program as an array of C."""
import pathlib
import sys

image = pathlib.Path(sys.argv[1]).read_bytes()
lines = [", ".join(map(str, image[i:i + 20])) + "," for i in range(0, len(image), 20)]
pathlib.Path(sys.argv[2]).write_text(
    "/* Made by embed.py. */\n"
    "extern const unsigned char sealed_holder_image[];\n"
    "extern const unsigned long sealed_holder_bytes;\n"
    "const unsigned char sealed_holder_image[] = {\n" + "\n".join(lines) + "\n};\n"
    "const unsigned long sealed_holder_bytes = sizeof(sealed_holder_image);\n")
