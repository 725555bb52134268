#include "cli/recording_parts.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/call_gate.h"
#include "base/base64.h"
#include "base/limits.h"
#include "base/rng.h"
#include "cli/jsonl.h"
#include "cli/trail_file.h"
#include "tasks/teacher_script.h"

static void *add(struct scope_recording *recording, struct scope_recorded_rows *rows, size_t bytes)
{
        if (rows->count == rows->capacity) {
                size_t wants = rows->capacity != 0 ? 2 * rows->capacity : 256;
                void *grown = realloc(rows->at, wants * bytes);
                if (grown == NULL) {
                        recording->failed = true;
                        return NULL;
                }
                rows->at = grown;
                rows->capacity = wants;
        }
        void *row = (char *)rows->at + rows->count++ * bytes;
        memset(row, 0, bytes);
        return row;
}

void scope_recorded_add_number(
        struct scope_recording *recording, struct scope_recorded_rows *rows, uint64_t number)
{
        uint64_t *row = add(recording, rows, sizeof *row);
        if (row != NULL)
                *row = number;
}

/* Keeps a text; returns where. */
static size_t keep(struct scope_recording *recording, const char *bytes, size_t count)
{
        size_t at = recording->text.count;
        scope_text_add(&recording->text, bytes, count);
        scope_text_add(&recording->text, "", 1); /* its end */
        return at;
}

const char *scope_recording_text(const struct scope_recording *recording, size_t text)
{
        return recording->text.bytes + text;
}

/* --- times ---------------------------------------------------------------------------------- */

static void hear(void *context, const struct scope_audit *event)
{
        struct scope_recording *recording = context;
        struct scope_recorded_decode *row;
        struct scope_recorded_step *step;
        uint64_t ns = event->now_ns - event->since_ns;
        bool known = event->service_ns > 0 && event->service_ns < ns;
        uint64_t alone_ns = known ? event->service_ns : ns; /* without waits for cores */
        if (event->since_ns == 0 || event->since_ns > event->now_ns)
                return;
        switch (event->kind) {
        case SCOPE_AUDIT_SAMPLED:
                row = add(recording, &recording->decoded, sizeof *row);
                if (row == NULL)
                        return;
                *row = (struct scope_recorded_decode){ .group = event->group,
                        .since_ns = event->since_ns,
                        .ended_ns = event->now_ns,
                        .service_ns = event->service_ns,
                        .sample = event->sample,
                        .worker = (uint32_t)event->version,
                        .tokens = (uint32_t)event->value };
                if (row->worker >= recording->workers)
                        recording->workers = row->worker + 1;
                break;
        case SCOPE_AUDIT_STEPPED:
                scope_recorded_add_number(recording, &recording->learn, alone_ns);
                break;
        case SCOPE_AUDIT_EXPORTED:
                scope_recorded_add_number(recording, &recording->publish, ns);
                break;
        case SCOPE_AUDIT_DECODED:
                step = add(recording, &recording->steps, sizeof *step);
                if (step != NULL)
                        *step = (struct scope_recorded_step){ .ns = alone_ns,
                                .sampled = event->value,
                                .prompts = event->version,
                                .running = event->sample };
                break;
        default:
                break;
        }
}

static int compare(uint64_t one, uint64_t two)
{
        return one < two ? -1 : one > two;
}

static int by_submission(const void *one, const void *two)
{
        const struct scope_recorded_decode *a = one, *b = two;
        int order = compare(a->worker, b->worker);
        if (order == 0)
                order = compare(a->since_ns, b->since_ns);
        if (order == 0)
                order = compare(a->group, b->group);
        return order != 0 ? order : compare(a->sample, b->sample);
}

/* Moves the least of slots[0], which was just written, to where it belongs: a heap. */
static void sink(uint64_t *slots, size_t count)
{
        for (size_t at = 0;;) {
                size_t least = at, left = 2 * at + 1;
                for (size_t child = left; child < left + 2 && child < count; child++)
                        if (slots[child] < slots[least])
                                least = child;
                if (least == at)
                        return;
                uint64_t moved = slots[at];
                slots[at] = slots[least];
                slots[least] = moved;
                at = least;
        }
}

/* A trail's samples [from, count): each slot takes the sample that waits longest, so when a sample
 * got its slot follows from when the others ended. */
