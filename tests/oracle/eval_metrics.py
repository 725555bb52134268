"""Writes tests/fixtures/eval_metrics.json: samples of our own, and what nltk, rouge-score, numpy
and plain combinatorics say of them.

Why: `scope-runtime eval --samples` computes pass@k, majority and diversity itself.
  python eval_metrics.py > ../fixtures/eval_metrics.json
"""
import json
import random
import re
from collections import Counter
from math import comb

import numpy
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import _score_lcs

random.seed(11)
STEPS = ['We add {a} and {b}.', 'First, {a} times {b} is {c}.', 'Let x = {a}; then 2x = {b}.',
         'It follows that {c} > {a}.', 'Dividing by {b} gives \\frac{{{a}}}{{{b}}}.',
         'So we get {c}.']
GOLD = ['12', '\\frac{3}{4}', 'x+1', '(1,2)', '7', '-5', '\\sqrt{2}']
SAME = {'12': ['12', '12.0', '\\frac{24}{2}'], '\\frac{3}{4}': ['0.75', '\\dfrac34', '3/4'],
        'x+1': ['1+x', 'x+1'], '(1,2)': ['(1, 2)', '\\left(1,2\\right)'], '7': ['7', '7.'],
        '-5': ['-5', '-\\,5'], '\\sqrt{2}': ['\\sqrt2', '\\frac{2}{\\sqrt{2}}']}
WRONG = ['3', '4', '5', '6']
SAMPLES = 12


def words(text):
    return re.findall(r'[a-z0-9]+|[^a-z0-9\s]', text.lower())


def sample(gold, share):
    lines = [random.choice(STEPS).format(**{x: random.randint(1, 9) for x in 'abc'})
             for _ in range(random.randint(1, 5))]
    right = random.random() < share
    answer = random.choice(SAME[gold]) if right else random.choice(WRONG)
    if random.random() < 0.1:
        return '\n\n'.join(lines), False, None
    return '\n\n'.join(lines) + f'\n\nThe answer is \\boxed{{{answer}}}.', right, answer


def distinct(texts, n):
    grams = [tuple(text[i:i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def diversity(texts):
    smooth = SmoothingFunction().method1
    bleu = numpy.mean([sentence_bleu(texts[:i] + texts[i + 1:], text, smoothing_function=smooth)
                       for i, text in enumerate(texts)])
    rouge = numpy.mean([_score_lcs(a, b).fmeasure for i, a in enumerate(texts)
                        for b in texts[i + 1:]])
    one, four = distinct(texts, 1), distinct(texts, 4)
    return {'distinct-1': one, 'distinct-4': four, 'self_bleu': bleu, 'self_rouge': rouge,
            'diversity': (one + four + 1 - bleu + 1 - rouge) / 4}


def majority(rows):
    """1/n where a right answer is among n that most samples give."""
    count = Counter('right' if right else answer for _, right, answer in rows if answer)
    if not count['right']:
        return 0
    most = max(count.values())
    return (count['right'] == most) / sum(c == most for c in count.values())


lines, problems = [], []
for number, gold in enumerate(GOLD):
    rows = [sample(gold, number / len(GOLD)) for _ in range(SAMPLES)]
    problems.append(rows)
    lines += [{'problem': number, 'gold': gold, 'text': text} for text, _, _ in rows]
random.shuffle(lines)  # their order must not matter
reference = {}
for k in (1, 2, 4, 8, 10):
    reference[f'eval/pass@{k}'] = numpy.mean(
        [1 - comb(SAMPLES - c, k) / comb(SAMPLES, k) for c in (sum(r for _, r, _ in p)
                                                              for p in problems)])
reference[f'eval/avg@{SAMPLES}'] = numpy.mean([r for p in problems for _, r, _ in p])
reference[f'eval/maj@{SAMPLES}'] = numpy.mean([majority(p) for p in problems])
reference['eval/no_box_frac'] = numpy.mean([a is None for p in problems for _, _, a in p])
reference['eval/all_wrong_frac'] = numpy.mean([not any(r for _, r, _ in p) for p in problems])
figures = [diversity([words(text) for text, _, _ in p]) for p in problems]
reference['eval/distinct-4'] = numpy.mean([f['distinct-4'] for f in figures])
for name in figures[0]:
    for q in (10, 50, 90):
        reference[f'eval/{name}_p{q}'] = numpy.percentile([f[name] for f in figures], q)
print(json.dumps({'lines': lines, 'right': [sum(r for _, r, _ in p) for p in problems],
                  'reference': {name: float(value) for name, value in reference.items()}},
                 indent=0))
