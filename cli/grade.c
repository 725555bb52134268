/* grade.c - pairs of answers in, verdicts out, one JSON object a line.
 * Why: the reward of a run, for scripts: {"gold":"\\frac12","prediction":"so \\boxed{0.5}"} gives
 * {"equal":true,"stage":"value"}. A gold answer may be a whole GSM8K solution: what follows its
 * last #### counts. */
#include <stdio.h>
#include <string.h>

#include "algorithm/grade.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/jsonl.h"
#include "cli/options.h"

static struct scope_grade_options options;

static struct scope_string behind_marks(struct scope_string gold)
{
        for (uint32_t at = gold.bytes; at >= 4; at--)
                if (memcmp(gold.at + at - 4, "####", 4) == 0)
                        return (struct scope_string){ gold.at + at, gold.bytes - at };
        return gold;
}

static enum scope_err grade_line(const struct scope_jsonl *reader, const json_t *object,
        struct scope_text *line, struct scope_diag *diag)
{
        struct scope_jsonl_answer gold, prediction;
        enum scope_err err = scope_jsonl_answer(reader, object, "gold", &gold, diag);
        if (err == SCOPE_OK)
                err = scope_jsonl_answer(reader, object, "prediction", &prediction, diag);
        if (err != SCOPE_OK)
                return err;
        struct scope_string right =
                behind_marks((struct scope_string){ gold.bytes, (uint32_t)gold.count });
        struct scope_string text = { prediction.bytes, (uint32_t)prediction.count };
        struct scope_grade_result result = scope_grade_any(right, text, &options);
        scope_json_open(line, NULL, '{');
        scope_json_bool(line, "equal", result.equal);
        scope_json_text(line, "stage", scope_grade_stage_names[result.stage]);
        scope_json_close(line, '}');
        return scope_jsonl_put(line, diag);
}

static enum scope_exit command(const struct scope_arguments *arguments)
{
        struct scope_jsonl *reader = NULL;
        struct scope_text line = { 0 };
        struct scope_diag diag = { "" };
        const json_t *object = NULL;
        if (arguments->word_count > 1) {
                (void)fprintf(stderr, "error: grade reads one file, or standard input\n");
                return SCOPE_EXIT_USAGE;
        }
        const char *path = arguments->word_count > 0 ? arguments->words[0] : NULL;
        enum scope_err err = scope_jsonl_open(path, &reader, &diag);
        while (err == SCOPE_OK) {
                err = scope_jsonl_next(reader, &object, &diag);
                if (err != SCOPE_OK || object == NULL)
                        break;
                err = grade_line(reader, object, &line, &diag);
        }
        if (err != SCOPE_OK)
                (void)fprintf(stderr, "error: %s\n", diag.text);
        scope_jsonl_close(reader);
        scope_text_fini(&line);
        return err == SCOPE_OK ? SCOPE_EXIT_DONE : SCOPE_EXIT_PRECONDITION;
}

const struct scope_command scope_grade_command = { .name = "grade",
        .words = "[FILE]",
        .help = "JSON lines of gold and prediction in, equal or not out",
        .flags = scope_grade_option_table,
        .base = &options,
        .run = command };
