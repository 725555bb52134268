/* tokenize.c - text to token ids and back, a JSON object a line:
 *   tokenize    {"text": "..."}  ->  {"ids": [...]}
 *   detokenize  {"ids": [...]}   ->  {"text": "..."} */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/jsonl.h"
#include "cli/options.h"
#include "models/token_stream.h"
#include "models/tokenizer.h"

struct tokenize_flags {
        char model[4096];
        bool framed, skip_special;
};
static struct tokenize_flags flags;

#define MODEL_ROW                                                                                  \
        SCOPE_TEXT_OPTION(tokenize_flags, model, "",                                               \
                "directory with tokenizer.json or a tiktoken file, or a .gguf")
static const struct scope_option tokenize_rows[] = {
        MODEL_ROW,
        SCOPE_BOOL_OPTION(tokenize_flags, framed, "false",
                "with the tokens the model wants around a text (BOS, EOS)"),
        SCOPE_OPTION_END,
};
static const struct scope_option detokenize_rows[] = {
        MODEL_ROW,
        SCOPE_BOOL_OPTION(tokenize_flags, skip_special, "false", "leave special tokens out"),
        SCOPE_OPTION_END,
};

/* One command's memory; grows to the longest line. */
struct work {
        struct scope_tokenizer *tokenizer;
        struct scope_jsonl *reader;
        struct scope_jsonl_ids ids;
        struct scope_text text, line;
        uint64_t unspelled; /* texts with a byte that no token spells */
};

static enum scope_err reserve(struct work *work, size_t count)
{
        if (count <= work->ids.max)
                return SCOPE_OK;
        uint32_t *ids = realloc(work->ids.ids, count * sizeof *ids);
        if (ids == NULL)
                return SCOPE_ERR_MEMORY;
        work->ids.ids = ids;
        work->ids.max = count;
        return SCOPE_OK;
}

static enum scope_err tokenize_line(
        struct work *work, const json_t *object, struct scope_diag *diag)
{
        enum { FRAME = 64 };
        const char *text;
        size_t bytes, count = 0;
        enum scope_err err =
                scope_jsonl_text(work->reader, object, "text", &text, &bytes, diag);
        if (err != SCOPE_OK)
                return err;
        /* A token spells a byte at least; form C makes at most three bytes of one. */
        err = reserve(work, 3 * bytes + FRAME);
        if (err == SCOPE_OK)
                err = scope_tokenizer_as_library(
                        (flags.framed ? scope_tokenizer_encode_framed : scope_tokenizer_encode)(
                                work->tokenizer, text, bytes, work->ids.ids, work->ids.max, &count),
                        &work->unspelled);
        if (err != SCOPE_OK)
                return scope_jsonl_bad(work->reader, err, diag, "cannot be tokenized: %s",
                        scope_err_text(err));
        scope_json_open(&work->line, NULL, '{');
        scope_json_open(&work->line, "ids", '[');
        for (size_t i = 0; i < count; i++)
                scope_json_uint(&work->line, NULL, work->ids.ids[i]);
        scope_json_close(&work->line, ']');
        scope_json_close(&work->line, '}');
        return scope_jsonl_put(&work->line, diag);
}

static enum scope_err detokenize_line(
        struct work *work, const json_t *object, struct scope_diag *diag)
{
        struct scope_token_stream stream;
        enum scope_err err = reserve(work, json_array_size(json_object_get(object, "ids")));
        if (err == SCOPE_OK)
                err = scope_jsonl_ids(work->reader, object, "ids", &work->ids, diag);
        if (err != SCOPE_OK)
                return err;
        scope_text_clear(&work->text);
        scope_token_stream_init(&stream, work->tokenizer, flags.skip_special);
        for (size_t i = 0; i < work->ids.count; i++)
                scope_token_stream_push(&stream, work->ids.ids[i], &work->text);
        scope_token_stream_finish(&stream, &work->text);
        if (work->text.failed)
                return scope_jsonl_bad(work->reader, SCOPE_ERR_MEMORY, diag, "out of memory");
        scope_json_open(&work->line, NULL, '{');
        scope_json_bytes(&work->line, "text", work->text.bytes != NULL ? work->text.bytes : "",
                work->text.count);
        scope_json_close(&work->line, '}');
        return scope_jsonl_put(&work->line, diag);
}

static enum scope_exit run_lines(const struct scope_arguments *arguments,
        enum scope_err (*each)(struct work *, const json_t *, struct scope_diag *))
{
        struct work work = { 0 };
        struct scope_diag diag = { "" };
        const json_t *object = NULL;
        if (flags.model[0] == 0 || arguments->word_count > 1) {
                (void)fprintf(stderr, "error: give --model PATH, and at most one file to read\n");
                return SCOPE_EXIT_USAGE;
        }
        enum scope_err err = scope_tokenizer_load(flags.model, &work.tokenizer, &diag);
        if (err == SCOPE_OK)
                err = scope_jsonl_open(arguments->word_count == 1 ? arguments->words[0] : NULL,
                        &work.reader, &diag);
        if (err == SCOPE_OK)
                work.ids.vocab = scope_tokenizer_size(work.tokenizer);
        while (err == SCOPE_OK) {
                err = scope_jsonl_next(work.reader, &object, &diag);
                if (err != SCOPE_OK || object == NULL)
                        break;
                err = each(&work, object, &diag);
        }
        if (err != SCOPE_OK)
                (void)fprintf(stderr, "error: %s\n",
                        diag.text[0] != 0 ? diag.text : scope_err_text(err));
        scope_jsonl_unspelled(work.unspelled);
        scope_jsonl_close(work.reader);
        scope_tokenizer_destroy(work.tokenizer);
        scope_text_fini(&work.text);
        scope_text_fini(&work.line);
        free(work.ids.ids);
        return err == SCOPE_OK ? SCOPE_EXIT_DONE : SCOPE_EXIT_PRECONDITION;
}

static enum scope_exit tokenize_run(const struct scope_arguments *arguments)
{
        return run_lines(arguments, tokenize_line);
}

static enum scope_exit detokenize_run(const struct scope_arguments *arguments)
{
        return run_lines(arguments, detokenize_line);
}

const struct scope_command scope_tokenize_command = {
        .name = "tokenize",
        .words = "[FILE.jsonl]",
        .help = "{\"text\"} to {\"ids\"}, a line each",
        .flags = tokenize_rows,
        .base = &flags,
        .run = tokenize_run,
};

const struct scope_command scope_detokenize_command = {
        .name = "detokenize",
        .words = "[FILE.jsonl]",
        .help = "{\"ids\"} to {\"text\"}, a line each",
        .flags = detokenize_rows,
        .base = &flags,
        .run = detokenize_run,
};
