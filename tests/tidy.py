#!/usr/bin/env python3
"""tidy.py [ROOT] - the rules of the house that a program can check. Prints TAP, one subtest a rule.

Why: a limit nobody checks is a wish. Every finding is "# FILE:LINE: RULE: what"; comments and
strings are blanked first, so words in them never count. Only Python's standard library is needed.
"""
import os
import re
import sys

# base < runtime | schemas | kernels < models | algorithm | tasks < actors < cli
COLUMN = {'base': 0, 'runtime': 1, 'schemas': 1, 'kernels': 1, 'models': 2, 'algorithm': 2,
          'tasks': 2, 'actors': 3, 'cli': 4}
FREE = ('tests', 'bench')  # these may include anything
SOURCE = ('.c', '.h', '.cc', '.cu')
TEXT = SOURCE + ('.py', '.fbs', '.md', '.toml', '.build', '.txt')

FILE_LINES, FUNCTION_LINES, COLUMNS, HEADER_LINES = 800, 70, 100, 200
LONG_HEADERS = {'schemas/records.h'}  # one plain struct for each message, read side by side
KEYS = ('in', 'out', 'owns', 'errors', 'thread')
LOCK_FILES = re.compile(r'^(base/buffer|models/comm_threads|'
                        r'runtime/(mailbox|message_pool|pending|wait_graph|turn|supervisor|core|'
                        r'system|'
                        r'actor|operation|loop|compute_pool|transport\w*|trace\w*))\.[ch]$')
LOCKS = re.compile(r'\b(_Atomic|atomic_\w+|stdatomic\.h|__atomic_\w+|__sync_\w+|mtx_\w+|'
                   r'cnd_\w+|pthread_(?:mutex|rwlock|spin|cond|barrier)\w*|'
                   r'uv_(?:mutex|cond|rwlock|sem)\w*)')
OUTSIDE = re.compile(
    r'(?<![\w.>])('
    r'time|clock|clock_gettime|gettimeofday|uv_hrtime|uv_now|sleep|usleep|nanosleep|'
    r'rand|srand|rand_r|random|drand48|getrandom|fopen|fdopen|open|openat|fread|'
    r'fwrite|read|write|close|unlink|rename|mkdir|stat|scope_file_(?!append\b|replace\b)\w+|'
    r'scope_directory_\w+|socket|connect|bind|listen|accept|send|recv|poll|fork|'
    r'system|popen|getenv|pthread_\w+|thrd_\w+|uv_thread_\w+'
    r')\s*\(')
LOG = re.compile(r'(?<![\w.>])(printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|fputc|'
                 r'perror|syslog)\s*\(')
LEAVE = re.compile(r'(?<![\w.>])(exit|_exit|quick_exit|longjmp|setjmp)\s*\(')
# Joined at run time, so that this file does not find itself.
MACHINE = re.compile('|'.join('/' + word for word in (
    r'work/', r'home/\w', r'root/', r'Users/\w', r'tmp/b-')))
TODO = re.compile(r'\b(?:TODO|FIXME)\b(?!\(scope-\d+\): \S)|\bX{3}\b')
ADAPTER = re.compile(r'_(flatbuffers|toml|simdjson|caf)\.cc$|^tests/fuzz/\w+\.cc$')


class File:
    def __init__(self, root, path):
        with open(os.path.join(root, path), encoding='utf-8', errors='replace') as file:
            self.text = file.read()
        self.path, self.lines = path, self.text.split('\n')
        if self.lines[-1] == '':
            self.lines.pop()
        self.folder, self.ending = path.split('/')[0], os.path.splitext(path)[1]
        self.source = self.ending in SOURCE
        self.product = self.source and self.folder in COLUMN
        self.code = blank(self.text).split('\n') if self.source else []


