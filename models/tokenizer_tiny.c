#include "models/tokenizer_tiny.h"

#include <string.h>

#include "models/tokenizer.h"

#define ADDED(id, content, special)                                                                \
        "    {\"id\": " #id ", \"content\": \"" content "\", \"single_word\": false, "             \
        "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": " #special "}"

/* The two tokens of several characters are added tokens that the vocabulary holds as well: a merge
 * would need their halves as tokens of their own, which text could then be spelled with. */
static const char JSON[] =
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        "  \"added_tokens\": [\n"
        ADDED(0, "<pad>", true) ",\n" ADDED(1, "<eos>", true) ",\n"
        ADDED(19, "\\n\\n", false) ",\n" ADDED(20, "\\\\boxed{", false) "\n  ],\n"
        "  \"normalizer\": null,\n"
        "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": false, \"use_regex\": false},\n"
        "  \"post_processor\": null,\n"
        "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": false, \"use_regex\": false},\n"
        "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
        "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
        "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
        "    \"vocab\": {\"<pad>\": 0, \"<eos>\": 1,\n"
        "      \"0\": 2, \"1\": 3, \"2\": 4, \"3\": 5, \"4\": 6, \"5\": 7, \"6\": 8, \"7\": 9, "
        "\"8\": 10, \"9\": 11,\n"
        "      \"+\": 12, \"-\": 13, \"*\": 14, \"=\": 15, \"(\": 16, \")\": 17, \"}\": 18,\n"
        "      \"\\n\\n\": 19, \"\\\\boxed{\": 20},\n"
        "    \"merges\": []\n  }\n}\n";

static const char CONFIG_JSON[] =
        "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
        "  \"pad_token\": \"<pad>\",\n  \"eos_token\": \"<eos>\",\n"
        "  \"clean_up_tokenization_spaces\": false,\n  \"model_max_length\": 512\n}\n";

const char *scope_tokenizer_tiny_json(void)
{
        return JSON;
}

const char *scope_tokenizer_tiny_config_json(void)
{
        return CONFIG_JSON;
}

enum scope_err scope_tokenizer_tiny_create(struct scope_tokenizer **ret_tokenizer)
{
        return scope_tokenizer_parse(JSON, sizeof JSON - 1, ret_tokenizer, NULL);
}

struct scope_model_config scope_model_config_tiny(void)
{
        return (struct scope_model_config){
                .model_type = "llama", .layers = 2, .hidden = 96, .heads = 3, .kv_heads = 3,
                .head_dim = 32, .ffn = 256, .vocab = SCOPE_TINY_VOCAB, .positions_max = 512,
                .rope_theta = 10000, .rms_eps = 1e-5f, .bos = UINT32_MAX, .pad = SCOPE_TINY_PAD,
                .eos = { SCOPE_TINY_EOS }, .eos_count = 1,
        };
}
