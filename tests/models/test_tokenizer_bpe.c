/* Merging: short pieces, long pieces and the plain definition give the same ids; which tokens count
 * as whole; runs that would take forever if merging were quadratic; rank files. */
#include "tests/test.h"

#include "base/rng.h"
#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_read.h"

/* A vocabulary over `letters` letters with merges of random pairs, also of such that an ordered
 * training would not make: a token by two merges, a merge ranked below those of its halves. */
static struct scope_tokenizer *random_tokenizer(struct scope_rng *rng, int letters, int merges)
{
        char tokens[64][33];
        struct scope_text json = { 0 }, vocab = { 0 }, pairs = { 0 };
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        int count = letters, made = 0;
        uint8_t seen[64][64] = { { 0 } };
        for (int i = 0; i < letters; i++)
                (void)snprintf(tokens[i], sizeof tokens[i], "%c", 'a' + i);
        for (int tries = 0; tries < 4000 && made < merges; tries++) {
                int left = (int)scope_rng_below(rng, (uint32_t)count);
                int right = (int)scope_rng_below(rng, (uint32_t)count), both = 0;
                char text[66];
                (void)snprintf(text, sizeof text, "%s%s", tokens[left], tokens[right]);
                while (both < count && strcmp(tokens[both], text) != 0)
                        both++;
                if (strlen(text) > 32 || seen[left][right] || (both == count && count == 64))
                        continue;
                if (both == count)
                        (void)snprintf(tokens[count++], sizeof tokens[0], "%.32s", text);
                seen[left][right] = 1;
                /* Half of the new ones go in front. */
                struct scope_text old = pairs;
                bool front = made != 0 && scope_rng_below(rng, 3) == 0;
                pairs = (struct scope_text){ 0 };
                if (!front && old.count != 0)
                        scope_text_format(&pairs, "%s,", old.bytes);
                scope_text_format(&pairs, "[\"%s\",\"%s\"]", tokens[left], tokens[right]);
                if (front)
                        scope_text_format(&pairs, ",%s", old.bytes);
                scope_text_fini(&old);
                made++;
        }
        for (int i = 0; i < count; i++)
                scope_text_format(&vocab, "%s\"%s\":%d", i != 0 ? "," : "", tokens[i], i);
        scope_text_format(&json,
                "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                "\"use_regex\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
                "\"model\":{\"vocab\":{%s},\"merges\":[%s]}}",
                vocab.bytes, pairs.bytes != NULL ? pairs.bytes : "");
        if (scope_tokenizer_parse(json.bytes, json.count, &tokenizer, &diag) != SCOPE_OK)
                fail_msg("%s: %s", diag.text, json.bytes);
        scope_text_fini(&json);
        scope_text_fini(&vocab);
        scope_text_fini(&pairs);
        return tokenizer;
}

/* The definition: again and again the lowest pair, leftmost of equals. */
static size_t by_definition(const struct scope_tokenizer *tokenizer, const char *text,
        size_t bytes, uint32_t *ids)
{
        size_t count = bytes;
        for (size_t i = 0; i < bytes; i++)
                ids[i] = tokenizer->byte_ids[(uint8_t)text[i]];
        while (tokenizer->merges != NULL) {
                const struct scope_merge *best = NULL;
                size_t at = 0;
                for (size_t i = 0; i + 1 < count; i++) {
                        const struct scope_merge *merge =
                                scope_merge_find(tokenizer, ids[i], ids[i + 1]);
                        if (merge != NULL && (best == NULL || merge->rank < best->rank)) {
                                best = merge;
                                at = i;
                        }
                }
                if (best == NULL)
                        return count;
                ids[at] = best->merged;
                count--;
                memmove(ids + at + 1, ids + at + 2, (count - at - 1) * sizeof *ids);
        }
        return count;
}

