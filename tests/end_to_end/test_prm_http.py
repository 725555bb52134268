#!/usr/bin/env python3
"""test_prm_http.py - prm.backend = "http": a run whose steps are scored behind HTTP.

One server is ours (`teacher` serves /pooling with the exact checker); the other is written here by
vLLM's documentation alone: {"model", "input": [texts]} in, a row [wrong, right] for each <extra_0>
out. Whatever becomes of a server, the run ends, and its groups are plain GRPO meanwhile."""
import http.server
import json
import re
import threading

from harness import closed_port, expect, expect_accounted, expect_equal, main

CANARY = 'canary-77ad0c-prm-key'
QUICK = {'prm.backend': 'http', 'prm.circuit_failures': 3, 'prm.circuit_reset': '100ms',
         'prm.max_retries': 0}


class Scorer(http.server.BaseHTTPRequestHandler):
    """Checks `a op b = c`; `say` may answer in its place."""
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.asked.append((self.path, self.headers.get('Authorization'), body))
        status, answer = self.server.say(body)
        answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def scores(body):
    data = []
    for index, text in enumerate(body['input']):
        steps = text.split('<|im_start|>assistant\n')[1].split('<extra_0>')[:-1]
        rows = []
        for step in steps:
            parts = re.fullmatch(r'(\d+)([-+*])(\d+)=(\d+)', step.strip())
            right = not parts or {'+': lambda a, b: a + b, '-': lambda a, b: a - b,
                                  '*': lambda a, b: a * b}[parts[2]](
                                      int(parts[1]), int(parts[3])) == int(parts[4])
            rows.append([0.1, 0.9] if right else [0.8, 0.2])
        data.append({'index': index, 'object': 'pooling', 'data': rows})
    return 200, {'id': 'pool-1', 'object': 'list', 'created': 1, 'model': body['model'],
                 'data': data, 'usage': {'prompt_tokens': 1, 'total_tokens': 1}}


class Served:
    def __init__(self, say=scores):
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Scorer)
        self.server.say, self.server.asked = say, []
        self.url = f'http://127.0.0.1:{self.server.server_port}'

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def expect_done(world, steps, name='run'):
    status = world.status(name)
    expect_equal((status['state'], status['steps']), ('done', steps), 'status')
    expect_accounted(status['groups'])
    expect_equal(status['groups']['failed'], 0, 'failed groups')
    return status['teacher']


def test_our_server_scores_as_the_checker_in_the_program_does(world):
    """The same weights to the byte: a score is a score, wherever it comes from."""
    world.train(name='inside')
    world.train(name='builtin', sets={'prm.backend': 'http', 'prm.url': 'builtin'})
    _, url = world.teacher('--latency', 'constant:2ms')
    world.train(name='served', sets={'prm.backend': 'http', 'prm.url': url})
    expect(expect_done(world, 6, 'inside')['salvaged'] > 0, 'nothing was repaired')
    for name in ('builtin', 'served'):
        expect(world.weights(6, name) == world.weights(6, 'inside'), f'{name}: other weights')
        last = world.metrics(name)[-1]
        expect(last['prm/ok'] > 0 and last['prm/errors'] == 0, last)


def test_a_server_by_the_documentation_is_understood(world):
    with Served() as served:
        world.train(environment={'SCOPE_TEST_KEY': CANARY}, sets={
            **QUICK, 'prm.url': served.url + '/', 'prm.model': 'Qwen2.5-Math-PRM-7B',
            'prm.api_key_env': 'SCOPE_TEST_KEY'})
        path, key, body = served.server.asked[0]
        expect_equal((path, key), ('/pooling', f'Bearer {CANARY}'), 'request')
        expect_equal(sorted(body), ['input', 'model'], 'keys')
        expect_equal(body['model'], 'Qwen2.5-Math-PRM-7B', 'model')
        expect(all(text.startswith('<|im_start|>system\n') and text.endswith('<extra_0>')
                   for text in body['input']), body)
    expect(expect_done(world, 6)['salvaged'] > 0, 'nothing was repaired')
    steps = [p for group in world.lines('runs', 'run', 'rollouts', 'stream.jsonl')
             for p in group.get('step_p') or []]
    expect({0.9, 0.2} <= {round(p, 4) for p in steps}, steps)


def test_without_a_server_it_trains_like_grpo(world):
    world.train(name='dead', sets={**QUICK, 'prm.url': f'http://127.0.0.1:{closed_port()}'})
    world.train(name='grpo', sets={'scope.arm': 'grpo'})
    counts = expect_done(world, 6, 'dead')
    expect(counts['degraded'] > 0 and counts['salvaged'] == 0, counts)
    expect(world.weights(6, 'dead') == world.weights(6, 'grpo'), 'weights differ')
    last = world.metrics('dead')[-1]
    expect(last['prm/circuit_open'] == 1 and last['prm/unscored'] > 0, last)


def test_nonsense_is_never_believed(world):
    answers = ((200, b'<html>'), (200, {'data': []}), (400, {'error': {'message': CANARY}}),
               (200, {'data': [{'index': 0, 'data': [[-3.5, 4.25]] * 9}]}),
               (500, b''), (200, {'error': {'message': CANARY}}))
    turns = iter(range(10 ** 6))
    with Served(lambda _: answers[next(turns) % len(answers)]) as served:
        result = world.train(sets={**QUICK, 'prm.url': served.url, 'prm.circuit_failures': 1000})
    counts = expect_done(world, 6)
    expect(counts['degraded'] > 0 and counts['salvaged'] == 0, counts)
    expect(world.metrics()[-1]['prm/errors_malformed'] > 0, 'malformed')
    expect(CANARY not in result.err + result.out, 'a server was quoted')


def test_every_fault_is_survived(world):
    faults = ('busy', 'error', 'unavailable', 'cut', 'garbage', 'wrong', 'silent', 'keep_alive',
              'error_chunk', 'length', 'empty')
    _, url = world.teacher('--retry-after', 'absent', '--faults',
                           ','.join(f'{fault}=0.05' for fault in faults))
    world.train('--max-steps', '30', sets={
        **QUICK, 'prm.url': url, 'prm.max_retries': 3, 'prm.circuit_failures': 20,
        'prm.concurrency': 2, 'eval.every': 0, 'checkpoint.every': 0})
    counts = expect_done(world, 30)
    last = world.metrics()[-1]
    expect(counts['salvaged'] > 0, counts)
    expect(last['prm/retries'] > 0 and last['prm/errors_malformed'] > 0, last)


def test_what_is_missing_is_named(world):
    result = world.train(code=2, sets={'prm.backend': 'http'})
    expect('needs prm.url' in result.err, result)
    result = world.train(code=3, sets={'prm.backend': 'http', 'prm.url': 'http://127.0.0.1:9',
                                       'prm.api_key_env': 'SCOPE_NO_SUCH_KEY'})
    expect('prm.api_key_env = "SCOPE_NO_SUCH_KEY"' in result.err, result)


if __name__ == '__main__':
    main()
