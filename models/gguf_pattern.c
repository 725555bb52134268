#include "models/gguf_pattern.h"

#include <stddef.h>

/* In JSON: backslashes twice; in C: twice again. */
#define QWEN_JSON                                                                                  \
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "          \
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LLAMA3_JSON                                                                                \
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "     \
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN                                                                                       \
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                      \
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                     \
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                 \
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define BYTE_LEVEL(trim, regex)                                                                    \
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":" trim                \
        ",\"use_regex\":" regex "}"
#define SPLIT(pattern)                                                                             \
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\""  \
        pattern "\"},\"behavior\":\"Isolated\",\"invert\":false},"                                 \
        BYTE_LEVEL("false", "false") "]}"
#define DIGITS                                                                                     \
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","                          \
        "\"individual_digits\":true}," BYTE_LEVEL("true", "true") "]}"
#define NFC "{\"type\":\"NFC\"}"
#define DECODER                                                                                    \
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"                 \
        "\"use_regex\":true}"

const struct scope_gguf_pattern scope_gguf_patterns[] = {
        { "smollm", "null", DIGITS, "null", DECODER, "digits|bytes+regex", false, false, false },
        { "qwen2", NFC, SPLIT(QWEN_JSON), BYTE_LEVEL("false", "false"),
                BYTE_LEVEL("false", "false"), "split:" QWEN "|bytes", false, true, false },
        { "llama-bpe", "null", SPLIT(LLAMA3_JSON), BYTE_LEVEL("false", "true"), DECODER,
                "split:" LLAMA3 "|bytes", true, false, true },
        { "gpt-2", "null", BYTE_LEVEL("true", "true"), BYTE_LEVEL("false", "true"), DECODER,
                "bytes+regex", false, false, false },
        /* Other names of the same, for reading. */
        { "llama3", "null", SPLIT(LLAMA3_JSON), BYTE_LEVEL("false", "true"), DECODER,
                "split:" LLAMA3 "|bytes", true, false, true },
        { "llama-v3", "null", SPLIT(LLAMA3_JSON), BYTE_LEVEL("false", "true"), DECODER,
                "split:" LLAMA3 "|bytes", true, false, true },
        { NULL, NULL, NULL, NULL, NULL, NULL, false, false, false },
};
