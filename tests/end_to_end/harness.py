"""harness.py - what every end-to-end test needs: the program, a directory, a policy, TAP.

Why: these tests see what a user sees: exit codes, files, words on the terminal. A test file is
`main()` after functions named test_CLAIM; each gets a fresh directory with a warmed policy in
warm/. Its command line is PROGRAM SOURCE CACHE, given by meson. Only Python's standard library is
needed.
"""
import fcntl
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

PROGRAM, SOURCE, CACHE = (os.path.abspath(word) for word in sys.argv[1:4])
TINY = os.path.join(SOURCE, 'tests', 'end_to_end', 'tiny.toml')
QUICKSTART = os.path.join(SOURCE, 'configs', 'quickstart.toml')
SANITIZER = os.environ.get('SCOPE_SANITIZER')
PATIENCE_S = 600 if SANITIZER else 120  # of one command; a machine may be busy


class Skip(Exception):
    """This cannot be tested here; says why."""


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f'exit {self.code}\n{self.out}{self.err}'


def expect(condition, what):
    """An assertion that stays when Python runs optimised, with words of its own."""
    if not condition:
        raise AssertionError(str(what))


def expect_equal(got, wanted, what):
    expect(got == wanted, f'{what}: {got!r}, expected {wanted!r}')


def settings(values):
    """{'run.seed': 3} as --set words."""
    return [word for key, value in values.items() for word in ('--set', f'{key}={value}')]


class World:
    """One test's directory; everything it started has ended when it is left."""

    def __init__(self, directory):
        self.directory, self.started = directory, []

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'wb') as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return name

    def start(self, *words, environment=None, **more):
        process = subprocess.Popen(
            [PROGRAM, *words], cwd=self.directory, text=True, errors='replace',
            env={**os.environ, **(environment or {})},
            **{'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE,
               'stderr': subprocess.PIPE, **more})
        self.started.append(process)
        return process

    def finish(self, process):
        out, err = process.communicate(timeout=PATIENCE_S)
        return Result(process.returncode, out, err)

    def call(self, *words, code=0, **more):
        """Runs the program to its end, which must be `code`."""
        result = self.finish(self.start(*words, **more))
        expect(result.code == code, f'{" ".join(words)}: wanted exit {code}, got {result}')
        return result

    def train(self, *words, name='run', code=0, sets=None, **more):
        return self.call(TINY, '--name', name, *settings(sets or {}), *words, code=code, **more)

    def start_training(self, *words, name='run', sets=None, **more):
        return self.start(TINY, '--name', name, *settings(sets or {}), *words, **more)

    def teacher(self, *words, **more):
        """A teacher of our own: (process, url)."""
        process = self.start('teacher', '--listen', '127.0.0.1:0', *words, **more)
        url = process.stdout.readline().strip()
        expect(url.startswith('http://127.0.0.1:'), f'the teacher said {url!r}')
        return process, url

    def lines(self, *parts):
        with open(self.path(*parts), encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def metrics(self, name='run'):
        return self.lines('runs', name, 'metrics.jsonl')

    def status(self, name='run'):
        with open(self.path('runs', name, 'status.json'), encoding='utf-8') as file:
            return json.load(file)

    def bytes_of(self, *parts):
        with open(self.path(*parts), 'rb') as file:
            return file.read()

    def weights(self, step, name='run'):
        return self.bytes_of('runs', name, 'checkpoints', f'step_{step:06d}', 'hf',
                             'model.safetensors')

    def wait_for_step(self, process, step, name='run'):
        """Returns when the run has written this step's line."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if process.poll() is not None:
                raise AssertionError(f'ended before step {step}: {self.finish(process)}')
            try:
                if any(line['step'] >= step for line in self.metrics(name)):
                    return
            except (OSError, ValueError):  # not there yet, or half a line
                pass
            time.sleep(0.01)
        raise AssertionError(f'step {step} did not come within {PATIENCE_S} s')

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def closed_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def expect_accounted(groups):
    """admitted = trained + stale + filtered + failed + live"""
    ends = sum(groups[key] for key in ('trained', 'stale', 'filtered', 'failed', 'live'))
    expect_equal(ends, groups['admitted'], f'ends of admitted groups in {groups}')


def warmed(config, name):
    """A policy warmed by this very program; made once for a build, whoever comes first."""
    stamp = f'{os.stat(PROGRAM).st_mtime_ns}'
    directory = os.path.join(CACHE, name)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, 'lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = os.path.join(directory, 'made-by')
        if os.path.exists(made):
            with open(made, encoding='utf-8') as file:
                if file.read() == stamp:
                    return os.path.join(directory, 'policy')
        policy = os.path.join(directory, 'policy')
        shutil.rmtree(policy, ignore_errors=True)
        began = time.monotonic()
        subprocess.run([PROGRAM, 'warmup', config, '--quiet', '--set', f'warmup.path={policy}'],
                       check=True, stdin=subprocess.DEVNULL)
        print(f'# {name} policy warmed up in {time.monotonic() - began:.1f} s', flush=True)
        with open(made, 'w', encoding='utf-8') as file:
            file.write(stamp)
        return policy


def byte_tokenizer():
    """One token a byte, then the markers of ChatML and the PRM's."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    chars, extra = {}, 0
    for byte in range(256):
        chars[byte] = chr(byte) if byte in plain else chr(256 + extra)
        extra += byte not in plain
    added = ['<|im_start|>', '<|im_end|>', '<extra_0>']
    return {'version': '1.0', 'truncation': None, 'padding': None,
            'added_tokens': [{'id': 256 + i, 'content': word, 'single_word': False,
                              'lstrip': False, 'rstrip': False, 'normalized': False,
                              'special': True} for i, word in enumerate(added)],
            'normalizer': None,
            'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': False,
                              'trim_offsets': False, 'use_regex': False},
            'post_processor': None,
            'decoder': {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': False,
                        'use_regex': False},
            'model': {'type': 'BPE', 'dropout': None, 'unk_token': None,
                      'continuing_subword_prefix': None, 'end_of_word_suffix': None,
                      'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': False,
                      'vocab': {chars[byte]: byte for byte in range(256)}, 'merges': []}}


def run_one(function, policy):
    with tempfile.TemporaryDirectory(prefix='scope-test-') as directory:
        world = World(directory)
        if policy:
            shutil.copytree(policy, world.path('warm'))
        try:
            function(world)
        finally:
            world.close()


def main(policy=lambda: warmed(TINY, 'tiny')):
    """Runs the caller's test_... functions in the order they are written; exits."""
    module = sys.modules['__main__']
    tests = [(name, function) for name, function in vars(module).items()
             if name.startswith('test_') and inspect.isfunction(function)]
    failed = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leave no process behind
    print(f'1..{len(tests)}', flush=True)
    made = policy() if policy else None
    for number, (name, function) in enumerate(tests, 1):
        began, verdict = time.monotonic(), f'ok {number} - {name}'
        try:
            run_one(function, made)
        except Skip as skip:
            verdict += f' # SKIP {skip}'
        except Exception:  # whatever it was, the next test may still pass
            failed, verdict = True, 'not ' + verdict
            for line in traceback.format_exc().splitlines():
                print(f'#   {line}')
        print(f'{verdict}\n# {time.monotonic() - began:.1f} s', flush=True)
    sys.exit(1 if failed else 0)
