#!/usr/bin/env python3
"""gguf_fixtures.py OUT_DIRECTORY - the recorded inputs of tests/models/test_gguf*.c.

Why: that our readers agree with the gguf package and with transformers is proved with files which
those made, recorded so that the tests need no Python. Models and tokenizers are random, from fixed
seeds and strings of our own. Needs numpy, gguf, torch, transformers and tokenizers.
"""
import json
import math
import os
import shutil
import sys

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)
from transformers import (AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config,
                          Qwen3Config)

ROWS, COLUMNS = 2, 256


def halves(random, count):
    """Scales as they occur, and the odd ones: zero, subnormal, negative, the largest."""
    scales = (random.standard_normal(count) * 0.02).astype(np.float16)
    scales[: 4] = np.array([0.0, 6e-8, -3.5, 65504.0], dtype=np.float16)[: count]
    random.shuffle(scales)
    return scales.view(np.uint8).reshape(count, 2)


def random_blocks(random, kind, places):
    """Blocks of any bytes, with finite halves at the given places."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = ROWS * COLUMNS // elements
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for place in places:
        blocks[:, place:place + 2] = halves(random, count)
    return blocks.reshape(ROWS, -1)


def blocks_file(path):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, 'llama')
    writer.add_uint8('t.u8', 200)
    writer.add_int8('t.i8', -100)
    writer.add_uint16('t.u16', 60000)
    writer.add_int16('t.i16', -30000)
    writer.add_uint32('t.u32', 4000000000)
    writer.add_int32('t.i32', -2000000000)
    writer.add_uint64('t.u64', 1 << 40)
    writer.add_int64('t.i64', -(1 << 40))
    writer.add_float32('t.f32', 0.1)
    writer.add_float64('t.f64', 0.1)
    writer.add_bool('t.bool', True)
    writer.add_string('t.text', 'zwölf\nBoxkämpfer')
    writer.add_array('t.texts', ['a', '', 'Ġthe', '日本'])
    writer.add_array('t.ints', [3, -1, 2])
    writer.add_array('t.reals', [0.5, -0.25])
    source = (random.standard_normal((ROWS, COLUMNS)) * 3).astype(np.float32)
    source[0, :32] = 0
    source[1, 0] = 254.0  # as d = 2: many values half way between two numbers
    source[1, 1:32] = np.arange(31) - 15.0
    writer.add_tensor('source.F32', source)
    for kind in (Type.F16, Type.BF16, Type.Q8_0):
        writer.add_tensor(f'source.{kind.name}', gguf.quantize(source, kind), raw_dtype=kind)
    places = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
              Type.Q8_0: [0], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
    for kind, at in places.items():
        packed = random_blocks(random, kind, at)
        writer.add_tensor(f'packed.{kind.name}', packed, raw_dtype=kind)
        writer.add_tensor(f'plain.{kind.name}', gguf.dequantize(packed, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# --- whole models, each as a sharded directory and as a GGUF file ----------------------------

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r'\p{N}|', r'\p{N}{1,3}|')
TEXT = ['the first step is to add three and four', 'so the answer is 12, because 3 * 4 = 12',
        "we don't know what they'll say; it's 2026", 'eins zwei drei vier, für alle Fälle',
        'def step(x):\n    return x + 1\n', 'the second step, then the third step'] * 3
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
            "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), 'isolated'),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])


def make_tokenizer(pre, specials, plain):
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == 'llama-bpe'))
    tokenizer.normalizer = normalizers.NFC() if pre == 'qwen2' else None
    tokenizer.pre_tokenizer = {
        'qwen2': split(QWEN2), 'llama-bpe': split(LLAMA3),
        'smollm': pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                           pre_tokenizers.ByteLevel(add_prefix_space=False)])}[pre]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False, initial_alphabet=sorted(
        pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in specials])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in plain])
    return tokenizer


def permute(weights, heads):
    """Half-split rotary pairs to neighbours, as the converter of llama.cpp does."""
    return (weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
            .swapaxes(1, 2).reshape(weights.shape))


NAMES = {'input_layernorm': 'attn_norm', 'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k',
         'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
         'self_attn.q_norm': 'attn_q_norm', 'self_attn.k_norm': 'attn_k_norm',
         'post_attention_layernorm': 'ffn_norm', 'mlp.gate_proj': 'ffn_gate',
         'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down', 'model.embed_tokens': 'token_embd',
         'model.norm': 'output_norm', 'lm_head': 'output'}


def gguf_name(name):
    stem, end = name.rsplit('.', 1)
    if stem in NAMES:
        return f'{NAMES[stem]}.{end}'
    _, _, layer, part = stem.split('.', 3)
    return f'blk.{layer}.{NAMES[part]}.{end}'


def rope_factors(config, scaling):
    """As transformers' llama3 rotary embedding scales."""
    factors = []
    for i in range(0, config.head_dim, 2):
        frequency = scaling['rope_theta'] ** (-i / config.head_dim)
        wave = 2 * math.pi / frequency
        low, high = scaling['low_freq_factor'], scaling['high_freq_factor']
        original = scaling['original_max_position_embeddings']
        if wave < original / high:
            factors.append(1.0)
        elif wave > original / low:
            factors.append(scaling['factor'])
        else:
            keep = (original / wave - low) / (high - low)
            factors.append(1 / ((1 - keep) / scaling['factor'] + keep))
    return np.array(factors, dtype=np.float32)


