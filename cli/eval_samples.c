#include "cli/eval_samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/jsonl.h"
#include "tasks/dataset.h"

enum { PROBLEMS_MAX = 1 << 20, SAMPLES_MAX = 1 << 16 };

/* --- writing ---------------------------------------------------------------------------------- */

struct scope_eval_writer {
        FILE *file;
        char *path;
        struct scope_text line;
};

enum scope_err scope_eval_writer_open(
        const char *path, struct scope_eval_writer **ret_writer, struct scope_diag *diag)
{
        struct scope_eval_writer *writer = calloc(1, sizeof *writer);
        if (writer != NULL)
                writer->path = strdup(path);
        if (writer == NULL || writer->path == NULL) {
                free(writer);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "out of memory");
        }
        writer->file = fopen(path, "we");
        if (writer->file == NULL) {
                int error = errno;
                (void)scope_eval_writer_close(writer, NULL); /* it is empty */
                return scope_diag_set(
                        diag, scope_err_from_errno(error), "%s: %s", path, strerror(error));
        }
        *ret_writer = writer;
        return SCOPE_OK;
}

enum scope_err scope_eval_writer_put(struct scope_eval_writer *writer, const char *problem,
        uint32_t sample, const struct scope_evaluation_sample *record,
        const struct scope_evaluation_verdict *verdict)
{
        if (writer == NULL)
                return SCOPE_OK;
        struct scope_text *line = &writer->line;
        scope_text_clear(line);
        scope_json_open(line, NULL, '{');
        scope_json_raw(line, "problem", problem, strlen(problem));
        scope_json_uint(line, "sample", sample);
        scope_json_bytes(line, "gold", verdict->gold.at, verdict->gold.bytes);
        scope_json_bytes(line, record->bare ? "prediction" : "text", record->text.at,
                record->text.bytes);
        if (verdict->answer.bytes > 0)
                scope_json_bytes(line, "answer", verdict->answer.at, verdict->answer.bytes);
        scope_json_bool(line, "equal", verdict->result.equal);
        scope_json_text(line, "stage", scope_grade_stage_names[verdict->result.stage]);
        if (record->tokens > 0)
                scope_json_uint(line, "tokens", record->tokens);
        scope_json_close(line, '}');
        scope_text_string(line, "\n");
        if (line->failed)
                return SCOPE_ERR_MEMORY;
        return fwrite(line->bytes, 1, line->count, writer->file) == line->count ? SCOPE_OK
                                                                                : SCOPE_ERR_IO;
}