def blank(text):
    """Comments and the insides of strings become spaces; lines stay where they are."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def cover(match):
        kept = match[0]
        if kept[0] == '"' and re.search(r'#\s*include\s*$', text[max(0, match.start() - 20):
                                                                match.start()]):
            return kept
        return re.sub(r'[^\n]', ' ', kept)
    return token.sub(cover, text)


def functions(file):
    """(name, first line, line of '{', line of '}') of each body that opens in column 0."""
    opened, first = None, None
    for at, line in enumerate(file.code):
        if line.rstrip() == '{' and opened is None:
            opened, first = at, at
            while first > 0 and file.code[first - 1].strip() and \
                    not re.search(r'[;}]\s*$|^#', file.code[first - 1]):
                first -= 1
        elif line.startswith('}') and opened is not None:
            head = ' '.join(file.code[first:opened])
            name = re.search(r'(\w+)\s*\(', head)
            if name:  # else a class or a namespace
                yield name[1], first, opened, at
            opened = None


def included(file):
    for at, line in enumerate(file.code):
        match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if match:
            yield at + 1, match[1]


def rule_folders(file, _):
    if not file.product:
        return
    for at, path in included(file):
        folder = path.split('/')[0]
        if '/' not in path and not path.endswith('_generated.h'):
            yield at, f'"{path}" is not a path from the root'
        elif folder in FREE:
            yield at, f'{file.folder}/ may not include {folder}/'
        elif folder in COLUMN and folder != file.folder and \
                COLUMN[folder] >= COLUMN[file.folder]:
            yield at, f'{file.folder}/ may not include {folder}/'


def is_actor(file):
    return file.folder == 'actors' and file.ending == '.c' and \
        re.search(r'^const struct scope_actor_class \w+ =', file.text, re.M) is not None


def rule_actors(file, files):
    if not is_actor(file):
        return
    for at, path in included(file):
        twin = files.get(path[:-2] + '.c')
        if twin is not None and twin is not file and is_actor(twin):
            yield at, f'an actor may not include another actor\'s "{path}"'


def rule_file_length(file, _):
    if file.source or file.ending == '.py':
        if len(file.lines) > FILE_LINES:
            yield FILE_LINES + 1, f'{len(file.lines)} lines, the limit is {FILE_LINES}'


def rule_function_length(file, _):
    for name, first, _opened, last in functions(file):
        count = last - first + 1
        # A test program's main is its list of tests.
        if count > FUNCTION_LINES and not (name == 'main' and file.folder == 'tests'):
            yield first + 1, f'{name} has {count} lines, the limit is {FUNCTION_LINES}'


def rule_line_length(file, _):
    if file.source or file.ending in ('.py', '.build', '.fbs'):
        for at, line in enumerate(file.lines):
            if len(line) > COLUMNS:
                yield at + 1, f'{len(line)} columns, the limit is {COLUMNS}'


def rule_headers(file, _):
    if file.ending != '.h':
        return
    name = os.path.basename(file.path)
    if not file.lines or not re.match(rf'/\* {re.escape(name)} - \S', file.lines[0]):
        yield 1, f'the file does not open with "/* {name} - what it is"'
    if '#pragma once' not in file.lines:
        yield 1, 'no #pragma once'
    if len(file.lines) > HEADER_LINES and file.path not in LONG_HEADERS:
        yield HEADER_LINES + 1, f'{len(file.lines)} lines, the limit is {HEADER_LINES}'


def rule_header_keys(file, _):
    if file.ending != '.h' or not file.product:
        return
    last = -1
    for at, line in enumerate(file.lines):
        if '/*' in line:
            last = -1
        match = re.match(r'\s*(?:/\*|\*) ([a-z]+) {2,}\S', line)
        if not match:
            continue
        if match[1] not in KEYS:
            yield at + 1, f'key "{match[1]}" is none of {", ".join(KEYS)}'
            continue
        if KEYS.index(match[1]) <= last:
            yield at + 1, f'key "{match[1]}" out of order: {", ".join(KEYS)}'
        last = KEYS.index(match[1])


def rule_goto(file, _):
    for _name, _first, opened, last in functions(file):
        labels = {}
        for at in range(opened, last):
            match = re.match(r'\s*(\w+):(?!:)\s*$', file.code[at])
            if match:
                labels[match[1]] = at
        for at in range(opened, last):
            for target in re.findall(r'\bgoto (\w+);', file.code[at]):
                if labels.get(target, last) <= at:
                    yield at + 1, f'goto {target} goes backward'


def rule_locks(file, _):
    if file.product and not LOCK_FILES.match(file.path):
        for at, line in enumerate(file.code):
            for word in LOCKS.findall(line):
                yield at + 1, f'{word}: atomics and locks live in the files STYLE 14 names'
                return  # one a file says it


def rule_outside(file, _):
    if file.folder not in ('actors', 'algorithm') or not file.source:
        return
    own = set(re.findall(r'^static [^;=]*?\b(\w+)\(', '\n'.join(file.code), re.M))
    for at, line in enumerate(file.code):
        for word in OUTSIDE.findall(line):
            if word not in own:
                yield at + 1, f'{word}: clocks, chance, files, sockets and threads come by actor.h'


def rule_log(file, _):
    # check.c prints the assertion that ends the program.
    if file.product and file.folder not in ('actors', 'cli') and file.path != 'base/check.c':
        for at, line in enumerate(file.code):
            for word in LOG.findall(line):
                yield at + 1, f'{word}: only actors/ and cli/ print'


def rule_leaving(file, _):
    if file.product and file.path != 'cli/main.c':
        for at, line in enumerate(file.code):
            for word in LEAVE.findall(line):
                yield at + 1, f'{word}: return an error instead'


def rule_typedef(file, _):
    if file.product:
        for at, line in enumerate(file.code):
            if re.match(r'\s*typedef\s+(struct|enum|union)\b', line):
                yield at + 1, 'no typedef of a struct or enum'


def rule_cpp(file, _):
    if file.ending == '.cc' and not ADAPTER.search(file.path):
        yield 1, 'C++ only in adapters named after their library, as config_toml.cc'


def rule_todo(file, _):
    if file.path == 'tests/tidy.py':
        return
    for at, line in enumerate(file.lines):
        if TODO.search(line):
            yield at + 1, 'an open end names its issue: TODO(scope-12): what'


def rule_machine(file, _):
    for at, line in enumerate(file.lines):
        if MACHINE.search(line):
            yield at + 1, 'a path of one machine'


RULES = [
    ('folders include themselves and what stands to their left', rule_folders),
    ('no actor includes another actor', rule_actors),
    (f'files have at most {FILE_LINES} lines', rule_file_length),
    (f'functions have at most {FUNCTION_LINES} lines', rule_function_length),
    (f'lines have at most {COLUMNS} columns', rule_line_length),
    (f'headers open with a comment, once, in {HEADER_LINES} lines', rule_headers),
    ('header comments use the known keys in their order', rule_header_keys),
    ('goto goes forward', rule_goto),
    ('atomics and locks stay in their files', rule_locks),
    ('actors and algorithm reach the outside by actor.h only', rule_outside),
    ('only actors and cli print', rule_log),
    ('nobody but main leaves the program', rule_leaving),
    ('structs and enums have no typedef', rule_typedef),
    ('C++ stays in adapters', rule_cpp),
    ('open ends carry an issue', rule_todo),
    ('no path of one machine', rule_machine),
]


def read_tree(root):
    files = {}
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders
                            if not re.match(r'build|runs$|__pycache__$|\.(?!ci$)', name))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(directory, name), root)
            if name.endswith(TEXT) or name == 'Makefile' or path.startswith('.ci/'):
                files[path] = File(root, path)
    return files


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
    files = read_tree(root)
    failed = False
    print(f'1..{len(RULES)}')
    for number, (title, rule) in enumerate(RULES, 1):
        found = [(file.path, at, what) for file in files.values() for at, what in rule(file, files)]
        for path, at, what in found:
            print(f'# {path}:{at}: {what}')
        print(f'{"not ok" if found else "ok"} {number} - {title}')
        failed = failed or bool(found)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
