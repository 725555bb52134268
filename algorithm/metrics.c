#include "algorithm/metrics.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "schemas/scope_string.h"

double scope_metrics_pass_at(uint32_t n, uint32_t c, uint32_t k)
{
        scope_assert(k >= 1 && k <= n && c <= n);
        if (n - c < k)
                return 1;
        double none = 1;
        for (uint32_t i = n - c + 1; i <= n; i++)
                none *= 1 - (double)k / i;
        return 1 - none;
}

/* Shell sort: in place, no recursion, fast enough for what is printed. */
static void sort_doubles(double *values, uint32_t count)
{
        for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
                for (uint32_t i = gap; i < count; i++) {
                        double value = values[i];
                        uint32_t at = i;
                        for (; at >= gap && values[at - gap] > value; at -= gap)
                                values[at] = values[at - gap];
                        values[at] = value;
                }
        }
}

double scope_metrics_quantile(double *values, uint32_t count, double q)
{
        scope_assert(q >= 0 && q <= 1);
        if (count == 0)
                return 0;
        sort_doubles(values, count);
        double rank = q * (count - 1);
        uint32_t below = (uint32_t)rank;
        if (below + 1 >= count)
                return values[count - 1];
        return values[below] + (rank - below) * (values[below + 1] - values[below]);
}

/* The samples of one prompt as word hashes. A hash of 64 bits stands for its word or n-gram: a
 * collision would move a figure in its last digits. */
struct words {
        uint64_t *hash;                           /* of all samples, one after another */
        uint32_t begin[SCOPE_GROUP_SAMPLES_MAX + 1]; /* of each sample; the last entry is the end */
        uint32_t samples;
};