static void find_services(struct scope_recording *recording, size_t from)
{
        struct scope_recorded_decode *rows = recording->decoded.at;
        size_t count = recording->decoded.count;
        size_t slots = recording->setting.slots / (recording->workers > 0 ? recording->workers : 1);
        uint64_t *ends = calloc(slots + 1, sizeof *ends);
        if (ends == NULL) {
                recording->failed = true;
                return;
        }
        if (count > from)
                qsort(rows + from, count - from, sizeof *rows, by_submission);
        for (size_t i = from; i < count && slots > 0; i++) {
                if (i == from || rows[i].worker != rows[i - 1].worker)
                        memset(ends, 0, slots * sizeof *ends);
                uint64_t begin = ends[0] > rows[i].since_ns ? ends[0] : rows[i].since_ns;
                if (begin > rows[i].ended_ns) /* it was cut, or overtook one that was */
                        begin = rows[i].since_ns;
                if (rows[i].service_ns == 0)
                        rows[i].service_ns = rows[i].ended_ns - begin;
                ends[0] = rows[i].ended_ns;
                sink(ends, slots);
        }
        free(ends);
}

static enum scope_err read_trails(struct scope_recording *recording, struct scope_diag *diag)
{
        char pattern[SCOPE_PATH_BYTES_MAX + 32];
        glob_t found;
        enum scope_err err = SCOPE_OK;
        (void)snprintf(pattern, sizeof pattern, "%s/trail_*.jsonl", recording->directory);
        if (access(recording->directory, F_OK) != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_NOT_FOUND, "%s: %s", recording->directory, strerror(errno));
        if (glob(pattern, 0, NULL, &found) != 0)
                return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "%s: times are not in this recording (trail_*.jsonl): record it with "
                        "metrics.trail = true",
                        recording->directory);
        for (size_t i = 0; i < found.gl_pathc && err == SCOPE_OK; i++) {
                size_t from = recording->decoded.count;
                err = scope_trail_scan(
                        found.gl_pathv[i], hear, recording, &recording->setting, diag);
                if (err == SCOPE_OK)
                        find_services(recording, from);
        }
        globfree(&found);
        return err;
}

/* --- words ---------------------------------------------------------------------------------- */

static bool number_of(const json_t *object, const char *key, uint64_t *ret_number)
{
        const json_t *value = json_object_get(object, key);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
                return false;
        *ret_number = (uint64_t)json_integer_value(value);
        return true;
}

static struct scope_string text_of(const json_t *object, const char *key)
{
        const json_t *value = json_object_get(object, key);
        if (!json_is_string(value))
                return (struct scope_string){ NULL, 0 };
        return (struct scope_string){ json_string_value(value),
                (uint32_t)json_string_length(value) };
}

/* rollouts/stream.jsonl: what was sampled; of a repaired one, what the student wrote. */
static bool take_rollout(struct scope_recording *recording, const json_t *object)
{
        uint64_t group, sample;
        struct scope_string text = text_of(object, "student");
        struct scope_string finish = text_of(object, "finish");
        bool repaired = text.at != NULL;
        if (!repaired)
                text = text_of(object, "text");
        if (text.at == NULL || !number_of(object, "group", &group) ||
                !number_of(object, "sample", &sample) || sample >= SCOPE_GROUP_SAMPLES_MAX)
                return false;
        struct scope_recorded_sample *row = add(recording, &recording->samples, sizeof *row);
        if (row != NULL)
                *row = (struct scope_recorded_sample){ .group = group,
                        .sample = (uint32_t)sample,
                        .whole = repaired || (finish.at != NULL && strcmp(finish.at, "stop") == 0),
                        .text = keep(recording, text.at, text.bytes),
                        .text_bytes = text.bytes };
        return true;
}

/* rollouts/index.jsonl: which problem a group is of. */
static bool take_group(struct scope_recording *recording, const json_t *object)
{
        uint64_t group, problem;
        struct scope_string text = text_of(object, "text");
        if (text.at == NULL || !number_of(object, "group", &group) ||
                !number_of(object, "problem", &problem))
                return false;
        struct scope_recorded_group *row = add(recording, &recording->groups, sizeof *row);
        if (row != NULL)
                *row = (struct scope_recorded_group){ .group = group,
                        .problem = problem,
                        .text = keep(recording, text.at, text.bytes),
                        .text_bytes = text.bytes };
        return true;
}

