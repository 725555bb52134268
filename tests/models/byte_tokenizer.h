/* byte_tokenizer.h - a tokenizer with one token a byte, then <|im_start|> 256, <|im_end|> 257 and
 * <extra_0> 258. */
#pragma once

#include "base/text.h"
#include "models/tokenizer.h"
#include "tests/test.h"

static inline struct scope_tokenizer *byte_tokenizer(void)
{
        static const char *const added[] = { "<|im_start|>", "<|im_end|>", "<extra_0>" };
        struct scope_text json = { 0 };
        struct scope_diag diag = { "" };
        struct scope_tokenizer *tokenizer = NULL;
        uint32_t extra = 0;
        scope_text_string(&json, "{\"version\":\"1.0\",\"added_tokens\":[");
        for (int i = 0; i < 3; i++)
                scope_text_format(&json,
                        "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                        "\"rstrip\":false,\"normalized\":false,\"special\":true}",
                        i > 0 ? "," : "", 256 + i, added[i]);
        scope_text_string(&json, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                "\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false},"
                "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\","
                "\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false},"
                "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
                "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
        for (uint32_t byte = 0; byte < 256; byte++) {
                bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
                        byte >= 174;
                scope_text_format(&json, "%s\"\\u%04x\":%u", byte > 0 ? "," : "",
                        plain ? byte : 256 + extra, byte);
                extra += !plain;
        }
        scope_text_string(&json, "},\"merges\":[]}}");
        if (scope_tokenizer_parse(json.bytes, json.count, &tokenizer, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        scope_text_fini(&json);
        return tokenizer;
}
