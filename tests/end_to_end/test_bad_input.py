#!/usr/bin/env python3
"""test_bad_input.py - what people get wrong is answered with words that help, and an exit code.

0 done, 1 the run failed, 2 bad configuration or usage, 3 something it needs is missing.
"""
import json
import os
import shutil
import socket
import struct
import subprocess

from harness import SOURCE, TINY, Skip, expect, expect_accounted, expect_equal, main

BIG = os.path.join(SOURCE, 'configs', '8xa100.toml')


def refuse(world, sets, words, code=2):
    """A run with these settings is refused with these words, and leaves nothing behind."""
    result = world.train(code=code, sets=sets)
    expect(words in result.err, f'not {words!r} in {result}')
    expect(not os.path.exists(world.path('runs', 'run')), 'the run directory was made')


def test_an_answer_that_is_not_whole_is_an_error(world):
    for words in (['--version'], ['--help'], ['check', TINY], [TINY, '--dry-run', '--json'],
                  ['configs'], ['configs', '--keys', '--json'], ['samples', TINY],
                  ['plan', BIG], ['sim', '--seeds', '0:1'],
                  ['teacher', '--listen', '127.0.0.1:0']):
        with open('/dev/full', 'w') as full:
            result = world.call(*words, stdout=full, code=3)
        expect('standard output: No space left on device' in result.err, f'{words}: {result}')


def test_a_configuration_that_the_program_carries_needs_no_file(world):
    out = world.call('check', 'configs/quickstart.toml').out
    expect('# configs/quickstart.toml:' in out, f'where values come from: {out}')
    world.write('configs/quickstart.toml', '[run]\nsteps = 7\n')
    out = world.call('check', 'configs/quickstart.toml').out
    expect('# configs/quickstart.toml:2:9' in out, f'a file that is there wins: {out}')
    world.call('check', 'configs/nosuch.toml', code=3)


def test_unknown_key(world):
    refuse(world, {'learner.whatever': 1}, 'unknown key "learner.whatever"')


def test_mistyped_key_names_the_nearest(world):
    refuse(world, {'rollout.grup_size': 4}, 'did you mean "rollout.group_size"?')


def test_key_without_its_section(world):
    refuse(world, {'lr': 1}, 'did you mean "learner.lr"?')


def test_wrong_type(world):
    refuse(world, {'learner.lr': 'fast'}, '"learner.lr" is "fast", but wants a number')


def test_out_of_range(world):
    refuse(world, {'rollout.group_size': 1}, '"rollout.group_size" is 1, out of range 2 to 64')


def test_unknown_choice_lists_all(world):
    refuse(world, {'prm.backend': 'oracle'},
           'none of arithmetic | likelihood | native | http | off')


def test_impossible_batch_arithmetic(world):
    refuse(world, {'learner.minibatch_prompts': 3}, 'rollout.prompts_per_step = 4 is not a '
           'multiple of learner.minibatch_prompts = 3')
    refuse(world, {'learner.microbatch_tokens': 50}, 'cannot hold one sequence')
    refuse(world, {'rollout.min_group': 5}, 'is more than rollout.group_size = 4')


def test_strategies_refuse_what_they_cannot_do(world):
    refuse(world, {'pipeline.strategy': 'async', 'scope.stats_scope': 'batch'},
           'strategy "async" never has; use "window"')
    refuse(world, {'pipeline.strategy': 'asink'}, 'pipeline.strategy = "asink" is not known')


def test_errors_in_a_file_name_line_and_column(world):
    world.write('bad.toml', '[run]\nnam = "x"\nsteps = "many"\n')
    result = world.call('bad.toml', code=2)
    expect('bad.toml:2:1: error: unknown key "run.nam"; did you mean "run.name"?' in result.err,
           result)
    expect('bad.toml:3:9: error: "run.steps" is "many"' in result.err, result)
    world.write('worse.toml', 'x = = 3\n')
    expect('worse.toml:1:5: error:' in world.call('check', 'worse.toml', code=2).err, 'no place')


def test_missing_configuration(world):
    expect('none.toml: cannot open' in world.call('none.toml', code=3).err, 'not named')


def test_mistyped_command_and_option(world):
    expect('did you mean "check"?' in world.call('chekc', code=2).err, 'no suggestion')
    expect('did you mean "--dry-run"?' in world.call(TINY, '--dryrun', code=2).err,
           'no suggestion')


def test_missing_dataset(world):
    refuse(world, {'data.train': 'none.jsonl'}, 'none.jsonl: cannot open', code=3)


def test_malformed_line_of_a_dataset(world):
    good = json.dumps({'problem': '(1+1)+1=', 'answer': '3'})
    world.write('half.jsonl', f'{good}\n{good}\n{{"problem": \n')
    refuse(world, {'data.train': 'half.jsonl'}, 'half.jsonl:3: not JSON', code=3)
    world.write('shape.jsonl', f'{good}\n{{"problem": 7, "answer": "3"}}\n')
    refuse(world, {'data.train': 'shape.jsonl'}, 'shape.jsonl:2:', code=3)
    world.write('empty.jsonl', '')
    refuse(world, {'data.train': 'empty.jsonl'}, 'empty.jsonl', code=3)


