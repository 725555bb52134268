#include "algorithm/mix.h"

#include <string.h>

#include "algorithm/boxed.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "schemas/scope_string.h"

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether `word` stands anywhere in `text`, in any case. */
static bool contains(struct scope_string text, const char *word)
{
        uint32_t bytes = (uint32_t)strlen(word);
        for (uint32_t at = 0; at + bytes <= text.bytes; at++) {
                uint32_t i = 0;
                while (i < bytes && lower(text.at[at + i]) == lower(word[i]))
                        i++;
                if (i == bytes)
                        return true;
        }
        return false;
}

/* Phrases by which a text admits that it knew the answer. One that the problem itself uses is
 * innocent. */
static bool leaks(struct scope_string text, struct scope_string problem)
{
        static const char *const phrases[] = {
                "known final answer", "known answer", "given final answer", "given answer",
                "provided answer", "supplied answer", "answer provided", "answer supplied",
                "answer is given", "answer was given", "answer is known", "answer was provided",
                "told the answer", "told that the answer", "match the expected answer",
                "matches the expected answer", "reference answer", "frozen text", "frozen prefix",
        };
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
                if (contains(text, phrases[i]) && !contains(problem, phrases[i]))
                        return true;
        }
        return false;
}

enum { PROBE_BYTES = 32 };

/* Whether `text` begins like `part`: with its first 32 bytes, or with all of a shorter one as a
 * line. */
static bool begins_like(struct scope_string text, struct scope_string part)
{
        uint32_t probe = part.bytes < PROBE_BYTES ? part.bytes : PROBE_BYTES;
        if (probe == 0 || text.bytes < probe || memcmp(text.at, part.at, probe) != 0)
                return false;
        return probe == PROBE_BYTES || text.bytes == probe || scope_is_space(text.at[probe]);
}

static bool strip_front(struct scope_string *text, struct scope_string part)
{
        if (part.bytes == 0 || text->bytes < part.bytes ||
                memcmp(text->at, part.at, part.bytes) != 0)
                return false;
        text->at += part.bytes;
        text->bytes -= part.bytes;
        *text = scope_string_trim(*text);
        return true;
}

/* The text behind the last blank line. */
static struct scope_string last_step(struct scope_string prefix)
{
        struct scope_string text = scope_string_trim(prefix);
        uint32_t at = text.bytes, newlines = 0, begin = 0;
        while (at > 0 && begin == 0) {
                char c = text.at[--at];
                newlines = c == '\n' ? newlines + 1 : scope_is_space(c) ? newlines : 0;
                if (newlines == 2)
                        begin = at;
        }
        return scope_string_trim((struct scope_string){ text.at + begin, text.bytes - begin });
}

/* Removes one restatement of the prefix or of its last step; false when the text still repeats it.
 * */
static bool strip_repeat(struct scope_string *text, struct scope_string prefix)
{
        struct scope_string whole = scope_string_trim(prefix), last = last_step(prefix);
        if (!begins_like(*text, whole) && !begins_like(*text, last))
                return true;
        if (!strip_front(text, whole) && !strip_front(text, last))
                return false;
        return text->bytes > 0 && !begins_like(*text, whole) && !begins_like(*text, last);
}

enum scope_refine_verdict scope_suffix_check(const struct scope_suffix *suffix,
        const struct scope_grade_options *grade, struct scope_string *ret_text)
{
        struct scope_string text = scope_string_trim(scope_boxed_skip_reasoning(suffix->text));
        struct scope_string answer;
        if (text.bytes == 0)
                return SCOPE_REFINE_EMPTY;
        if (contains(text, SCOPE_REFUSAL_MARKER))
                return SCOPE_REFINE_REFUSED;
        if (!strip_repeat(&text, suffix->prefix))
                return SCOPE_REFINE_REPEATS;
        if (suffix->leak_filter && leaks(text, suffix->problem))
                return SCOPE_REFINE_LEAKS;
        if (scope_boxed_count(text) != 1 || !scope_boxed_find(text, &answer))
                return SCOPE_REFINE_WRONG_ANSWER;
        if (!scope_grade_equal(suffix->gold, answer, grade).equal)
                return SCOPE_REFINE_WRONG_ANSWER;
        *ret_text = text;
        return SCOPE_REFINE_ACCEPTED;
}

