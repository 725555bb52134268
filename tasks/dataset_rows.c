#include "tasks/dataset_rows.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "schemas/scope_string.h"
#include "tasks/dataset.h"

enum { ROWS_MAX = 1 << 24, ANSWERS_MAX = 3, PATH_MAX_BYTES = 128 };

/* How the answer is found in the value of its key. */
enum answer { ANSWER_BARE, ANSWER_HASH, ANSWER_SEQUENCE };

struct form {
        const char *name;
        const char *prompt, *answers[ANSWERS_MAX]; /* the first that is there */
        const char *solution;
        enum answer answer; /* of `answers`; of a solution, its \boxed{}, else #### */
};

static const struct form forms[] = {
        { "verl (prompt, reward_model.ground_truth)", "prompt", { "reward_model.ground_truth" },
                "extra_info.answer", ANSWER_BARE },
        { "PRM800K (question.problem, question.ground_truth_answer)", "question.problem",
                { "question.ground_truth_answer" }, NULL, ANSWER_BARE },
        { "MATH (problem, answer or solution)", "problem", { "answer" }, "solution", ANSWER_BARE },
        { "stepwise (prompt, completions, labels)", "prompt", { NULL }, "completions",
                ANSWER_BARE },
        { "prompt, answer", "prompt", { "answer", "ground_truth" }, "solution", ANSWER_BARE },
        { "GSM8K (question, answer with ####)", "question", { "answer" }, NULL, ANSWER_HASH },
        { "question, answer", "question", { "answer" }, "solution", ANSWER_BARE },
        { "messages", "messages", { "answer", "ground_truth" }, "solution", ANSWER_BARE },
        { "digit sequences (prompt a,b:m,n; the answer is computed)", "prompt", { NULL }, NULL,
                ANSWER_SEQUENCE },
};
enum { FORM_STEPWISE = 3, FORM_GSM8K = 5, FORM_MESSAGES = 7, FORM_DIGITS = 8 };
enum { FORMS = sizeof forms / sizeof forms[0] };

struct span {
        size_t at;
        uint32_t bytes;
};
struct row {
        struct span text, gold, solution, messages;
};

struct scope_dataset_rows {
        struct scope_dataset base;
        struct scope_text words; /* of all rows, one after another */
        struct row *rows;
        size_t row_capacity;
        struct form form; /* with the caller's keys */
        char *path, prompt[PATH_MAX_BYTES], answer[PATH_MAX_BYTES], solution[PATH_MAX_BYTES];
        char name[160];
};

/* One row as it is read: texts borrowed from its JSON or from here. */
struct reading {
        struct scope_dataset_rows *rows;
        uint64_t number;
        struct scope_diag *diag;
        struct scope_string text, gold, solution, messages;
        struct scope_text made; /* a text put together of parts; completions */
        char digits[64], gold_bytes[SCOPE_ANSWER_BYTES_MAX];
        char *dumped; /* messages */
};

enum scope_err scope_dataset_rows_fault(const struct scope_dataset_rows *rows, uint64_t number,
        const char *what, struct scope_diag *diag)
{
        return scope_diag_set(diag, SCOPE_ERR_FORMAT, "%.300s:%llu: %s", rows->path,
                (unsigned long long)number, what);
}

static enum scope_err fault(const struct reading *r, const char *format, const char *key)
{
        char what[240];
        (void)snprintf(what, sizeof what, format, key, r->rows->name);
        return scope_dataset_rows_fault(r->rows, r->number, what, r->diag);
}

/* ---- pieces of text ---- */

static struct scope_string string_of(const json_t *value)
{
        return (struct scope_string){ json_string_value(value),
                (uint32_t)json_string_length(value) };
}

/* What follows the last `mark`; false where there is none. */
static bool after_last(struct scope_string text, const char *mark, struct scope_string *ret_rest)
{
        size_t bytes = strlen(mark);
        for (uint32_t at = text.bytes; at >= bytes; at--)
                if (memcmp(text.at + at - bytes, mark, bytes) == 0) {
                        *ret_rest = (struct scope_string){ text.at + at, text.bytes - at };
                        return true;
                }
        return false;
}

/* The content of the last \boxed{}, braces balanced. Data sets are clean: the grader's rules for
 * what a model may write are algorithm/boxed.h. */