def hostile_headers():
    """What a header may say that would hurt who believes it: (name, file)."""
    def file(header, data=b'\0' * 64):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack('<Q', len(text)) + text + data

    def tensor(**more):
        return {'dtype': 'F32', 'shape': [4, 4], 'data_offsets': [0, 64], **more}

    yield 'a header as long as memory', struct.pack('<Q', 2**63) + b'{}'
    yield 'a header longer than the file', struct.pack('<Q', 10**6) + b'{}'
    yield 'no JSON', file(b'[[[[')
    yield 'deep JSON', file(b'[' * 100000)
    yield 'an end beyond the file', file({'lm_head.weight': tensor(data_offsets=[0, 2**40])})
    yield 'an end before the begin', file({'lm_head.weight': tensor(data_offsets=[64, 0])})
    yield 'a shape that overflows', file({'lm_head.weight': tensor(shape=[2**32, 2**32])})
    yield 'a shape of another size', file({'lm_head.weight': tensor(shape=[4, 5])})
    yield 'overlapping tensors', file({'a': tensor(), 'b': tensor()})
    yield 'an unknown type', file({'lm_head.weight': tensor(dtype='F13')})
    yield 'other tensors', file({'lm_head.weight': tensor()})
    yield 'nothing', b''


def test_hostile_safetensors(world):
    for number, (what, content) in enumerate(hostile_headers()):
        policy = f'hostile-{number}'
        shutil.copytree(world.path('warm'), world.path(policy))
        world.write(os.path.join(policy, 'model.safetensors'), content)
        result = world.train(code=3, sets={'model.path': policy, 'warmup.path': '""'})
        expect(f'{policy}/model.safetensors' in result.err, f'{what}: {result}')


def test_model_of_another_kind(world):
    refuse(world, {'model.path': 'nowhere', 'warmup.path': '""'}, 'nowhere', code=3)
    world.write('warm/config.json', '{"model_type": "gpt9", "architectures": ["G"]}')
    refuse(world, {'warmup.path': '""'}, 'warm/config.json', code=3)
    world.write('warm/config.json', 'not JSON')
    refuse(world, {'warmup.path': '""'}, 'warm/config.json', code=3)


def test_port_in_use(world):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        result = world.call('teacher', '--listen', address, code=3)
    expect(address in result.err and 'in use' in result.err, result)


def test_eight_gpus_check_but_do_not_run_here(world):
    world.call('check', BIG)
    expect('128 prompts x 8 samples' in world.call(BIG, '--dry-run').out, 'no arithmetic')
    batch = json.loads(world.call(BIG, '--dry-run', '--json').out)['batch']
    expect_equal(batch['rollouts_per_step'], 1024, 'rollouts a step')
    result = world.call(BIG, code=3)
    expect('cuda:0-3' in result.err and 'no CUDA here' in result.err, result)
    expect(not os.path.exists(world.path('runs')), 'a run directory was made')


def mount_small(world, size):
    directory = world.path('small')
    os.mkdir(directory)
    mounted = os.geteuid() == 0 and subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', directory],
        stderr=subprocess.DEVNULL, check=False).returncode == 0
    if not mounted:
        raise Skip('mounting a small file system needs root')
    return directory


def test_full_disk(world):
    # Two checkpoints of 2.7 MB fit, a third one does not; the logs still do.
    directory = mount_small(world, '7m')
    try:
        # Training goes on, but a run whose last steps are nowhere is no success.
        result = world.train('--max-steps', '20', code=1, sets={
            'run.dir': '"small"', 'checkpoint.keep': 5})
        expect('error: the last checkpoint, of step 20, could not be written' in result.err and
               'no space left on device' in result.err, result)
        with open(os.path.join(directory, 'run', 'status.json'), encoding='utf-8') as file:
            expect_accounted(json.load(file)['groups'])
        steps = os.listdir(os.path.join(directory, 'run', 'checkpoints'))
        for step in steps:
            expect(os.path.exists(os.path.join(directory, 'run', 'checkpoints', step, 'COMPLETE')),
                   f'{step} is half a checkpoint')
        expect_equal(sorted(steps), ['step_000002', 'step_000004'], 'checkpoints')
        # With room for one more, what is there is good to go on from.
        shutil.rmtree(os.path.join(directory, 'run', 'checkpoints', 'step_000002'))
        world.train('--resume', '--max-steps', '6', sets={
            'run.dir': '"small"', 'checkpoint.keep': 1, 'checkpoint.every': 1})
    finally:
        subprocess.run(['umount', '-l', directory], check=False)


if __name__ == '__main__':
    main()
