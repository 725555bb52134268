"""tokenizer_strings.py - texts to compare tokenizers on: what people write, and what nobody does.

everything(shared, count, rng) gives at least `count` different strings. Those of ../shared and of
Python's own sources are real; the rest is made from `rng`, so that a seed gives the same ones.
"""
import glob
import json
import os
import sysconfig
import unicodedata

SAMPLES = [  # scripts, in words that people use
    'The quick brown fox jumps over the lazy dog.', 'Größe, Straße, über, naïve façade, œuvre',
    'Съешь же ещё этих мягких французских булок', 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία',
    'שלום עולם, מה שלומך היום?', 'مرحبا بالعالم، كيف حالك اليوم؟', 'नमस्ते दुनिया, आप कैसे हैं?',
    'হ্যালো বিশ্ব, আপনি কেমন আছেন?', 'வணக்கம் உலகம், எப்படி இருக்கிறீர்கள்?',
    'హలో ప్రపంచం, మీరు ఎలా ఉన్నారు?', 'ഹലോ ലോകം, സുഖമാണോ?', 'ಹಲೋ ಪ್ರಪಂಚ, ಹೇಗಿದ್ದೀರಿ?',
    'สวัสดีชาวโลก สบายดีไหม', 'ສະບາຍດີຊາວໂລກ', 'မင်္ဂလာပါကမ္ဘာလောက', 'សួស្តីពិភពលោក',
    'გამარჯობა მსოფლიო', 'Բարեւ աշխարհ', 'ሰላም ልዑል', '你好，世界！今天天气怎么样？',
    'こんにちは世界、元気ですか？カタカナ', '안녕하세요 세계, 잘 지내세요?',
    'Xin chào thế giới, bạn khỏe không?',
    'བཀྲ་ཤིས་བདེ་ལེགས།', 'සුභ දවසක්', 'ᐊᐃᓐᖓᐃ ᓄᓇᕐᔪᐊᖅ', 'ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ', 'ⵣ ⴰⵎⴰⵣⵉⵖ', '𐤀𐤁𐤂 𒀀𒀁 𓀀𓀁',
    '👍🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣', '∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β)', '½ ² ³ Ⅷ ① ٣ ५ 三',
    'e\u0301 A\u030a n\u0303 \u1100\u1161\u11a8 \u212b \u2126 \u1e9b\u0323 q\u0307\u0323',
    "it's IT'S we'll WE'LL they've I'd I'M don't 'ſ 'S '\u212a",
    'a\u00a0b\u2003c\u3000d\u180ee\u200bf\ufeffg',
]
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<think>', '</think>', '<tool_call>',
           '<|im_', '<|', '|>', '<thin', '<|im_start|><|im_start|>', '<|endoftext', '<tool_call',
           '<repo_name>', '<filename>', ' <|im_end|> ', '\n<think>\n']
CODE = ['def f(x):\n\treturn x**2\n', 'for (int i = 0; i < n; ++i) {\r\n    a[i] += b[i];\r\n}\r\n',
        '<div class="a">\n  <p>x &amp; y</p>\n</div>', 'SELECT * FROM t WHERE a<>1;--x',
        '{"a":[1,2.5e-3,null]}',
        'https://a.example/x?y=1&z=%20#q', '\\frac{1}{2}\\boxed{42}',
        '#include <stdio.h>\n\n\n\tint main(void)']
SPACES = [' ', '  ', '   ', '\n', '\n\n', '\r\n', '\t', ' \n', '\n ', ' \t \n  ',
          '\u00a0', '\u3000', '\x0b\x0c',
          '\x1c', '\x85', '\u2028']


def rows(path, keys):
    with open(path, encoding='utf-8') as file:
        for line in file:
            row = json.loads(line)
            yield from (row[key] for key in keys if isinstance(row.get(key), str))


def shared_texts(shared):
    for path in sorted(glob.glob(os.path.join(shared, 'data/gsm8k/*.jsonl'))):
        yield from rows(path, ('question', 'answer'))
    for path in sorted(glob.glob(os.path.join(shared, 'data/eval/*.jsonl'))):
        yield from rows(path, ('problem', 'solution', 'answer', 'question'))


def code_texts(rng, count):
    paths = sorted(glob.glob(os.path.join(sysconfig.get_paths()['stdlib'], '*.py')))
    paths += sorted(glob.glob(os.path.join(os.path.dirname(__file__), '../../*/*.[ch]')))
    lines = []
    for path in paths:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines += file.read().splitlines(keepends=True)
    for _ in range(count):
        at = rng.randrange(len(lines))
        yield ''.join(lines[at:at + rng.randint(1, 12)])


def points(rng, low, high, count):
    made = []
    while len(made) < count:
        point = rng.randrange(low, high)
        if not 0xd800 <= point < 0xe000 and unicodedata.category(chr(point)) != 'Cn':
            made.append(chr(point))
    return ''.join(made)


def mixed(rng):
    words = [rng.choice(rng.choice((SAMPLES, SAMPLES, CODE, SPECIAL)))
             if rng.random() < .1 else rng.choice(rng.choice(SAMPLES).split(' '))
             if rng.random() < .6 else rng.choice(rng.choice((CODE, SPECIAL, SPACES, SPACES)))
             for _ in range(rng.randint(1, 14))]
    return rng.choice(('', '', ' ')).join(words)


def made(rng):
    kind = rng.randrange(8)
    if kind < 3:
        return mixed(rng)
    if kind == 3:  # any bytes, read as everyone reads bad UTF-8
        return rng.randbytes(rng.randint(1, 60)).decode('utf-8', errors='replace')
    if kind == 4:
        return ''.join(points(rng, low, high, rng.randint(1, 6)) for low, high in rng.choices(
            ((0x20, 0x250), (0x250, 0x3000), (0x3000, 0xd800), (0xe000, 0x10000),
             (0x10000, 0x20000), (0x20000, 0x110000)), k=rng.randint(1, 5)))
    if kind == 5:  # letters under marks
        return ''.join(points(rng, 0x41, 0x250, 1) + points(rng, 0x300, 0x370, rng.randint(0, 4))
                       for _ in range(rng.randint(1, 10)))
    if kind == 6:
        return ''.join(rng.choice(SPACES + ['a', '1', '.', "'s"])
                       for _ in range(rng.randint(1, 20)))
    return ''.join(rng.choice('abAB01 .,\'\n<|>') for _ in range(rng.randint(1, 40)))


def pathological(rng):
    for unit in ('a', ' ', '\n', '0', '.', 'ab', 'é', '日', '👍', 'e\u0301', '\u0301', ' a', '\r\n',
                 "'s", '<|', '\u3000', 'aA', '\t ', '=', '-', '_'):
        for count in (1, 2, 3, 7, 16, 39, 40, 41, 42, 100, 1000, 20000):
            yield unit * count
    for count in (5000, 100000):
        yield ''.join(rng.choice('ab') for _ in range(count))
        yield ''.join(rng.choice(' \n') for _ in range(count))


def everything(shared, count, rng):
    texts = dict.fromkeys([''] + SAMPLES + SPECIAL + CODE + SPACES)
    texts.update(dict.fromkeys(pathological(rng)))
    if shared:
        texts.update(dict.fromkeys(shared_texts(shared)))
    texts.update(dict.fromkeys(code_texts(rng, max(count // 5, 100))))
    while len(texts) < count:
        texts[made(rng)] = None
    return list(texts)