static bool boxed(struct scope_string text, struct scope_string *ret_answer)
{
        struct scope_string rest;
        if (!after_last(text, "\\boxed{", &rest))
                return false;
        uint32_t depth = 1;
        for (uint32_t i = 0; i < rest.bytes; i++) {
                if (rest.at[i] == '\\') {
                        i++;
                        continue;
                }
                depth += rest.at[i] == '{';
                depth -= rest.at[i] == '}';
                if (depth == 0) {
                        *ret_answer = scope_string_trim((struct scope_string){ rest.at, i });
                        return true;
                }
        }
        return false;
}

static struct span keep(struct scope_dataset_rows *rows, struct scope_string text)
{
        struct span span = { rows->words.count, text.bytes };
        scope_text_add(&rows->words, text.at, text.bytes);
        return span;
}

/* ---- keys ---- */

/* The value at "a.b"; NULL where there is none, or it is null. */
static const json_t *value_at(const json_t *object, const char *path)
{
        char key[PATH_MAX_BYTES];
        while (path != NULL && object != NULL) {
                const char *dot = strchr(path, '.');
                size_t bytes = dot != NULL ? (size_t)(dot - path) : strlen(path);
                if (bytes >= sizeof key)
                        return NULL;
                memcpy(key, path, bytes);
                key[bytes] = 0;
                object = json_object_get(object, key);
                path = dot != NULL ? dot + 1 : NULL;
        }
        return json_is_null(object) ? NULL : object;
}

bool scope_dataset_rows_wants(const struct scope_dataset_keys *keys, const char *path)
{
        const char *paths[FORMS * (ANSWERS_MAX + 2) + 4] = { "labels", keys->prompt, keys->answer,
                keys->solution };
        size_t count = 4;
        for (size_t i = 0; i < FORMS; i++) {
                paths[count++] = forms[i].prompt;
                paths[count++] = forms[i].solution;
                for (size_t a = 0; a < ANSWERS_MAX; a++)
                        paths[count++] = forms[i].answers[a];
        }
        for (size_t i = 0; i < count; i++) {
                size_t wanted = paths[i] != NULL ? strlen(paths[i]) : 0, bytes = strlen(path);
                size_t shared = wanted < bytes ? wanted : bytes;
                if (shared == 0 || strncmp(paths[i], path, shared) != 0)
                        continue;
                char behind = wanted > bytes ? paths[i][shared] : path[shared];
                if (behind == 0 || behind == '.')
                        return true; /* the same, or one lies inside the other */
        }
        return false;
}

static const json_t *answer_of(const struct form *form, const json_t *object)
{
        for (size_t i = 0; i < ANSWERS_MAX; i++) {
                const json_t *answer =
                        form->answers[i] != NULL ? value_at(object, form->answers[i]) : NULL;
                if (answer != NULL)
                        return answer;
        }
        return NULL;
}

static bool has_form(size_t index, const json_t *object)
{
        const struct form *form = &forms[index];
        const json_t *answer = answer_of(form, object);
        struct scope_string rest;
        if (value_at(object, form->prompt) == NULL)
                return false;
        if (index == FORM_DIGITS)
                return false; /* by its text, not by its keys */
        if (index == FORM_STEPWISE)
                return json_is_array(value_at(object, "completions"));
        if (index == FORM_GSM8K)
                return json_is_string(answer) && after_last(string_of(answer), "####", &rest);
        if (index == FORM_MESSAGES)
                return json_is_array(value_at(object, "messages"));
        if (form->solution == NULL || strchr(form->solution, '.') != NULL)
                return answer != NULL;
        return answer != NULL || value_at(object, form->solution) != NULL;
}

/* "a,b:m,n": the numbers of a prompt that asks for the next n terms of a, b, ... modulo m. */
static bool read_sequence(struct scope_string text, unsigned ret_numbers[4])
{
        char copy[40];
        int used = 0;
        if (text.bytes >= sizeof copy)
                return false;
        memcpy(copy, text.at, text.bytes);
        copy[text.bytes] = 0;
        return strspn(copy, "0123456789,:") == text.bytes &&
               sscanf(copy, "%3u,%3u:%3u,%3u%n", &ret_numbers[0], &ret_numbers[1], &ret_numbers[2],
                       &ret_numbers[3], &used) == 4 &&
               (uint32_t)used == text.bytes && ret_numbers[2] > 0 && ret_numbers[3] <= 100;
}

/* ---- the prompt ---- */

/* A text, or parts {"type": "text", "text": ...} put together. False: neither. */
static bool content_text(struct reading *r, const json_t *content, struct scope_string *ret_text)
{
        if (json_is_string(content)) {
                *ret_text = string_of(content);
                return true;
        }
        if (json_array_size(content) == 0)
                return false;
        scope_text_clear(&r->made);
        for (size_t i = 0; i < json_array_size(content); i++) {
                const json_t *text = json_object_get(json_array_get(content, i), "text");
                if (!json_is_string(text))
                        return false;
                scope_text_add(&r->made, json_string_value(text), json_string_length(text));
        }
        *ret_text = (struct scope_string){ r->made.bytes, (uint32_t)r->made.count };
        return !r->made.failed;
}

