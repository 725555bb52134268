#include "models/prm_input.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "models/tokenizer.h"
#include "schemas/scope_string.h"

static const char mark[] = "<extra_0>";

enum scope_prm_form scope_prm_form_of(
        const struct scope_tokenizer *tokenizer, enum scope_head head)
{
        if (head == SCOPE_HEAD_CLASSES)
                return SCOPE_PRM_FORM_LINES;
        if (head == SCOPE_HEAD_REWARD && scope_tokenizer_id(tokenizer, mark) != SCOPE_TOKEN_NONE)
                return SCOPE_PRM_FORM_MARKS;
        return SCOPE_PRM_FORM_NONE;
}

/* Adds `text` without what the model takes for structure. */
static void add_clean(struct scope_text *out, struct scope_string text)
{
        static const char *const structure[] = { mark, "<|im_start|>", "<|im_end|>",
                "<|endoftext|>" };
        uint32_t begin = 0;
        for (uint32_t at = 0; at < text.bytes;) {
                size_t skip = 0;
                for (size_t i = 0; i < sizeof structure / sizeof *structure && skip == 0; i++)
                        if (scope_string_begins(text, at, structure[i]))
                                skip = strlen(structure[i]);
                if (skip == 0) {
                        at++;
                        continue;
                }
                scope_text_add(out, text.at + begin, at - begin);
                at += (uint32_t)skip;
                begin = at;
        }
        scope_text_add(out, text.at + begin, text.bytes - begin);
}

/* Appends the ids of `text`; what does not fit is cut. */
static enum scope_err encode(const struct scope_tokenizer *tokenizer, struct scope_text *text,
        struct scope_prm_input *input)
{
        uint64_t unspelled = 0; /* nobody's answer changes by a character that no token spells */
        size_t count = 0;
        if (text->failed)
                return SCOPE_ERR_MEMORY;
        if (text->count == 0)
                return SCOPE_OK;
        enum scope_err err = scope_tokenizer_as_library(
                scope_tokenizer_encode(tokenizer, text->bytes, text->count,
                        input->ids + input->count, input->max - input->count, &count),
                &unspelled);
        input->count += (uint32_t)count;
        scope_assert(input->count <= input->max);
        return err == SCOPE_ERR_TOO_BIG ? SCOPE_OK : err;
}

void scope_prm_marked_text(struct scope_string problem, const struct scope_string *steps,
        uint32_t step_count, struct scope_text *text)
{
        scope_text_string(text, "<|im_start|>system\nPlease reason step by step, and put your "
                                "final answer within \\boxed{}.<|im_end|>\n<|im_start|>user\n");
        add_clean(text, problem);
        scope_text_string(text, "<|im_end|>\n<|im_start|>assistant\n");
        for (uint32_t i = 0; i < step_count; i++) {
                add_clean(text, steps[i]);
                scope_text_string(text, mark);
        }
}

static enum scope_err make_marks(const struct scope_tokenizer *tokenizer,
        struct scope_string problem, const struct scope_string *steps, uint32_t step_count,
        struct scope_prm_input *input)
{
        struct scope_text text = { 0 };
        uint32_t id = scope_tokenizer_id(tokenizer, mark), found = 0;
        scope_prm_marked_text(problem, steps, step_count, &text);
        enum scope_err err = encode(tokenizer, &text, input);
        scope_text_fini(&text);
        if (err != SCOPE_OK)
                return err;
        for (uint32_t i = 0; i < input->count; i++) {
                if (input->ids[i] != id)
                        continue;
                if (found == step_count)
                        return SCOPE_ERR_INTERNAL;
                input->marks[found++] = i;
        }
        /* Only a cut may have taken some. */
        return found == step_count || input->count == input->max ? SCOPE_OK : SCOPE_ERR_INTERNAL;
}

static enum scope_err make_lines(const struct scope_tokenizer *tokenizer,
        struct scope_string problem, const struct scope_string *steps, uint32_t step_count,
        struct scope_prm_input *input)
{
        struct scope_text text = { 0 };
        add_clean(&text, problem);
        enum scope_err err = encode(tokenizer, &text, input);
        for (uint32_t i = 0; i < step_count && err == SCOPE_OK; i++) {
                scope_text_clear(&text);
                add_clean(&text, steps[i]);
                err = encode(tokenizer, &text, input);
                scope_text_clear(&text);
                scope_text_string(&text, "\n");
                bool fits = input->count < input->max;
                if (err == SCOPE_OK && fits)
                        err = encode(tokenizer, &text, input);
                if (err == SCOPE_OK && fits)
                        input->marks[i] = input->count - 1;
        }
        scope_text_fini(&text);
        return err;
}

enum scope_err scope_prm_input_make(const struct scope_tokenizer *tokenizer,
        enum scope_prm_form form, struct scope_string problem, const struct scope_string *steps,
        uint32_t step_count, struct scope_prm_input *input)
{
        scope_assert(form != SCOPE_PRM_FORM_NONE);
        input->count = 0;
        for (uint32_t i = 0; i < step_count; i++)
                input->marks[i] = UINT32_MAX;
        if (form == SCOPE_PRM_FORM_MARKS)
                return make_marks(tokenizer, problem, steps, step_count, input);
        return make_lines(tokenizer, problem, steps, step_count, input);
}