enum scope_err scope_eval_writer_close(struct scope_eval_writer *writer, struct scope_diag *diag)
{
        enum scope_err err = SCOPE_OK;
        if (writer == NULL)
                return SCOPE_OK;
        bool failed = writer->file != NULL && ferror(writer->file) != 0;
        failed = (writer->file != NULL && fclose(writer->file) != 0) || failed;
        if (failed)
                err = scope_diag_set(diag, SCOPE_ERR_IO, "%s: cannot be written", writer->path);
        scope_text_fini(&writer->line);
        free(writer->path);
        free(writer);
        return err;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Problems by the hash of their key, in the order in which they come. */
struct problems {
        uint64_t *keys;     /* open addressing, capacity a power of two; 0 = free */
        uint32_t *index;    /* of the key beside it */
        uint32_t *samples;  /* of each problem: [count] */
        uint32_t count, capacity;
};

struct reading {
        const struct scope_eval_samples *from;
        struct scope_jsonl *reader;
        struct problems problems;
        uint32_t *added; /* of each problem, in the second pass */
        struct scope_evaluation *evaluation;
        struct scope_arena arena; /* of a gold answer of the data set */
};

static void problems_fini(struct problems *problems)
{
        free(problems->keys);
        free(problems->index);
        free(problems->samples);
}

static bool problems_grow(struct problems *problems)
{
        uint32_t capacity = problems->capacity == 0 ? 1024 : 2 * problems->capacity;
        uint64_t *keys = calloc(capacity, sizeof *keys);
        uint32_t *index = calloc(capacity, sizeof *index);
        uint32_t *samples = realloc(problems->samples, capacity * sizeof *samples);
        if (samples != NULL)
                problems->samples = samples;
        if (keys == NULL || index == NULL || samples == NULL) {
                free(keys);
                free(index);
                return false;
        }
        for (uint32_t i = 0; i < problems->capacity; i++) {
                if (problems->keys[i] == 0)
                        continue;
                uint32_t at = (uint32_t)problems->keys[i] & (capacity - 1);
                while (keys[at] != 0)
                        at = (at + 1) & (capacity - 1);
                keys[at] = problems->keys[i];
                index[at] = problems->index[i];
        }
        free(problems->keys);
        free(problems->index);
        problems->keys = keys;
        problems->index = index;
        problems->capacity = capacity;
        return true;
}

/* The number of a key, a new one where it is new; SCOPE_ERR_* by way of `ret_err`. */
static uint32_t problems_find(struct problems *problems, uint64_t key, enum scope_err *ret_err)
{
        *ret_err = SCOPE_OK;
        if (2 * problems->count >= problems->capacity && !problems_grow(problems)) {
                *ret_err = SCOPE_ERR_MEMORY;
                return 0;
        }
        uint32_t at = (uint32_t)key & (problems->capacity - 1);
        while (problems->keys[at] != 0 && problems->keys[at] != key)
                at = (at + 1) & (problems->capacity - 1);
        if (problems->keys[at] == key)
                return problems->index[at];
        if (problems->count == PROBLEMS_MAX) {
                *ret_err = SCOPE_ERR_TOO_BIG;
                return 0;
        }
        problems->keys[at] = key;
        problems->samples[problems->count] = 0;
        return problems->index[at] = problems->count++;
}

/* The first of `keys` that an object has; *ret_key is its name. */
static const json_t *first_of(
        const json_t *object, const char *const *keys, const char **ret_key)
{
        for (; *keys != NULL; keys++) {
                const json_t *value = json_object_get(object, *keys);
                *ret_key = *keys;
                if (value != NULL && !json_is_null(value))
                        return value;
        }
        return NULL;
}

static const char *const problem_keys[] = { "problem", "id", "question", "prompt", NULL };
static const char *const gold_keys[] = { "gold", "ground_truth", NULL };
static const char *const text_keys[] = { "text", "response", "completion", "prediction", NULL };

/* One line, understood. */
struct line {
        const json_t *problem, *texts; /* texts: one, or a list */
        uint32_t index, count;
        bool bare;
};

static enum scope_err read_line(
        struct reading *reading, const json_t *object, struct line *line, struct scope_diag *diag)
{
        const char *key = "";
        enum scope_err err;
        line->problem = first_of(object, problem_keys, &key);
        if (!json_is_string(line->problem) && !json_is_integer(line->problem))
                return scope_jsonl_bad(reading->reader, SCOPE_ERR_FORMAT, diag,
                        "no \"problem\" (or \"id\", \"question\", \"prompt\"), a number or a "
                        "text that its samples share");
        line->texts = first_of(object, text_keys, &key);
        line->bare = line->texts != NULL && strcmp(key, "prediction") == 0;
        line->count = json_is_array(line->texts) ? (uint32_t)json_array_size(line->texts) : 1;
        for (uint32_t i = 0; i < line->count; i++) {
                const json_t *text = json_is_array(line->texts)
                                             ? json_array_get(line->texts, i)
                                             : line->texts;
                if (!json_is_string(text))
                        return scope_jsonl_bad(reading->reader, SCOPE_ERR_FORMAT, diag,
                                "no \"text\" (or \"response\", \"completion\", "
                                "\"prediction\"), a text or a list of texts");
        }
        char number[32];
        (void)snprintf(number, sizeof number, "%lld",
                (long long)json_integer_value(line->problem));
        bool is_text = json_is_string(line->problem);
        const char *bytes = is_text ? json_string_value(line->problem) : number;
        size_t count = is_text ? json_string_length(line->problem) : strlen(number);
        uint64_t hash = scope_hash_pair(is_text, scope_hash_bytes(bytes, count));
        line->index = problems_find(&reading->problems, hash != 0 ? hash : 1, &err);
        return err != SCOPE_OK ? scope_jsonl_bad(reading->reader, err, diag, "%s",
                                         scope_err_text(err))
                               : SCOPE_OK;
}

/* Gold of a line: its own, or the data set's for a problem of that number. */
static enum scope_err find_gold(struct reading *reading, const json_t *object,
        const struct line *line, struct scope_jsonl_answer *room, struct scope_string *ret_gold,
        struct scope_diag *diag)
{
        const struct scope_dataset *data = reading->from->data;
        struct scope_problem record;
        const char *key = "";
        if (first_of(object, gold_keys, &key) != NULL) {
                enum scope_err err = scope_jsonl_answer(reading->reader, object, key, room, diag);
                *ret_gold = (struct scope_string){ room->bytes, (uint32_t)room->count };
                return err;
        }
        json_int_t number = json_integer_value(line->problem);
        if (!json_is_integer(line->problem) || data == NULL || number < 0 ||
                (uint64_t)number >= data->count)
                return scope_jsonl_bad(reading->reader, SCOPE_ERR_FORMAT, diag,
                        "no \"gold\", and \"problem\" is not the number of one in data.eval");
        scope_arena_reset(&reading->arena);
        enum scope_err err =
                scope_dataset_get(data, (uint64_t)number, &reading->arena, &record);
        *ret_gold = record.gold;
        return err;
}

static enum scope_err add_line(struct reading *reading, const json_t *object,
        const struct line *line, struct scope_diag *diag)
{
        struct scope_jsonl_answer room;
        const json_t *question = json_object_get(object, "question");
        const json_t *tokens = json_object_get(object, "tokens");
        struct scope_evaluation_sample sample = { .problem = line->index, .bare = line->bare };
        enum scope_err err = find_gold(reading, object, line, &room, &sample.gold, diag);
        if (err != SCOPE_OK)
                return err;
        if (sample.gold.bytes == 0)
                return scope_jsonl_bad(
                        reading->reader, SCOPE_ERR_FORMAT, diag, "the gold answer is empty");
        if (json_is_string(question))
                sample.question = (struct scope_string){ json_string_value(question),
                        (uint32_t)json_string_length(question) };
        if (json_is_integer(tokens) && json_integer_value(tokens) > 0 && line->count == 1)
                sample.tokens = (uint32_t)json_integer_value(tokens);
        char *problem = json_dumps(line->problem, JSON_ENCODE_ANY);
        err = problem != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < line->count && err == SCOPE_OK; i++) {
                const json_t *text = json_is_array(line->texts)
                                             ? json_array_get(line->texts, i)
                                             : line->texts;
                sample.text = (struct scope_string){ json_string_value(text),
                        (uint32_t)json_string_length(text) };
                err = scope_evaluation_add(reading->evaluation, &sample);
                if (err == SCOPE_OK)
                        err = scope_eval_writer_put(reading->from->writer, problem,
                                reading->added[line->index]++, &sample,
                                scope_evaluation_verdict(reading->evaluation));
        }
        free(problem);
        return err != SCOPE_OK ? scope_jsonl_bad(reading->reader, err, diag, "%s",
                                         scope_err_text(err))
                               : SCOPE_OK;
}

