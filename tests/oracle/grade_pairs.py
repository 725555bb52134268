"""Our grader beside math-verify on thousands of pairs made from real gold answers.

Why: the 74 pairs of the specification are few. Here every gold answer of MATH-500, AIME24, AMC23
and a part of GSM8K is written anew in ways that keep or break its value, so that the truth of each
pair is known from how it was made; both graders judge it. Each disagreement must stand in
grade_judged.tsv, which names a class of pairs (mutation and verdicts) and gives the reason; a new
one, or one where we alone are wrong and nobody said why, fails.

  python grade_pairs.py compare PROGRAM SHARED   the table of disagreements; exit 1 if one is new
  python grade_pairs.py cross PROGRAM SHARED     every gold answer against every other one
  python grade_pairs.py record > ../fixtures/grade_pairs.json     our own strings
"""
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

OWN = [
    r'42', r'-7', r'1{,}250', r'\frac{3}{8}', r'-\frac{5}{6}', r'2\frac{1}{4}', r'0.375',
    r'3\sqrt{5}', r'\frac{\sqrt{7}}{3}', r'\frac{1+\sqrt{13}}{2}', r'4\pi', r'\frac{5\pi}{6}',
    r'12-3\sqrt{2}', r'(3,-4)', r'\left(2,\frac{\pi}{3}\right)', r'(1,\frac{1}{2},-6)',
    r'[-3,8)', r'(-\infty,4]', r'(-\infty,-1)\cup(2,\infty)', r'\{2,5,11\}', r'3,-9', r'1,2,6',
    r'x^2-5x+6', r'(2x-1)(x+4)', r'3x^3-x+7', r'\frac{x+1}{x-2}', r'5+2i', r'-1-4i', r'2^{12}',
    r'y=3x-8', r'x=-11', r'x>5', r'-2\le x\le 9', r'\begin{pmatrix}2&-1\\0&7\end{pmatrix}',
    r'\begin{pmatrix}4\\-3\end{pmatrix}', r'15\%', r'\$24.50', r'75^\circ', r'18\text{ cm}^2',
    r'132_5', r'\text{(C)}', r'\text{Friday}', r'\sqrt[3]{4}', r'10^{-4}', r'6!',
    r'\binom{7}{3}', r'\log_3 7', r'e^{2}', r'a+bc', r'|k-2|',
]


def number(gold):
    """The Fraction that a plain gold answer is; None for any other."""
    text = gold.replace('\\!', '').replace('{,}', ',')
    if re.fullmatch(r'-?\d{1,3}(,\d{3})+', text):
        text = text.replace(',', '')
    if re.fullmatch(r'-?\d+(\.\d+)?', text):
        return Fraction(text)
    found = re.fullmatch(r'(-?)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}', text)
    if found and int(found[3]) != 0:
        value = Fraction(int(found[2]), int(found[3]))
        return -value if found[1] else value
    return None


def split(gold):
    """(open, elements, close) of a tuple, interval or set; None for anything else."""
    text = gold.replace('\\left', '').replace('\\right', '')
    for opening, closing in (('\\{', '\\}'), ('(', ')'), ('[', ']'), ('(', ']'), ('[', ')')):
        if not (text.startswith(opening) and text.endswith(closing)):
            continue
        inside, depth, parts = text[len(opening):-len(closing)], 0, ['']
        for c in inside:
            depth += c in '([{'
            depth -= c in ')]}'
            if depth < 0:
                return None
            if c == ',' and depth == 0:
                parts.append('')
            else:
                parts[-1] += c
        return (opening, [p.strip() for p in parts], closing) if len(parts) > 1 else None
    return None