static void test_merging_is_the_definition(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(11);
        for (int round = 0; round < 300; round++) {
                int letters = 1 + (int)scope_rng_below(&rng, 4);
                struct scope_tokenizer *tokenizer = random_tokenizer(
                        &rng, letters, (int)scope_rng_below(&rng, 40));
                for (int i = 0; i < 40; i++) {
                        char text[300];
                        uint32_t ids[300], expected[300];
                        /* Around the border of short and long, and far over it. */
                        size_t bytes = i < 30 ? 1 + scope_rng_below(&rng, 50)
                                              : 1 + scope_rng_below(&rng, 300), count;
                        for (size_t j = 0; j < bytes; j++)
                                text[j] = (char)('a' + scope_rng_below(&rng, (uint32_t)letters));
                        size_t wanted = by_definition(tokenizer, text, bytes, expected);
                        assert_ok(scope_tokenizer_encode(
                                tokenizer, text, bytes, ids, 300, &count));
                        assert_int_equal(count, wanted);
                        assert_memory_equal(ids, expected, count * sizeof *ids);
                }
                scope_tokenizer_destroy(tokenizer);
        }
}

static void check_whole(struct scope_tokenizer *tokenizer)
{
        uint32_t size = tokenizer->size;
        bool *quick = malloc(size);
        assert_non_null(quick);
        for (uint32_t i = 0; i < size; i++)
                quick[i] = tokenizer->tokens[i].whole;
        assert_ok(scope_tokenizer_find_whole(tokenizer, false));
        for (uint32_t i = 0; i < size; i++)
                if (quick[i] != tokenizer->tokens[i].whole)
                        fail_msg("token %u is %swhole", i, quick[i] ? "not " : "");
        free(quick);
}

static void test_whole_tokens_are_those_that_merge_to_themselves(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(12);
        for (int round = 0; round < 600; round++) {
                struct scope_tokenizer *tokenizer = random_tokenizer(&rng,
                        1 + (int)scope_rng_below(&rng, 4), (int)scope_rng_below(&rng, 60));
                check_whole(tokenizer);
                scope_tokenizer_destroy(tokenizer);
        }
}

/* Quadratic merging or ordering of marks would take minutes and hit the test's time limit. */
static void test_long_runs_take_no_quadratic_time(void **state)
{
        (void)state;
        enum { BYTES = 1 << 20 };
        struct scope_rng rng = scope_rng_make(13);
        struct scope_tokenizer *tokenizer = random_tokenizer(&rng, 2, 30);
        char *text = malloc(BYTES);
        uint32_t *ids = malloc(BYTES * sizeof *ids);
        size_t count;
        assert_true(text != NULL && ids != NULL);
        for (int kind = 0; kind < 2; kind++) {
                for (size_t i = 0; i < BYTES; i++)
                        text[i] = kind == 0 ? 'a' : (char)('a' + scope_rng_below(&rng, 2));
                assert_ok(scope_tokenizer_encode(tokenizer, text, BYTES, ids, BYTES, &count));
                struct scope_text back = { 0 };
                scope_tokenizer_decode(tokenizer, ids, count, false, &back);
                assert_int_equal(back.count, BYTES);
                assert_memory_equal(back.bytes, text, BYTES);
                scope_text_fini(&back);
        }
        assert_int_equal(scope_tokenizer_encode(tokenizer, text, (size_t)17 << 20, ids, BYTES,
                &count), SCOPE_ERR_TOO_BIG);
        free(text);
        free(ids);
        scope_tokenizer_destroy(tokenizer);
}

/* --- rank files ----------------------------------------------------------------------------- */

static void base64(const char *bytes, size_t count, struct scope_text *text)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (size_t i = 0; i < count; i += 3) {
                uint32_t word = 0;
                for (size_t j = 0; j < 3; j++)
                        word = word << 8 | (i + j < count ? (uint8_t)bytes[i + j] : 0);
                for (size_t j = 0; j < 4; j++)
                        scope_text_add(text,
                                i + j > count ? "=" : &digits[word >> (18 - 6 * j) & 63], 1);
        }
}

static void ranks(struct scope_text *text, const char *const *more)
{
        uint32_t rank = 0;
        for (; rank < 256; rank++) {
                char byte = (char)rank;
                base64(&byte, 1, text);
                scope_text_format(text, " %u\n", rank);
        }
        for (; *more != NULL; more++, rank++) {
                base64(*more, strlen(*more), text);
                scope_text_format(text, " %u\n", rank);
        }
}