/* Index after the last message of `role`; 0 where there is none. */
static size_t last_of(const json_t *messages, const char *role)
{
        for (size_t i = json_array_size(messages); i > 0; i--) {
                const char *found =
                        json_string_value(json_object_get(json_array_get(messages, i - 1), "role"));
                if (found != NULL && strcmp(found, role) == 0)
                        return i;
        }
        return 0;
}

static enum scope_err read_prompt(struct reading *r, const json_t *object)
{
        const char *key = r->rows->form.prompt;
        const json_t *prompt = value_at(object, key), *text = prompt;
        if (json_is_array(prompt)) {
                size_t end = last_of(prompt, "user");
                text = end > 0 ? json_object_get(json_array_get(prompt, end - 1), "content") : NULL;
                json_t *kept = json_array();
                for (size_t i = 0; i < end; i++)
                        (void)json_array_append(kept, json_array_get(prompt, i));
                r->dumped = json_dumps(kept, JSON_COMPACT);
                json_decref(kept);
                if (r->dumped == NULL)
                        return scope_diag_set(
                                r->diag, SCOPE_ERR_MEMORY, "%.300s: out of memory", r->rows->path);
                r->messages = (struct scope_string){ r->dumped, (uint32_t)strlen(r->dumped) };
        }
        if (!content_text(r, text, &r->text) || scope_string_trim(r->text).bytes == 0)
                return fault(r, "no text in \"%s\" (the first row has the form %s)", key);
        return SCOPE_OK;
}

/* The first row decides. */
static enum scope_err find_form(struct reading *r, const json_t *object)
{
        struct scope_dataset_rows *rows = r->rows;
        size_t index = 0;
        while (index < FORMS && !has_form(index, object))
                index++;
        unsigned numbers[4];
        if (index == FORMS && rows->answer[0] == 0) { /* prompts alone: only where we can solve */
                rows->form = forms[FORM_DIGITS];
                if (read_prompt(r, object) == SCOPE_OK && read_sequence(r->text, numbers))
                        index = FORM_DIGITS;
                free(r->dumped);
                r->dumped = NULL;
        }
        bool named = rows->prompt[0] != 0 && (rows->answer[0] != 0 || rows->solution[0] != 0);
        if (index == FORMS && !named)
                return scope_dataset_rows_fault(rows, r->number,
                        "want \"question\" and \"answer\", \"problem\" and \"answer\" or "
                        "\"solution\", \"prompt\" and \"answer\", \"ground_truth\", \"solution\" "
                        "or \"reward_model.ground_truth\", or \"messages\"; or say which keys "
                        "hold them: data.prompt_key, data.answer_key, data.solution_key",
                        r->diag);
        if (index < FORMS)
                rows->form = forms[index];
        (void)snprintf(rows->name, sizeof rows->name, "%s",
                index < FORMS ? rows->form.name : "keys as told");
        if (rows->prompt[0] != 0)
                rows->form.prompt = rows->prompt;
        if (rows->answer[0] != 0) {
                memset(rows->form.answers, 0, sizeof rows->form.answers);
                rows->form.answers[0] = rows->answer;
                rows->form.answer = ANSWER_BARE;
        }
        if (rows->solution[0] != 0)
                rows->form.solution = rows->solution;
        if (rows->prompt[0] != 0 || rows->answer[0] != 0 || rows->solution[0] != 0)
                (void)snprintf(rows->name, sizeof rows->name, "keys as told: %.60s, %.60s",
                        rows->form.prompt,
                        rows->form.answers[0] != NULL ? rows->form.answers[0]
                                                      : rows->form.solution);
        return SCOPE_OK;
}

/* ---- the answer ---- */

/* "1,234": the commas of thousands go. */
static bool take_hash(struct reading *r, struct scope_string text)
{
        struct scope_string rest;
        uint32_t count = 0;
        if (!after_last(text, "####", &rest))
                return false;
        rest = scope_string_trim(rest);
        if (rest.bytes > sizeof r->gold_bytes)
                return false;
        for (uint32_t i = 0; i < rest.bytes; i++)
                if (rest.at[i] != ',')
                        r->gold_bytes[count++] = rest.at[i];
        r->gold = (struct scope_string){ r->gold_bytes, count };
        return true;
}