def of_numbers(value):
    """Forms of a rational number: (mutation, text, equal)."""
    p, q = value.numerator, value.denominator
    sign, p = ('-' if p < 0 else ''), abs(p)
    yield 'frac', f'{sign}\\frac{{{p}}}{{{q}}}' if q > 1 else f'{sign}{p}', True
    yield 'unreduced', f'{sign}\\frac{{{3 * p}}}{{{3 * q}}}', True
    yield 'slash', f'{sign}{p}/{q}', True
    yield 'sum', f'{sign}{p}+\\frac{{0}}{{5}}' if q == 1 else f'{sign}\\frac{{{p}}}{{{q}}}+0', True
    yield 'split', (f'\\frac{{{sign}{p}}}{{{2 * q}}}+\\frac{{{sign}{p}}}{{{2 * q}}}'), True
    yield 'power', f'{sign}{p}\\cdot {q}^{{-1}}', True
    yield 'root', f'{sign}\\sqrt{{\\frac{{{p * p}}}{{{q * q}}}}}', True
    yield 'box', f'so it is $\\boxed{{{sign}\\dfrac{{{p}}}{{{q}}}}}$.', True
    yield 'named', f'x = {sign}\\frac{{{p}}}{{{q}}}', True
    yield 'unit', f'{sign}\\frac{{{p}}}{{{q}}}\\text{{ cm}}', True
    if q == 1:
        yield 'point', f'{sign}{p}.0', True
        yield 'plus', f'{sign}{p}', True
        if p >= 1000:
            yield 'comma', f'{sign}{p:,}', True
        yield 'next', f'{sign}{p + 1}', False
        yield 'tenfold', f'{sign}{10 * p}' if p else '1', False
    else:
        if p > q:
            yield 'mixed', f'{sign}{p // q}\\frac{{{p % q}}}{{{q}}}', True
        yield 'rounded', f'{float(value):.2f}', Fraction(f'{float(value):.2f}') == value
        yield 'six', f'{float(value):.7f}', True
        yield 'turned', f'{sign}\\frac{{{q}}}{{{p}}}', False
    if 10 ** 6 % q == 0:
        yield 'decimal', f'{sign}{p * (10 ** 6 // q) / 10 ** 6:.6f}'.rstrip('0').rstrip('.'), True
    if p:
        yield 'negated', f'{"" if sign else "-"}\\frac{{{p}}}{{{q}}}', False
    yield 'near', f'{sign}\\frac{{{p * 1000 + 1}}}{{{q * 1000}}}', False


def of_writing(gold, value):
    """What people and models put round a number. `None`: the rules of the grader decide, see
    grade_judged.tsv where the two differ."""
    p = value.numerator if value.denominator == 1 else None
    yield 'dollars', f'\\${gold}', True
    yield 'dollar words', f'{gold} dollars', True
    yield 'per cent', f'{gold}\\%', None
    yield 'apples', f'{gold}\\text{{ apples}}', True
    yield 'kilograms', f'{gold}\\,\\mathrm{{kg}}', True
    yield 'square unit', f'{gold}\\text{{ m}}^2', True
    yield 'degree sign', f'{gold}^\\circ', True
    yield 'approximate', f'\\approx {gold}', None
    yield 'one set', f'\\{{{gold}\\}}', True
    yield 'parentheses', f'({gold})', True
    yield 'in text', f'\\text{{{gold}}}', True if p is not None else None
    yield 'in braces', f'{{{gold}}}', True
    yield 'in dollars', f'$${gold}$$', True
    yield 'full stop', f'{gold}.', True
    yield 'times pi', f'{gold}\\pi', value == 0
    yield 'times x', f'{gold}x', False
    yield 'times i', f'{gold}i', value == 0
    yield 'plus minus', f'\\pm {gold}', value == 0
    yield 'listed twice', f'{gold}, {gold}', False
    yield 'and another', f'{gold} \\text{{ and }} 9999', False
    yield 'chain', f'x = {gold} + 0 = {gold}', True
    yield 'false chain', f'{gold} = {gold} + 1', False
    yield 'equation', f'1 + 1 = {gold}', value == 2
    yield 'greater', f'x > {gold}', False
    yield 'function', f'f(3) = {gold}', True
    yield 'word name', f'\\text{{Area}} = {gold}', True
    yield 'based', f'{gold}_{{7}}', False
    if p is not None and p > 0:
        digits = str(p).rstrip('0')
        zeros = len(str(p)) - len(digits)
        yield 'scientific', f'{digits}\\times 10^{{{zeros}}}', True
        yield 'log', f'\\log_{{10}} 10^{{{p}}}' if p < 50 else f'\\sqrt{{{p}^2}}', True
        yield 'zeros', f'{p}.000', True
        yield 'cents', f'{p}.00', True
        yield 'off a millionth', f'{p}.000001', True
        yield 'off a thousandth', f'{p}.001', False


