#!/usr/bin/env python3
"""embed.py OUTPUT FILE... - a C table of text files: { "name", "first comment", "all of it" }.

Why: the program carries the configurations it documents, wherever it is copied to.
"""
import os
import sys


def literal(text):
    pieces = []
    for line in text.splitlines(keepends=True):
        escaped = line.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n')
        pieces.append(f'        "{escaped}"')
    return '\n'.join(pieces) if pieces else '        ""'


def main():
    output, paths = sys.argv[1], sorted(sys.argv[2:])
    rows = []
    for path in paths:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        name = os.path.splitext(os.path.basename(path))[0]
        about = text.split('\n', 1)[0].lstrip('# ')
        rows.append(f'{{ "{name}",\n{literal(about)},\n{literal(text)} }},\n')
    with open(output, 'w', encoding='utf-8') as file:
        file.write(''.join(rows))


if __name__ == '__main__':
    main()