/* Segments of the kept tokens, then the teacher's. Returns how many. */
static uint32_t cut_segments(const struct scope_mix *mix, struct scope_segment *segments)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < mix->failed->segment_count; i++) {
                struct scope_segment segment = mix->failed->segments[i];
                if (segment.begin >= mix->kept_tokens)
                        break;
                if (segment.count > mix->kept_tokens - segment.begin)
                        segment.count = mix->kept_tokens - segment.begin;
                segments[count++] = segment;
        }
        segments[count++] = (struct scope_segment){
                .begin = mix->kept_tokens,
                .count = mix->suffix_count,
                .source = SCOPE_SOURCE_TEACHER,
                .loss = SCOPE_LOSS_LIKELIHOOD,
                .weight = 1,
        };
        return count;
}

static uint32_t cut_spans(const struct scope_mix *mix, struct scope_version_span *spans)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < mix->failed->span_count; i++) {
                struct scope_version_span span = mix->failed->spans[i];
                if (span.begin >= mix->kept_tokens)
                        break;
                if (span.count > mix->kept_tokens - span.begin)
                        span.count = mix->kept_tokens - span.begin;
                spans[count++] = span;
        }
        return count;
}

static enum scope_err check_mix(const struct scope_mix *mix)
{
        const struct scope_trajectory *failed = mix->failed;
        if (mix->suffix_count == 0 || mix->kept_tokens > failed->token_count ||
                mix->kept_bytes > failed->text.bytes)
                return SCOPE_ERR_FORMAT;
        if ((uint64_t)mix->kept_tokens + mix->suffix_count > mix->response_max)
                return SCOPE_ERR_TOO_BIG;
        if (failed->segment_count >= SCOPE_SEGMENTS_MAX)
                return SCOPE_ERR_LIMIT;
        return SCOPE_OK;
}

/* Copies `count` bytes of `from` to `to` + `offset`; nothing may be nothing. */
static void put(void *to, size_t offset, const void *from, size_t count)
{
        if (count > 0)
                memcpy((char *)to + offset, from, count);
}

enum scope_err scope_mix_build(const struct scope_mix *mix, struct scope_arena *arena,
        struct scope_trajectory *ret_mixed)
{
        enum scope_err err = check_mix(mix);
        if (err != SCOPE_OK)
                return err;
        const struct scope_trajectory *failed = mix->failed;
        uint32_t token_count = mix->kept_tokens + mix->suffix_count;
        uint32_t text_bytes = mix->kept_bytes + mix->suffix_text.bytes;
        uint32_t *tokens = scope_arena_take(arena, token_count * sizeof *tokens);
        float *logp = scope_arena_take(arena, token_count * sizeof *logp);
        struct scope_segment *segments =
                scope_arena_take(arena, (failed->segment_count + 1) * sizeof *segments);
        struct scope_version_span *spans =
                scope_arena_take(arena, (failed->span_count + 1) * sizeof *spans);
        char *text = scope_arena_take(arena, (size_t)text_bytes + 1);
        if (tokens == NULL || logp == NULL || segments == NULL || spans == NULL || text == NULL)
                return SCOPE_ERR_MEMORY;
        put(tokens, 0, failed->tokens, mix->kept_tokens * sizeof *tokens);
        put(tokens, mix->kept_tokens * sizeof *tokens, mix->suffix,
                mix->suffix_count * sizeof *tokens);
        put(logp, 0, failed->logp, mix->kept_tokens * sizeof *logp);
        put(text, 0, failed->text.at, mix->kept_bytes);
        put(text, mix->kept_bytes, mix->suffix_text.at, mix->suffix_text.bytes);
        struct scope_trajectory mixed = *failed;
        mixed.parent = failed->sample;
        mixed.branch = mix->kept_tokens;
        mixed.finish = SCOPE_FINISH_STOP;
        mixed.graded = true;
        mixed.reward = 1;
        mixed.verdict = SCOPE_VERDICT_CORRECT;
        mixed.tokens = tokens;
        mixed.logp = logp;
        mixed.token_count = token_count;
        mixed.segments = segments;
        mixed.segment_count = cut_segments(mix, segments);
        mixed.spans = spans;
        mixed.span_count = cut_spans(mix, spans);
        mixed.text = (struct scope_string){ text, text_bytes };
        scope_assert(mixed.segment_count <= SCOPE_SEGMENTS_MAX);
        *ret_mixed = mixed;
        return SCOPE_OK;
}