/* Numbers of four bytes, in base64: to the end of `rows`. */
static bool take_words(struct scope_recording *recording, struct scope_string text,
        struct scope_recorded_rows *rows, uint32_t *ret_count)
{
        enum { WORD = 4 };
        size_t most = text.bytes / 4 * 3, bytes = 0;
        char *words = malloc(most + 1);
        bool good = words != NULL && text.at != NULL &&
                    scope_base64_decode(text.at, text.bytes, words, most, &bytes) &&
                    bytes > 0 && bytes % WORD == 0;
        for (size_t at = 0; good && at < bytes; at += WORD) {
                char *row = add(recording, rows, WORD);
                if (row != NULL)
                        memcpy(row, words + at, WORD);
        }
        recording->failed = recording->failed || words == NULL;
        *ret_count = (uint32_t)(bytes / WORD);
        free(words);
        return good;
}

/* What the engine gave: metrics.tokens. */
static bool take_tokens(struct scope_recording *recording, const json_t *object)
{
        struct scope_string finish = text_of(object, "finish");
        uint64_t group, sample;
        uint32_t count, logps;
        size_t first = recording->ids.count;
        if (finish.at == NULL || !number_of(object, "group", &group) ||
                !number_of(object, "sample", &sample) || sample >= SCOPE_GROUP_SAMPLES_MAX ||
                !take_words(recording, text_of(object, "ids"), &recording->ids, &count) ||
                !take_words(recording, text_of(object, "logp"), &recording->logp, &logps) ||
                count != logps)
                return false;
        struct scope_recorded_tokens *row = add(recording, &recording->tokens, sizeof *row);
        if (row != NULL)
                *row = (struct scope_recorded_tokens){ .group = group,
                        .sample = (uint32_t)sample,
                        .count = count,
                        .first = first,
                        .finish = strcmp(finish.at, "stop") == 0 ? SCOPE_FINISH_STOP
                                                                 : SCOPE_FINISH_LENGTH };
        return true;
}

static bool take_scores(struct scope_recording *recording, const json_t *object)
{
        const json_t *list = json_object_get(object, "scores");
        uint64_t group, ns, sample;
        if (!number_of(object, "group", &group) || !number_of(object, "ns", &ns) ||
                !json_is_array(list))
                return false;
        struct scope_recorded_scoring *scored = add(recording, &recording->scored, sizeof *scored);
        if (scored != NULL)
                *scored = (struct scope_recorded_scoring){ group, ns };
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *item = json_array_get(list, i), *p = json_object_get(item, "p");
                if (!number_of(item, "sample", &sample) || !json_is_array(p))
                        return false;
                struct scope_recorded_score *score =
                        add(recording, &recording->scores, sizeof *score);
                if (score != NULL)
                        *score = (struct scope_recorded_score){ group, (uint32_t)sample,
                                (uint32_t)json_array_size(p), recording->p.count };
                for (size_t step = 0; step < json_array_size(p); step++) {
                        float *row = add(recording, &recording->p, sizeof *row);
                        if (row != NULL)
                                *row = (float)json_number_value(json_array_get(p, step));
                }
        }
        return true;
}

uint64_t scope_recorded_hash(struct scope_string one, struct scope_string two)
{
        return scope_hash_pair(
                scope_hash_bytes(one.at, one.bytes), scope_hash_bytes(two.at, two.bytes));
}

/* What a call came to, as a server would say it again. */
static void set_end(struct scope_recorded_call *call, const char *end, bool truncated)
{
        static const struct {
                enum scope_call_end end;
                uint8_t again;
                int32_t status;
        } ends[] = { { SCOPE_CALL_NET, SCOPE_TEACHER_RECORDED_CUT, 0 },
                { SCOPE_CALL_TIMEOUT, SCOPE_TEACHER_RECORDED_HANG, 0 },
                { SCOPE_CALL_BUSY, SCOPE_TEACHER_RECORDED_STATUS, 429 },
                { SCOPE_CALL_OVERLOADED, SCOPE_TEACHER_RECORDED_STATUS, 503 },
                { SCOPE_CALL_SERVER, SCOPE_TEACHER_RECORDED_STATUS, 500 },
                { SCOPE_CALL_REFUSED, SCOPE_TEACHER_RECORDED_STATUS, 400 },
                { SCOPE_CALL_FATAL, SCOPE_TEACHER_RECORDED_STATUS, 401 } };
        call->end = SCOPE_TEACHER_RECORDED_GARBAGE; /* malformed, declined */
        if (strcmp(end, "ok") == 0)
                call->end =
                        truncated ? SCOPE_TEACHER_RECORDED_TRUNCATED : SCOPE_TEACHER_RECORDED_WHOLE;
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
                if (strcmp(end, scope_call_end_name(ends[i].end)) == 0) {
                        call->end = ends[i].again;
                        call->status = ends[i].status;
                }
}