static bool is_word(unsigned char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of the word at `at`: letters and digits, or one other character with its continuation
 * bytes. */
static uint32_t word_bytes(struct scope_string text, uint32_t at)
{
        uint32_t end = at + 1;
        if (is_word((unsigned char)text.at[at])) {
                while (end < text.bytes && is_word((unsigned char)text.at[end]))
                        end++;
        } else {
                while (end < text.bytes && ((unsigned char)text.at[end] & 0xc0) == 0x80)
                        end++;
        }
        return end - at;
}

static uint64_t word_hash(const char *at, uint32_t bytes)
{
        uint64_t hash = 0;
        for (uint32_t i = 0; i < bytes; i++) {
                unsigned char c = (unsigned char)at[i];
                hash = scope_hash_pair(hash, c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        return hash;
}

static enum scope_err split_words(const struct scope_string *texts, uint32_t count,
        struct scope_arena *scratch, struct words *ret_words)
{
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < count; i++)
                bytes += texts[i].bytes;
        if (bytes > UINT32_MAX)
                return SCOPE_ERR_MEMORY;
        struct words words = { .samples = count };
        words.hash = scope_arena_take(scratch, (bytes + 1) * sizeof *words.hash);
        if (words.hash == NULL)
                return SCOPE_ERR_MEMORY;
        uint32_t at = 0;
        for (uint32_t i = 0; i < count; i++) {
                words.begin[i] = at;
                for (uint32_t b = 0; b < texts[i].bytes;) {
                        if (scope_is_space(texts[i].at[b])) {
                                b++;
                                continue;
                        }
                        uint32_t length = word_bytes(texts[i], b);
                        words.hash[at++] = word_hash(texts[i].at + b, length);
                        b += length;
                }
        }
        words.begin[count] = at;
        *ret_words = words;
        return SCOPE_OK;
}

/* One n-gram of one sample. */
struct gram {
        uint64_t hash;
        uint32_t sample;
};

static bool gram_less(const struct gram *a, const struct gram *b)
{
        return a->hash != b->hash ? a->hash < b->hash : a->sample < b->sample;
}

static void sift_down(struct gram *grams, uint32_t at, uint32_t count)
{
        for (;;) {
                uint32_t child = 2 * at + 1;
                if (child >= count)
                        return;
                if (child + 1 < count && gram_less(&grams[child], &grams[child + 1]))
                        child++;
                if (!gram_less(&grams[at], &grams[child]))
                        return;
                struct gram swap = grams[at];
                grams[at] = grams[child];
                grams[child] = swap;
                at = child;
        }
}

/* Heap sort: the library's may allocate. */
static void sort_grams(struct gram *grams, uint32_t count)
{
        for (uint32_t i = count / 2; i-- > 0;)
                sift_down(grams, i, count);
        for (uint32_t end = count; end-- > 1;) {
                struct gram swap = grams[0];
                grams[0] = grams[end];
                grams[end] = swap;
                sift_down(grams, 0, end);
        }
}

/* All n-grams of all samples, sorted. */
static uint32_t list_grams(const struct words *words, uint32_t n, struct gram *ret_grams)
{
        uint32_t count = 0;
        for (uint32_t s = 0; s < words->samples; s++) {
                for (uint32_t at = words->begin[s]; at + n <= words->begin[s + 1]; at++) {
                        uint64_t hash = n;
                        for (uint32_t i = 0; i < n; i++)
                                hash = scope_hash_pair(hash, words->hash[at + i]);
                        ret_grams[count++] = (struct gram){ hash, s };
                }
        }
        sort_grams(ret_grams, count);
        return count;
}

static double distinct_of(const struct gram *grams, uint32_t count)
{
        uint32_t unique = 0;
        for (uint32_t i = 0; i < count; i++)
                unique += i == 0 || grams[i].hash != grams[i - 1].hash;
        return count > 0 ? (double)unique / count : 0;
}

enum scope_err scope_metrics_distinct(const struct scope_string *texts, uint32_t count, uint32_t n,
        struct scope_arena *scratch, double *ret_share)
{
        struct words words;
        if (count > SCOPE_GROUP_SAMPLES_MAX || n == 0)
                return SCOPE_ERR_ARGUMENT;
        enum scope_err err = split_words(texts, count, scratch, &words);
        if (err != SCOPE_OK)
                return err;
        struct gram *grams =
                scope_arena_take(scratch, ((size_t)words.begin[count] + 1) * sizeof *grams);
        if (grams == NULL)
                return SCOPE_ERR_MEMORY;
        *ret_share = distinct_of(grams, list_grams(&words, n, grams));
        return SCOPE_OK;
}

/* Adds, for every sample, how many of its n-grams occur in another one, each at most as often as
 * in the one that has most. `grams` sorted. */
static void count_matches(const struct gram *grams, uint32_t count, uint32_t samples,
        uint32_t *ret_matches)
{
        memset(ret_matches, 0, samples * sizeof *ret_matches);
        for (uint32_t begin = 0; begin < count;) {
                uint32_t of[SCOPE_GROUP_SAMPLES_MAX] = { 0 }, end = begin;
                while (end < count && grams[end].hash == grams[begin].hash)
                        of[grams[end++].sample]++;
                uint32_t most = 0, second = 0, owner = 0;
                for (uint32_t s = 0; s < samples; s++) {
                        if (of[s] > most) {
                                second = most;
                                most = of[s];
                                owner = s;
                        } else if (of[s] > second) {
                                second = of[s];
                        }
                }
                for (uint32_t s = 0; s < samples; s++) {
                        uint32_t others = s == owner ? second : most;
                        ret_matches[s] += of[s] < others ? of[s] : others;
                }
                begin = end;
        }
}

static uint32_t length_of(const struct words *words, uint32_t sample)
{
        return words->begin[sample + 1] - words->begin[sample];
}

/* exp(1 - r/h) where the sample is shorter than the other sample nearest in length, else 1. */
static double brevity(const struct words *words, uint32_t sample)
{
        uint32_t length = length_of(words, sample), nearest = 0, gap_least = UINT32_MAX;
        if (length == 0)
                return 0;
        for (uint32_t s = 0; s < words->samples; s++) {
                uint32_t other = length_of(words, s);
                uint32_t gap = other > length ? other - length : length - other;
                if (s == sample || gap > gap_least || (gap == gap_least && other > nearest))
                        continue;
                gap_least = gap;
                nearest = other;
        }
        return nearest > length ? exp(1 - (double)nearest / length) : 1;
}

enum { BLEU_N = 4 };

/* Mean BLEU-4 of each sample against the others; a precision without match counts 0.1 of one
 * (smoothing method 1), a sample without a common word counts 0. Fills distinct_1 and distinct_4
 * on the way. */
static void bleu(const struct words *words, struct gram *grams, struct scope_diversity *ret)
{
        uint32_t matches[BLEU_N][SCOPE_GROUP_SAMPLES_MAX];
        for (uint32_t n = 1; n <= BLEU_N; n++) {
                uint32_t count = list_grams(words, n, grams);
                if (n == 1)
                        ret->distinct_1 = distinct_of(grams, count);
                if (n == 4)
                        ret->distinct_4 = distinct_of(grams, count);
                count_matches(grams, count, words->samples, matches[n - 1]);
        }
        double sum = 0;
        for (uint32_t s = 0; s < words->samples; s++) {
                double log_sum = 0;
                for (uint32_t n = 1; n <= BLEU_N; n++) {
                        uint32_t length = length_of(words, s);
                        double total = length >= n ? length - n + 1 : 1;
                        double hits = matches[n - 1][s] > 0 ? matches[n - 1][s] : 0.1;
                        log_sum += log(hits / total);
                }
                if (matches[0][s] > 0)
                        sum += brevity(words, s) * exp(log_sum / BLEU_N);
        }
        ret->self_bleu = words->samples > 1 ? sum / words->samples : 0;
}

/* Which of 64 words of one sample are a given word: an open-addressed table of bit masks. */
enum { BLOCK = 64, TABLE = 256 };
struct block {
        uint64_t hash[TABLE], mask[TABLE];
};

static uint32_t block_slot(const struct block *block, uint64_t hash)
{
        uint32_t at = (uint32_t)hash % TABLE;
        while (block->mask[at] != 0 && block->hash[at] != hash)
                at = (at + 1) % TABLE;
        return at;
}

/* Length of the longest common subsequence of two samples, 64 words of `a` at a time (Hyyro 2004):
 * a zero bit in `row` says that the length grows there. `carry` holds what each word of b hands on
 * from one block to the next. */
static uint32_t common(const struct words *words, uint32_t a, uint32_t b, uint8_t *carry)
{
        uint32_t a_count = length_of(words, a), b_count = length_of(words, b), length = 0;
        const uint64_t *x = words->hash + words->begin[a], *y = words->hash + words->begin[b];
        memset(carry, 0, b_count);
        for (uint32_t begin = 0; begin < a_count; begin += BLOCK) {
                uint32_t count = a_count - begin < BLOCK ? a_count - begin : BLOCK;
                uint64_t row = UINT64_MAX;
                struct block block;
                memset(block.mask, 0, sizeof block.mask);
                for (uint32_t i = 0; i < count; i++) {
                        uint32_t at = block_slot(&block, x[begin + i]);
                        block.hash[at] = x[begin + i];
                        block.mask[at] |= (uint64_t)1 << i;
                }
                for (uint32_t j = 0; j < b_count; j++) {
                        uint64_t match = row & block.mask[block_slot(&block, y[j])];
                        uint64_t sum = row + match, full = sum + carry[j];
                        carry[j] = sum < row || full < sum;
                        row = full | (row & ~match);
                }
                uint64_t used = count == BLOCK ? UINT64_MAX : ((uint64_t)1 << count) - 1;
                length += (uint32_t)__builtin_popcountll(~row & used);
        }
        return length;
}

static double rouge(const struct words *words, uint8_t *carry)
{
        double sum = 0;
        uint32_t pairs = 0;
        for (uint32_t a = 0; a < words->samples; a++) {
                for (uint32_t b = a + 1; b < words->samples; b++) {
                        uint32_t length = length_of(words, a) + length_of(words, b);
                        if (length > 0)
                                sum += 2.0 * common(words, a, b, carry) / length;
                        pairs++;
                }
        }
        return pairs > 0 ? sum / pairs : 0;
}

enum scope_err scope_metrics_diversity(const struct scope_string *texts, uint32_t count,
        struct scope_arena *scratch, struct scope_diversity *ret_diversity)
{
        struct words words;
        if (count > SCOPE_GROUP_SAMPLES_MAX)
                return SCOPE_ERR_ARGUMENT;
        enum scope_err err = split_words(texts, count, scratch, &words);
        if (err != SCOPE_OK)
                return err;
        size_t total = words.begin[count];
        struct gram *grams = scope_arena_take(scratch, (total + 1) * sizeof *grams);
        uint8_t *carry = scope_arena_take(scratch, total + 1);
        if (grams == NULL || carry == NULL)
                return SCOPE_ERR_MEMORY;
        struct scope_diversity diversity = { 0 };
        bleu(&words, grams, &diversity);
        diversity.self_rouge = rouge(&words, carry);
        diversity.score = (diversity.distinct_1 + diversity.distinct_4 + 1 - diversity.self_bleu +
                                  1 - diversity.self_rouge) / 4;
        *ret_diversity = diversity;
        return SCOPE_OK;
}