def of_kinds(gold, parts):
    opening, elements, closing = parts
    join = ', '.join(elements)
    if opening == '(' and closing == ')' and 'infty' not in gold:
        yield 'angle brackets', f'\\langle {join} \\rangle', None
        yield 'column', '\\begin{pmatrix}' + ' \\\\ '.join(elements) + '\\end{pmatrix}', None
        yield 'as set', f'\\{{{join}\\}}', False
        yield 'bare', join, None
        if len(elements) == 2:
            yield 'coordinates', f'x = {elements[0]}, y = {elements[1]}', None
            yield 'named pair', f'(x, y) = ({join})', True
    if 'infty' in gold or opening == '[' or closing == ']':
        yield 'member', f'x \\in {gold}', True
        if len(elements) == 2 and 'infty' not in gold:
            low = '<' if opening == '(' else '\\le'
            high = '<' if closing == ')' else '\\le'
            yield 'inequality', f'{elements[0]} {low} x {high} {elements[1]}', None
    if opening == '\\{':
        yield 'as list', join, True
        yield 'as tuple', f'({join})', False
        yield 'twice', f'\\{{{join}, {elements[0]}\\}}', None


def of_lists(parts):
    opening, elements, closing = parts
    join = ', '.join(elements)
    same = len(set(elements)) == 1
    yield 'brackets', f'\\left{opening}{join}\\right{closing}', True
    reverse = ', '.join(reversed(elements))
    yield 'reversed', opening + reverse + closing, opening == '\\{' or (True if same else False)
    yield 'dropped', opening + ', '.join(elements[:-1]) + closing, False
    yield 'spaced', f'{opening} {" , ".join(elements)} {closing}', True
    if opening != '\\{' and len(elements) == 2:
        yield 'other bracket', ('[' if opening == '(' else '(') + join + closing, False
    values = [number(e) for e in elements]
    for i, value in enumerate(values):
        if value is None:
            continue
        p, q = value.numerator, value.denominator
        for name, text, equal in ((('part unreduced', f'\\frac{{{2 * p}}}{{{2 * q}}}', True),
                                   ('part next', f'\\frac{{{p + q}}}{{{q}}}', False))):
            changed = elements[:i] + [text] + elements[i + 1:]
            yield name, opening + ', '.join(changed) + closing, equal
        break


def of_expressions(gold):
    """Forms by sympy, which printed what math-verify read; only where reading goes both ways."""
    import sympy
    from math_verify import parse
    from latex2sympy2_extended import latex2sympy
    if any(word in gold for word in (',', 'text', 'mbox', 'begin', 'infty', '=', '<', '>', '\\le',
                                     '\\ge', '\\%', '_', '\\$', 'circ', '\\pm')):
        return
    try:
        value = latex2sympy(gold)
        if not isinstance(value, sympy.Expr):
            return
        forms = {'expanded': sympy.expand(value), 'factored': sympy.factor(value),
                 'together': sympy.together(value), 'simplified': sympy.nsimplify(value)}
        text = {name: sympy.latex(form) for name, form in forms.items()}
        text['shifted'] = f'{gold} + 3 - 3'
        text['halves'] = f'2 \\cdot \\frac{{{gold}}}{{2}}'
        text['swapped'] = f'0 + {gold}'
    except Exception:  # sympy raises whatever it likes
        return
    for name, form in text.items():
        yield name, form, True
    yield 'one more', f'{gold} + 1', False
    yield 'doubled', f'2({gold})' if value != 0 else '1', False
    yield 'minus', f'-({gold})' if value != 0 else '1', False
    symbols = sorted(map(str, value.free_symbols))
    if symbols and len(symbols[0]) == 1:
        renamed = re.sub(rf'(?<![a-zA-Z\\]){symbols[0]}(?![a-zA-Z])', 'w', gold)
        if renamed != gold:
            yield 'renamed', renamed, False