static bool take_call(struct scope_recording *recording, const json_t *object)
{
        struct scope_string end = text_of(object, "end"), problem = text_of(object, "problem"),
                            prefix = text_of(object, "prefix"), content;
        uint64_t ns;
        if (end.at == NULL || problem.at == NULL || prefix.at == NULL ||
                !number_of(object, "ns", &ns))
                return false;
        content = text_of(object, "content");
        struct scope_recorded_call *call = add(recording, &recording->calls, sizeof *call);
        if (call == NULL)
                return true;
        *call = (struct scope_recorded_call){ .exact = scope_recorded_hash(problem, prefix),
                .problem = scope_hash_bytes(problem.at, problem.bytes),
                .ns = ns,
                .text = keep(recording, content.at != NULL ? content.at : "", content.bytes),
                .text_bytes = content.bytes };
        set_end(call, end.at, json_is_true(json_object_get(object, "truncated")));
        return true;
}

static bool take_reply(struct scope_recording *recording, const json_t *object)
{
        const char *of = json_string_value(json_object_get(object, "of"));
        if (of != NULL && strcmp(of, "prm") == 0)
                return take_scores(recording, object);
        if (of != NULL && strcmp(of, "rollout") == 0)
                return take_tokens(recording, object);
        return of != NULL && strcmp(of, "teacher") == 0 && take_call(recording, object);
}

/* A file that is not there holds nothing: whether that is enough is asked later. */
static enum scope_err read_lines(struct scope_recording *recording, const char *name,
        bool (*take)(struct scope_recording *recording, const json_t *object),
        struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX + 64];
        struct scope_jsonl *reader = NULL;
        const json_t *object = NULL;
        (void)snprintf(path, sizeof path, "%s/rollouts/%s", recording->directory, name);
        if (access(path, F_OK) != 0)
                return SCOPE_OK;
        enum scope_err err = scope_jsonl_open(path, &reader, diag);
        while (err == SCOPE_OK) {
                err = scope_jsonl_next(reader, &object, diag);
                if (err != SCOPE_OK || object == NULL)
                        break;
                if (!take(recording, object))
                        err = scope_jsonl_bad(reader, SCOPE_ERR_FORMAT, diag,
                                "no line that this version writes there");
        }
        scope_jsonl_close(reader);
        return err;
}

/* --- put together --------------------------------------------------------------------------- */

static int by_sample(const void *one, const void *two)
{
        const struct scope_recorded_sample *a = one, *b = two;
        int order = compare(a->group, b->group);
        if (order == 0)
                order = compare(a->sample, b->sample);
        return order != 0 ? order : compare(a->text, b->text); /* a resumed run's later */
}

static int by_decoded(const void *one, const void *two)
{
        const struct scope_recorded_decode *a = one, *b = two;
        int order = compare(a->group, b->group);
        if (order == 0)
                order = compare(a->sample, b->sample);
        return order != 0 ? order : compare(a->ended_ns, b->ended_ns);
}

static int by_group(const void *one, const void *two)
{
        const struct scope_recorded_group *a = one, *b = two;
        int order = compare(a->group, b->group);
        return order != 0 ? order : compare(a->text, b->text);
}

int scope_recorded_by_tokens(const void *one, const void *two)
{
        const struct scope_recorded_tokens *a = one, *b = two;
        int order = compare(a->group, b->group);
        return order != 0 ? order : compare(a->sample, b->sample);
}

int scope_recorded_by_scored(const void *one, const void *two)
{
        const struct scope_recorded_scoring *a = one, *b = two;
        return compare(a->group, b->group);
}

int scope_recorded_by_score(const void *one, const void *two)
{
        const struct scope_recorded_score *a = one, *b = two;
        int order = compare(a->group, b->group);
        return order != 0 ? order : compare(a->sample, b->sample);
}

int scope_recorded_by_exact(const void *one, const void *two)
{
        const struct scope_recorded_call *a = one, *b = two;
        int order = compare(a->exact, b->exact);
        return order != 0 ? order : compare(a->text, b->text);
}

int scope_recorded_by_problem(const void *one, const void *two)
{
        const struct scope_recorded_call *a = one, *b = two;
        int order = compare(a->problem, b->problem);
        return order != 0 ? order : compare(a->text, b->text);
}

static void sort(
        struct scope_recorded_rows *rows, size_t bytes, int (*order)(const void *, const void *))
{
        if (rows->count > 1)
                qsort(rows->at, rows->count, bytes, order);
}