def put_tokenizer(writer, tokenizer, pre, config, ids):
    raw = json.loads(tokenizer.to_str())
    added = {token['id']: token for token in raw['added_tokens']}
    words = {i: text for text, i in tokenizer.get_vocab().items()}
    kinds = gguf.TokenType
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([words.get(i, f'[PAD{i}]') for i in range(config.vocab_size)])
    writer.add_token_types([
        kinds.UNUSED if i not in words else kinds.NORMAL if i not in added else
        kinds.CONTROL if added[i]['special'] else kinds.USER_DEFINED
        for i in range(config.vocab_size)])
    writer.add_token_merges([' '.join(m) for m in raw['model']['merges']])
    for add, value in ids:
        getattr(writer, add)(value)


def model_gguf(path, kind, model, tokenizer, pre, ids):
    config = model.config
    rope = config.rope_parameters
    writer = gguf.GGUFWriter(path, kind)
    writer.add_type('model')
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(rope['rope_theta'])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if kind != 'qwen2':  # hidden / heads where it is not said
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    put_tokenizer(writer, tokenizer, pre, config, ids)
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        if name == 'lm_head.weight' and config.tie_word_embeddings:
            continue
        if kind == 'llama' and '.q_proj.' in name:
            values = permute(values, config.num_attention_heads)
        if kind == 'llama' and '.k_proj.' in name:
            values = permute(values, config.num_key_value_heads)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(values))
    if rope.get('rope_type') == 'llama3':
        writer.add_tensor('rope_freqs.weight', rope_factors(config, rope))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def model_files(out, kind, pre, config, dtype, names):
    """out/KIND/ by transformers, out/KIND.gguf by gguf."""
    torch.manual_seed(len(kind))
    directory = os.path.join(out, kind)
    shutil.rmtree(directory, ignore_errors=True)
    bos, eos, pad, plain = names
    tokenizer = make_tokenizer(pre, [text for text in (bos, *eos, pad) if text], plain)
    config.vocab_size = tokenizer.get_vocab_size() + 5  # rows that no token has
    at = tokenizer.token_to_id
    config.bos_token_id = at(bos) if bos else None
    config.eos_token_id = at(eos[0]) if len(eos) == 1 else [at(text) for text in eos]
    config.pad_token_id = at(pad)
    if bos and pre == 'llama-bpe':
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f'{bos} $A', pair=f'{bos} $A {bos} $B:1', special_tokens=[(bos, at(bos))])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            tensor.copy_(torch.randn_like(tensor) * 0.1 + ('norm' in name))
    model = model.to(dtype)
    model.save_pretrained(directory, max_shard_size='40KB')
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos[-1],
                                      pad_token=pad)
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(directory)
    ids = [('add_eos_token_id', at(eos[-1])), ('add_pad_token_id', at(pad)),
           ('add_add_bos_token', bool(bos)), ('add_chat_template', TEMPLATE)]
    if bos:
        ids.append(('add_bos_token_id', at(bos)))
    if len(eos) > 1:
        ids.append(('add_eot_token_id', at(eos[0])))
    model_gguf(f'{directory}.gguf', kind, model, tokenizer, pre, ids)


def all_models(out):
    shape = {'hidden_size': 32, 'intermediate_size': 64, 'num_hidden_layers': 2}
    llama3 = {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,
              'high_freq_factor': 4.0, 'original_max_position_embeddings': 64,
              'rope_theta': 500.0}
    model_files(out, 'llama', 'llama-bpe', LlamaConfig(
        **shape, num_attention_heads=2, num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-5,
        max_position_embeddings=512, rope_parameters=llama3, tie_word_embeddings=False),
        torch.float32, ('<|begin|>', ('<|end|>', '<|turn|>'), '<|pad|>', []))
    model_files(out, 'qwen2', 'qwen2', Qwen2Config(
        **shape, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        max_position_embeddings=256, tie_word_embeddings=True,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0}),
        torch.float16, (None, ('<|im_end|>',), '<|endoftext|>', ['<think>']))
    model_files(out, 'qwen3', 'qwen2', Qwen3Config(
        **shape, num_attention_heads=2, num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6,
        max_position_embeddings=256, tie_word_embeddings=True,
        rope_parameters={'rope_type': 'default', 'rope_theta': 1e6}),
        torch.bfloat16, (None, ('<|im_end|>',), '<|endoftext|>', ['<think>', '</think>']))


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    blocks_file(os.path.join(out, 'blocks.gguf'))
    all_models(out)


if __name__ == '__main__':
    main()