/* Answers are texts or numbers; 27.0 is written 27. */
static bool take_bare(struct reading *r, const json_t *answer)
{
        if (json_is_string(answer)) {
                r->gold = scope_string_trim(string_of(answer));
                return true;
        }
        if (json_is_integer(answer))
                (void)snprintf(r->digits, sizeof r->digits, "%" JSON_INTEGER_FORMAT,
                        json_integer_value(answer));
        else if (json_is_real(answer))
                (void)snprintf(r->digits, sizeof r->digits, "%.15g", json_real_value(answer));
        else
                return false;
        r->gold = (struct scope_string){ r->digits, (uint32_t)strlen(r->digits) };
        return true;
}

/* The next terms, modulo m; none where n is 0. */
static bool take_sequence(struct reading *r)
{
        unsigned numbers[4];
        struct scope_text made = { 0 };
        if (!read_sequence(r->text, numbers))
                return false;
        unsigned modulus = numbers[2], last = numbers[1];
        unsigned step = (numbers[1] % modulus + modulus - numbers[0] % modulus) % modulus;
        for (unsigned i = 0; i < numbers[3]; i++) {
                last = (last + step) % modulus;
                scope_text_format(&made, "%s%u", i > 0 ? "," : "", last);
        }
        bool fits = !made.failed && made.count <= sizeof r->gold_bytes;
        if (fits && made.count > 0)
                memcpy(r->gold_bytes, made.bytes, made.count);
        r->gold = (struct scope_string){ r->gold_bytes, (uint32_t)made.count };
        scope_text_fini(&made);
        return fits;
}

/* A worked solution: a text, or steps with a blank line between. */
static void take_solution(struct reading *r, const json_t *solution)
{
        if (json_is_string(solution)) {
                r->solution = string_of(solution);
                return;
        }
        for (size_t i = 0; i < json_array_size(solution); i++) {
                const json_t *step = json_array_get(solution, i);
                if (i > 0)
                        scope_text_string(&r->made, "\n\n");
                scope_text_add(&r->made, json_string_value(step), json_string_length(step));
        }
        if (json_is_array(solution) && r->made.count > 0 && !r->made.failed)
                r->solution = (struct scope_string){ r->made.bytes, (uint32_t)r->made.count };
}

static enum scope_err read_answer(struct reading *r, const json_t *object)
{
        const struct form *form = &r->rows->form;
        const json_t *answer = answer_of(form, object), *solution = NULL;
        const char *answer_key = form->answers[0] != NULL ? form->answers[0] : "answer",
                   *key = form->solution;
        if (form->answer == ANSWER_SEQUENCE)
                return take_sequence(r)
                               ? SCOPE_OK
                               : fault(r, "\"%s\" is not of the form a,b:m,n", form->prompt);
        if (form->answer == ANSWER_HASH) {
                if (!json_is_string(answer) || !take_hash(r, string_of(answer)))
                        return fault(r, "\"%s\" is no text with \"#### ANSWER\" in it", answer_key);
                r->solution = string_of(answer);
                return SCOPE_OK;
        }
        if (key != NULL)
                solution = value_at(object, key);
        if (solution == NULL && strcmp(form->prompt, "messages") == 0) {
                const json_t *messages = value_at(object, "messages");
                size_t end = last_of(messages, "assistant");
                solution = end > last_of(messages, "user")
                                   ? json_object_get(json_array_get(messages, end - 1), "content")
                                   : NULL;
                key = "messages";
        }
        take_solution(r, solution);
        if (answer != NULL)
                return take_bare(r, answer)
                               ? SCOPE_OK
                               : fault(r, "\"%s\" is neither a text nor a number", answer_key);
        if (r->solution.bytes == 0)
                return fault(r, "no \"%s\"", answer_key);
        if (boxed(r->solution, &r->gold) || take_hash(r, r->solution))
                return SCOPE_OK;
        return fault(r, "no \"answer\", and no whole \\boxed{} or #### in \"%s\"", key);
}

/* ---- rows ---- */

static enum scope_err judge(const struct reading *r)
{
        if (r->gold.bytes == 0 && r->rows->form.answer != ANSWER_SEQUENCE)
                return fault(r, "the answer is empty", "");
        if (r->gold.bytes > SCOPE_ANSWER_BYTES_MAX)
                return fault(r, "the answer is longer than 512 bytes", "");
        if (r->text.bytes > SCOPE_TEXT_BYTES_MAX || r->solution.bytes > SCOPE_TEXT_BYTES_MAX ||
                r->messages.bytes > SCOPE_TEXT_BYTES_MAX)
                return fault(r, "a text is longer than 1 MiB", "");
        return SCOPE_OK;
}