/* Joins words and times; of a sample or group that was written twice, the later counts. */
static void join(struct scope_recording *recording)
{
        struct scope_recorded_sample *samples = recording->samples.at;
        size_t kept = 0, at = 0;
        for (size_t i = 0; i < recording->samples.count; i++) {
                struct scope_recorded_sample sample = samples[i];
                struct scope_recorded_decode key = {
                        .group = sample.group, .sample = sample.sample, .ended_ns = UINT64_MAX
                };
                bool again = i + 1 < recording->samples.count &&
                             samples[i + 1].group == sample.group &&
                             samples[i + 1].sample == sample.sample;
                while (at < recording->decoded.count &&
                        by_decoded(ROW(recording->decoded, struct scope_recorded_decode, at),
                                &key) < 0)
                        at++;
                const struct scope_recorded_decode *last =
                        at > 0 ? ROW(recording->decoded, struct scope_recorded_decode, at - 1)
                               : NULL;
                if (again || last == NULL || last->group != sample.group ||
                        last->sample != sample.sample)
                        continue;
                sample.service_ns = last->service_ns;
                sample.tokens = last->tokens;
                samples[kept++] = sample;
        }
        recording->samples.count = kept;
        struct scope_recorded_group *groups = recording->groups.at;
        size_t groups_kept = 0, next = 0;
        for (size_t i = 0; i < recording->groups.count; i++) {
                struct scope_recorded_group group = groups[i];
                bool again = i + 1 < recording->groups.count && groups[i + 1].group == group.group;
                while (next < kept && samples[next].group < group.group)
                        next++;
                group.first_sample = next;
                while (next < kept && samples[next].group == group.group)
                        next++;
                group.sample_count = (uint32_t)(next - group.first_sample);
                if (!again && group.sample_count > 0)
                        groups[groups_kept++] = group;
                else if (again)
                        next = group.first_sample;
        }
        recording->groups.count = groups_kept;
}

static void arrange(struct scope_recording *recording)
{
        sort(&recording->decoded, sizeof(struct scope_recorded_decode), by_decoded);
        sort(&recording->samples, sizeof(struct scope_recorded_sample), by_sample);
        sort(&recording->groups, sizeof(struct scope_recorded_group), by_group);
        sort(&recording->tokens, sizeof(struct scope_recorded_tokens), scope_recorded_by_tokens);
        sort(&recording->scored, sizeof(struct scope_recorded_scoring), scope_recorded_by_scored);
        sort(&recording->scores, sizeof(struct scope_recorded_score), scope_recorded_by_score);
        join(recording);
        for (size_t i = 0; i < recording->calls.count; i++) {
                struct scope_recorded_call *copy =
                        add(recording, &recording->by_problem, sizeof *copy);
                if (copy != NULL)
                        *copy = *ROW(recording->calls, struct scope_recorded_call, i);
        }
        sort(&recording->calls, sizeof(struct scope_recorded_call), scope_recorded_by_exact);
        sort(&recording->by_problem, sizeof(struct scope_recorded_call), scope_recorded_by_problem);
}

enum scope_err scope_recording_load(
        const char *directory, struct scope_recording **ret_recording, struct scope_diag *diag)
{
        struct scope_recording *recording = calloc(1, sizeof *recording);
        if (recording == NULL)
                return SCOPE_ERR_MEMORY;
        (void)snprintf(recording->directory, sizeof recording->directory, "%s", directory);
        enum scope_err err = read_trails(recording, diag);
        if (err == SCOPE_OK)
                err = read_lines(recording, "index.jsonl", take_group, diag);
        if (err == SCOPE_OK)
                err = read_lines(recording, "stream.jsonl", take_rollout, diag);
        if (err == SCOPE_OK)
                err = read_lines(recording, "replies.jsonl", take_reply, diag);
        if (err == SCOPE_OK)
                arrange(recording);
        if (err == SCOPE_OK && (recording->failed || recording->text.failed))
                err = SCOPE_ERR_MEMORY;
        if (err != SCOPE_OK)
                scope_recording_destroy(recording);
        else
                *ret_recording = recording;
        return err;
}

void scope_recording_destroy(struct scope_recording *recording)
{
        if (recording == NULL)
                return;
        struct scope_recorded_rows *const all[] = { &recording->decoded, &recording->samples,
                &recording->groups, &recording->steps, &recording->tokens, &recording->ids,
                &recording->logp, &recording->scored, &recording->scores, &recording->p,
                &recording->calls, &recording->by_problem, &recording->learn,
                &recording->publish };
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
                free(all[i]->at);
        scope_text_fini(&recording->text);
        free(recording);
}