def of_notation(gold):
    yield 'itself', gold, True
    yield 'box', f'Thus the answer is \\boxed{{{gold}}}', True
    if '\\frac' in gold:
        yield 'dfrac', gold.replace('\\frac', '\\dfrac'), True
        yield 'tfrac', gold.replace('\\frac', '\\tfrac'), True
    if '(' in gold and '\\left' not in gold and '\\begin' not in gold:
        yield 'left', gold.replace('(', '\\left(').replace(')', '\\right)') \
            if gold.count('(') == gold.count(')') else gold, True
    if 'pmatrix' in gold:
        yield 'bmatrix', gold.replace('pmatrix', 'bmatrix'), True
        rows = gold.split('\\\\')
        if len(rows) > 1:
            yield 'transposed', gold.replace('\\\\', '&'), False
    if gold.endswith('^\\circ'):
        yield 'degrees', gold[:-6] + ' degrees', True
        yield 'no degrees', gold[:-6], True
    if '\\cdot' in gold:
        yield 'times', gold.replace('\\cdot', '\\times'), True
    if '\\text{' in gold:
        yield 'plain text', re.sub(r'\\text\{([^}]*)\}', r'\1', gold), None
    if '=' in gold and gold.count('=') == 1:
        left, right = gold.split('=')
        yield 'turned equation', f'{right}={left}', True
        yield 'right side', right, len(left.strip()) == 1
    if '\\cup' in gold:
        yield 'union', '\\cup'.join(reversed(gold.split('\\cup'))), True
    bare = re.fullmatch(r'[^()\[\]{}]+(,[^()\[\]{}]+)+', gold)
    if bare and number(gold) is None and '\\!' not in gold:
        parts = [p.strip() for p in gold.split(',')]
        yield 'list reversed', ', '.join(reversed(parts)), True
        yield 'list shorter', ', '.join(parts[:-1]), False
        yield 'list as set', '\\{' + ', '.join(parts) + '\\}', True


def mutations(gold):
    for name, text, equal in of_notation(gold):
        yield name, text, equal
    value = number(gold)
    if value is not None:
        yield from of_numbers(value)
        yield from of_writing(gold, value)
    parts = split(gold)
    if parts is not None:
        yield from of_lists(parts)
        yield from of_kinds(gold, parts)
    if value is None and parts is None:
        yield from of_expressions(gold)


def golds(shared):
    for name in ('math500', 'aime24', 'amc23'):
        with open(os.path.join(shared, 'data', 'eval', name + '.jsonl')) as file:
            for i, line in enumerate(file):
                answer = json.loads(line)['answer']
                yield f'{name}:{i}', f'{answer:g}' if isinstance(answer, float) else str(answer)
    with open(os.path.join(shared, 'data', 'gsm8k', 'test.jsonl')) as file:
        for i, line in enumerate(file):
            if i < 60:
                yield f'gsm8k:{i}', json.loads(line)['answer'].split('####')[-1].strip()