/* Every line once; the first pass has no evaluation yet, and counts. */
static enum scope_err pass(struct reading *reading, struct scope_diag *diag)
{
        const json_t *object = NULL;
        enum scope_err err = scope_jsonl_open(reading->from->path, &reading->reader, diag);
        while (err == SCOPE_OK) {
                struct line line = { 0 };
                err = scope_jsonl_next(reading->reader, &object, diag);
                if (err != SCOPE_OK || object == NULL)
                        break;
                err = read_line(reading, object, &line, diag);
                if (err == SCOPE_OK && reading->evaluation != NULL)
                        err = add_line(reading, object, &line, diag);
                else if (err == SCOPE_OK)
                        reading->problems.samples[line.index] += line.count;
        }
        scope_jsonl_close(reading->reader);
        reading->reader = NULL;
        return err;
}

static enum scope_err make_evaluation(struct reading *reading, struct scope_diag *diag)
{
        const struct problems *problems = &reading->problems;
        struct scope_evaluation_options options = { .grade = reading->from->grade,
                .problems = problems->count,
                .samples = 1,
                .full = true,
                .k = reading->from->k };
        if (problems->count == 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%s: no sample in it", reading->from->path);
        reading->added = calloc(problems->count, sizeof *reading->added);
        enum scope_err err = reading->added != NULL ? SCOPE_OK : SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK)
                err = scope_evaluation_create(&options, &reading->evaluation);
        for (uint32_t i = 0; i < problems->count && err == SCOPE_OK; i++) {
                uint32_t samples = problems->samples[i];
                if (samples == 0 || samples > SAMPLES_MAX)
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "%s: %u samples of one problem, the limits are 1 and %d",
                                reading->from->path, samples, SAMPLES_MAX);
                err = scope_evaluation_expect(reading->evaluation, i, samples);
        }
        return err;
}

enum scope_err scope_eval_samples_read(const struct scope_eval_samples *samples,
        struct scope_evaluation **ret_evaluation, struct scope_diag *diag)
{
        struct reading reading = { .from = samples };
        if (strcmp(samples->path, "-") == 0)
                return scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                        "samples are read twice: name a file, not standard input");
        enum scope_err err = scope_arena_init(&reading.arena, 4 << 20);
        if (err == SCOPE_OK)
                err = pass(&reading, diag);
        if (err == SCOPE_OK)
                err = make_evaluation(&reading, diag);
        if (err == SCOPE_OK)
                err = pass(&reading, diag);
        problems_fini(&reading.problems);
        free(reading.added);
        scope_arena_fini(&reading.arena);
        if (err != SCOPE_OK) {
                scope_evaluation_destroy(reading.evaluation);
                return err;
        }
        *ret_evaluation = reading.evaluation;
        return SCOPE_OK;
}
