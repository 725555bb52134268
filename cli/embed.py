#!/usr/bin/env python3
"""embed.py OUTPUT FILE... - a C table of text files: { "name", "first sentence", "all of it" }.

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


def first_sentence(text):
    """Of the comment that the file opens with."""
    words = []
    for line in text.splitlines():
        if not line.startswith('#'):
            break
        words += line.lstrip('# ').split()
    return (' '.join(words) + ' ').split('. ', 1)[0].rstrip('. ') + '.'


def main():
    output, paths = sys.argv[1], sorted(sys.argv[2:])
    rows = []
    for path in paths:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        name = os.path.splitext(os.path.basename(path))[0]
        about = first_sentence(text)
        rows.append(f'{{ "{name}",\n{literal(about)},\n{literal(text)} }},\n')
    with open(output, 'w', encoding='utf-8') as file:
        file.write(''.join(rows))


if __name__ == '__main__':
    main()
