#!/usr/bin/env python3
"""oracle_parquet.py DIRECTORY - the same rows as JSON Lines and as Parquet by pyarrow.

Our own rows, in each compression, page version, encoding and shape that test_parquet.c reads or
refuses. Needs pyarrow.
"""
import json
import os
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = ['What is {}+1?', 'Näive {} 日本?', 'a "quoted" {}\n\nline', 'x' * 300 + ' {}']


def verl(i):
    messages = [{'role': 'user', 'content': TEXTS[i % 4].format(i)}]
    if i % 3 == 0:
        messages.insert(0, {'role': 'system', 'content': 'Be brief.'})
    return {'data_source': 'own', 'prompt': messages, 'ability': 'math',
            'reward_model': {'style': 'rule', 'ground_truth': str(i + 1)},
            'extra_info': {'split': 'train', 'index': i,
                           'answer': f'{i}+1={i + 1}\n#### {i + 1}' if i % 2 else None}}


def flat(i):
    return {'problem': TEXTS[i % 4].format(i), 'answer': i * 7 - 20, 'unused': i % 2 == 0,
            'solution': None if i % 5 == 0 else f'So \\boxed{{{i}}}.'}


def real(i):
    return {'question': f'q{i}', 'answer': i / 4, 'level': 'hard'}


def stepwise(i):
    return {'prompt': f'p{i}', 'completions': [f'step {k}' for k in range(i % 4)] +
            [f'\\boxed{{{i}}}'], 'labels': [True] * (i % 4 + 1)}


def write(directory, name, rows, schema=None, **how):
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, os.path.join(directory, name + '.parquet'), **how)


def main(directory):
    os.makedirs(directory, exist_ok=True)
    shapes = {'verl': (verl, 60), 'flat': (flat, 40), 'real': (real, 30),
              'stepwise': (stepwise, 25)}
    for shape, (row_of, count) in shapes.items():
        rows = [row_of(i) for i in range(count)]
        with open(os.path.join(directory, shape + '.jsonl'), 'w', encoding='utf-8') as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + '\n' for row in rows)
        small = {'row_group_size': 25, 'data_page_size': 300}
        write(directory, shape + '_snappy', rows)
        write(directory, shape + '_none', rows, compression='none', use_dictionary=False, **small)
        write(directory, shape + '_gzip2', rows, compression='gzip', data_page_version='2.0',
              **small)
        write(directory, shape + '_zstd', rows, compression='zstd', **small)
    few = [flat(i) for i in range(8)]
    write(directory, 'bad_brotli', few, compression='brotli')
    write(directory, 'bad_delta', few, use_dictionary=False, column_encoding={
        'problem': 'DELTA_BYTE_ARRAY', 'answer': 'PLAIN', 'solution': 'PLAIN', 'unused': 'PLAIN'})
    write(directory, 'bad_decimal', [{'problem': 'p', 'answer': Decimal('1.50')}])
    write(directory, 'bad_columns', [{'a': 1, 'b': 'x'}])
    write(directory, 'bad_rows', [], schema=pa.schema([('problem', pa.string()),
                                                       ('answer', pa.string())]))
    write(directory, 'bad_answer', [{'problem': 'p', 'answer': 'x'},
                                    {'problem': 'p', 'answer': ''}])


if __name__ == '__main__':
    main(sys.argv[1])