static void test_rank_files_merge_by_rank_of_the_whole(void **state)
{
        (void)state;
        static const char *const more[] = { "ab", "bc", "abc", "bcd", " x", "he", "ll", "hello",
                NULL };
        /* tiktoken: the pair whose text has the lowest rank; a piece that is a token is it. */
        static const struct {
                const char *text;
                uint32_t count, ids[8];
        } cases[] = { { "abc", 1, { 258 } }, { "abcd", 2, { 258, 100 } }, { "bcd", 1, { 259 } },
                { "xabcd", 3, { 120, 258, 100 } }, { "hello", 1, { 263 } },
                { "hellob", 4, { 261, 262, 111, 98 } }, { "a x", 2, { 97, 260 } },
                { "<|im_end|>1", 2, { 266, 49 } }, { "<|extra_0|>", 1, { 267 } },
                { "e\xcc\x81", 2, { 0xc3, 0xa9 } } };
        struct scope_text text = { 0 };
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        ranks(&text, more);
        assert_ok(scope_tokenizer_parse_tiktoken(
                "qwen.tiktoken", text.bytes, text.count, &tokenizer, &diag));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                uint32_t ids[16];
                size_t count;
                assert_ok(scope_tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text),
                        ids, 16, &count));
                if (count != cases[i].count
                        || memcmp(ids, cases[i].ids, count * sizeof *ids) != 0)
                        fail_msg("\"%s\": %zu ids, first %u", cases[i].text, count, ids[0]);
        }
        scope_tokenizer_destroy(tokenizer);
        assert_ok(scope_tokenizer_parse_tiktoken(
                "tokenizer.model", text.bytes, text.count, &tokenizer, &diag));
        uint32_t ids[8];
        size_t count;
        assert_ok(scope_tokenizer_encode_framed(tokenizer, "1234", 4, ids, 8, &count));
        assert_int_equal(ids[0], scope_tokenizer_id(tokenizer, "<|begin_of_text|>"));
        assert_int_equal(scope_tokenizer_id(tokenizer, "<|eot_id|>"), 264 + 9);
        assert_int_equal(
                scope_tokenizer_id(tokenizer, "<|reserved_special_token_250|>"), 264 + 255);
        scope_tokenizer_destroy(tokenizer);
        scope_text_fini(&text);
}

static void refuse_ranks(const char *name, const char *text, enum scope_err expected,
        const char *word)
{
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        enum scope_err err = scope_tokenizer_parse_tiktoken(
                name, text, strlen(text), &tokenizer, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s gave %s: %s", text, scope_err_name(err), diag.text);
        assert_null(tokenizer);
}

static void test_bad_rank_files_are_refused_with_their_line(void **state)
{
        (void)state;
        refuse_ranks("other.tiktoken", "IQ== 0\n", SCOPE_ERR_UNSUPPORTED, "qwen.tiktoken");
        refuse_ranks("qwen.tiktoken", "IQ== 0\nIg= 1\n", SCOPE_ERR_FORMAT, "qwen.tiktoken:2:");
        refuse_ranks("qwen.tiktoken", "IQ==\n", SCOPE_ERR_FORMAT, ":1:");
        refuse_ranks("qwen.tiktoken", "IQ== -1\n", SCOPE_ERR_FORMAT, ":1:");
        refuse_ranks("qwen.tiktoken", "IQ== 99999999999\n", SCOPE_ERR_FORMAT, ":1:");
        refuse_ranks("qwen.tiktoken", "IQ== 9999999\n", SCOPE_ERR_TOO_BIG, "9999999");
        refuse_ranks("qwen.tiktoken", "IQ== 0\nIQ== 1\n", SCOPE_ERR_FORMAT, "duplicate");
        refuse_ranks("qwen.tiktoken", "IQ== 0\n", SCOPE_ERR_FORMAT, "no token for the byte 0");
        refuse_ranks("qwen.tiktoken", "", SCOPE_ERR_FORMAT, "no token for the byte");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_merging_is_the_definition),
                cmocka_unit_test(test_whole_tokens_are_those_that_merge_to_themselves),
                cmocka_unit_test(test_long_runs_take_no_quadratic_time),
                cmocka_unit_test(test_rank_files_merge_by_rank_of_the_whole),
                cmocka_unit_test(test_bad_rank_files_are_refused_with_their_line),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