def pairs_of(source, few):
    """few: at most so many mutations a gold answer, drawn with a fixed seed, and always itself."""
    for name, gold in source:
        made = list({text: (kind, text, equal) for kind, text, equal in mutations(gold)}.values())
        draw = random.Random(name)
        chosen = made[:2] + draw.sample(made[2:], min(few, len(made[2:])))
        for kind, text, equal in chosen:
            yield {'of': name, 'kind': kind, 'gold': gold, 'prediction': text, 'truth': equal}


def theirs(pair):
    from math_verify import parse, verify
    gold = parse(f'${pair["gold"]}$')
    text = pair['prediction']
    answer = parse(text if '\\boxed' in text else f'${text}$')
    return bool(verify(gold, answer))


def ours(program, pairs):
    lines = ''.join(json.dumps(pair) + '\n' for pair in pairs)
    out = subprocess.run([program, 'grade'], input=lines, capture_output=True, text=True,
                         check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def judged():
    """(kind, ours, theirs) -> (who is right, reason); kind may name one gold: 'kind@math500:7'."""
    table = {}
    with open(os.path.join(os.path.dirname(__file__), 'grade_judged.tsv')) as file:
        for line in file:
            if line.strip() and not line.startswith('#'):
                kind, mine, other, right, reason = line.rstrip('\n').split('\t')
                table[kind, mine == '1', other == '1'] = (right, reason)
    return table


def compare(program, shared):
    pairs = list(pairs_of(golds(shared), 5))
    verdicts = ours(program, pairs)
    table, rows, unknown, score = judged(), [], 0, Counter()
    for pair, verdict in zip(pairs, verdicts):
        mine, other = verdict['equal'], theirs(pair)
        if pair['truth'] is not None:
            score['ours right' if mine == pair['truth'] else 'ours wrong'] += 1
            score['theirs right' if other == pair['truth'] else 'theirs wrong'] += 1
        if mine == other and pair['truth'] in (None, mine):
            continue
        keys = [(pair['kind'] + '@' + pair['of'], mine, other), (pair['kind'], mine, other)]
        right, reason = next((table[key] for key in keys if key in table), ('?', 'NOT JUDGED'))
        unknown += right == '?'
        rows.append((pair['kind'], pair['of'], int(mine), int(other), pair['truth'], right, reason,
                     pair['gold'], pair['prediction']))
    for row in sorted(rows, key=lambda row: (row[5] != '?', row[0], row[1])):
        print(*row, sep='\t')
    print(f'# {len(pairs)} pairs, {len(rows)} rows above, {unknown} not judged; {dict(score)}')
    return 1 if unknown else 0


def cross(program, shared):
    """All pairs of different gold answers. Nearly all are wrong: this looks for false accepts."""
    from math_verify import parse, verify
    answers = list(dict.fromkeys(gold for of, gold in golds(shared) if not of.startswith('gsm8k')))
    read = {gold: parse(f'${gold}$') for gold in answers}
    pairs = [{'gold': a, 'prediction': b} for a in answers for b in answers if a != b]
    accepted = Counter()
    for pair, verdict in zip(pairs, ours(program, pairs)):
        other = bool(verify(read[pair['gold']], read[pair['prediction']]))
        accepted[verdict['equal'], other] += 1
        if verdict['equal'] != other:
            print(int(verdict['equal']), int(other), pair['gold'], pair['prediction'], sep='\t')
    print(f'# {len(pairs)} pairs; (ours, theirs): {dict(accepted)}')
    return 0


def record():
    pairs = list(pairs_of([(f'own:{i}', gold) for i, gold in enumerate(OWN)], 99))
    rows = [{**{key: pair[key] for key in ('kind', 'gold', 'prediction', 'truth')},
             'math_verify': theirs(pair)} for pair in pairs]
    print('[' + ',\n'.join(map(json.dumps, rows)) + ']')
    return 0


if __name__ == '__main__':
    modes = {'compare': compare, 'cross': cross, 'record': record}
    sys.exit(modes[sys.argv[1]](*sys.argv[2:]))