static enum scope_err add_row(const struct reading *r)
{
        struct scope_dataset_rows *rows = r->rows;
        if (rows->base.count == ROWS_MAX)
                return scope_diag_set(r->diag, SCOPE_ERR_TOO_BIG, "%.300s: over %d problems",
                        rows->path, ROWS_MAX);
        if (rows->base.count == rows->row_capacity) {
                size_t capacity = rows->row_capacity == 0 ? 1024 : rows->row_capacity * 2;
                struct row *more = realloc(rows->rows, capacity * sizeof *more);
                if (more == NULL)
                        return scope_diag_set(
                                r->diag, SCOPE_ERR_MEMORY, "%.300s: out of memory", rows->path);
                rows->rows = more;
                rows->row_capacity = capacity;
        }
        rows->rows[rows->base.count++] = (struct row){ keep(rows, r->text), keep(rows, r->gold),
                keep(rows, r->solution), keep(rows, r->messages) };
        return SCOPE_OK;
}

enum scope_err scope_dataset_rows_add(struct scope_dataset_rows *rows, uint64_t number,
        const struct json_t *object, struct scope_diag *diag)
{
        struct reading reading = { .rows = rows, .number = number, .diag = diag };
        enum scope_err err = SCOPE_OK;
        if (!json_is_object(object))
                return scope_dataset_rows_fault(rows, number, "want one JSON object a line", diag);
        if (rows->base.count == 0)
                err = find_form(&reading, object);
        if (err == SCOPE_OK)
                err = read_prompt(&reading, object);
        struct scope_text prompt = reading.made; /* the answer may put together a text too */
        reading.made = (struct scope_text){ 0 };
        if (err == SCOPE_OK)
                err = read_answer(&reading, object);
        if (err == SCOPE_OK)
                err = judge(&reading);
        if (err == SCOPE_OK)
                err = add_row(&reading);
        scope_text_fini(&prompt);
        scope_text_fini(&reading.made);
        free(reading.dumped);
        return err;
}

/* ---- the whole ---- */

static enum scope_err rows_get(const struct scope_dataset *dataset, uint64_t index,
        struct scope_arena *arena, struct scope_problem *ret_problem)
{
        const struct scope_dataset_rows *rows = (const struct scope_dataset_rows *)dataset;
        const struct row *row = &rows->rows[index];
        const char *words = rows->words.bytes;
        (void)arena; /* everything stands in memory already */
        *ret_problem = (struct scope_problem){ { words + row->text.at, row->text.bytes },
                { words + row->gold.at, row->gold.bytes },
                { words + row->solution.at, row->solution.bytes },
                { words + row->messages.at, row->messages.bytes } };
        return SCOPE_OK;
}

static void destroy(struct scope_dataset *dataset)
{
        scope_dataset_rows_destroy((struct scope_dataset_rows *)dataset);
}

enum scope_err scope_dataset_rows_create(const char *path, const struct scope_dataset_keys *keys,
        struct scope_dataset_rows **ret_rows, struct scope_diag *diag)
{
        struct scope_dataset_rows *rows = calloc(1, sizeof *rows);
        const char *none = "";
        if (rows == NULL || (rows->path = strdup(path)) == NULL) {
                free(rows);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%.300s: out of memory", path);
        }
        const struct {
                const char *from;
                char *to;
        } copies[] = { { keys != NULL ? keys->prompt : none, rows->prompt },
                { keys != NULL ? keys->answer : none, rows->answer },
                { keys != NULL ? keys->solution : none, rows->solution } };
        for (size_t i = 0; i < 3; i++)
                (void)snprintf(copies[i].to, PATH_MAX_BYTES, "%s",
                        copies[i].from != NULL ? copies[i].from : none);
        *ret_rows = rows;
        return SCOPE_OK;
}

enum scope_err scope_dataset_rows_finish(struct scope_dataset_rows *rows,
        struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        if (rows->words.failed)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%.300s: out of memory", rows->path);
        if (rows->base.count == 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%.300s: no problem in it", rows->path);
        rows->base.form = rows->name;
        rows->base.get = rows_get;
        rows->base.destroy = destroy;
        *ret_dataset = &rows->base;
        return SCOPE_OK;
}

void scope_dataset_rows_destroy(struct scope_dataset_rows *rows)
{
        if (rows == NULL)
                return;
        scope_text_fini(&rows->words);
        free(rows->rows);
        free(rows->path);
        free(rows);
}
