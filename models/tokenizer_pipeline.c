/* tokenizer_pipeline.c - how a tokenizer.json cuts text and what it puts around it. Every member
 * that changes ids is read; every type that is not known is refused by its name. */
#include <stdlib.h>
#include <string.h>

#include "models/tokenizer_build.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_read.h"

enum { DEPTH_MAX = 4 };

static const char any_number[] = "\\p{N}";

struct walk {
        struct scope_builder *builder;
        int depth;
        bool byte_level; /* seen */
};

static enum scope_err unsupported(struct walk *walk, const char *what, const char *name)
{
        return scope_read_unsupported(
                walk->builder, what, (struct scope_dom_text){ name, strlen(name) });
}

/* The type of a part, or an error that says `what` has none. */
static enum scope_err type_of(struct walk *walk, const char *what, struct scope_dom_value value,
        struct scope_dom_text *ret_type)
{
        *ret_type = scope_dom_text(scope_dom_get(value, "type"));
        if (ret_type->at == NULL)
                return scope_read_bad(walk->builder, "without a type:", what, strlen(what));
        return walk->depth > DEPTH_MAX ? unsupported(walk, what, "Sequence in Sequence in ...")
                                       : SCOPE_OK;
}

/* Each element of a Sequence, one deeper. */
static enum scope_err sequence(struct walk *walk, struct scope_dom_value value, const char *list,
        SCOPE_DOM_EACH((*each)))
{
        struct scope_dom_value items = scope_dom_get(value, list);
        if (scope_dom_type(items) != SCOPE_DOM_ARRAY)
                return scope_read_bad(
                        walk->builder, "a Sequence without its list of", list, strlen(list));
        walk->depth++;
        enum scope_err err = scope_dom_each(items, each, walk);
        walk->depth--;
        return err;
}

/* --- normalizer ----------------------------------------------------------------------------- */

static enum scope_err read_normalizer(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct walk *walk = context;
        struct scope_dom_text type;
        (void)key;
        enum scope_err err = type_of(walk, "normalizer", value, &type);
        if (err != SCOPE_OK)
                return err;
        if (scope_read_is(type, "Sequence"))
                return sequence(walk, value, "normalizers", read_normalizer);
        if (!scope_read_is(type, "NFC"))
                return scope_read_unsupported(walk->builder, "normalizer", type);
        walk->builder->tokenizer->nfc = true;
        return SCOPE_OK;
}

/* --- pre-tokenizer -------------------------------------------------------------------------- */

static enum scope_err read_behavior(
        struct walk *walk, struct scope_dom_value value, int *ret_behavior)
{
        static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious",
                "MergedWithNext", "Contiguous" }; /* in the order of enum scope_split_behavior */
        struct scope_dom_text name = scope_dom_text(scope_dom_get(value, "behavior"));
        for (int i = 0; i < 5; i++)
                if (scope_read_is(name, names[i])) {
                        *ret_behavior = i;
                        return SCOPE_OK;
                }
        return scope_read_unsupported(walk->builder, "Split with behavior", name);
}

static enum scope_err read_split(struct walk *walk, struct scope_dom_value value)
{
        struct scope_dom_value pattern = scope_dom_get(value, "pattern");
        struct scope_dom_text regex = scope_dom_text(scope_dom_get(pattern, "Regex"));
        struct scope_dom_text literal = scope_dom_text(scope_dom_get(pattern, "String"));
        struct scope_split_spec spec = { .literal = regex.at == NULL,
                .invert = scope_dom_is_true(scope_dom_get(value, "invert")) };
        if ((regex.at == NULL) == (literal.at == NULL))
                return unsupported(walk, "Split with a pattern that is not one", "Regex or String");
        spec.pattern = regex.at != NULL ? regex.at : literal.at;
        spec.bytes = regex.at != NULL ? regex.bytes : literal.bytes;
        if (spec.bytes == 0)
                return unsupported(walk, "Split with the pattern", "");
        enum scope_err err = read_behavior(walk, value, &spec.behavior);
        return err == SCOPE_OK ? scope_build_split(walk->builder, &spec) : err;
}

static enum scope_err read_byte_level(struct walk *walk, struct scope_dom_value value)
{
        const struct scope_split_spec space = { .pattern = NULL };
        const struct scope_split_spec regex = { .pattern = scope_pattern_gpt2,
                .bytes = strlen(scope_pattern_gpt2), .behavior = SCOPE_SPLIT_ISOLATED };
        struct scope_dom_value use = scope_dom_get(value, "use_regex");
        enum scope_err err = SCOPE_OK;
        walk->byte_level = true;
        if (scope_dom_is_true(scope_dom_get(value, "add_prefix_space")))
                err = scope_build_split(walk->builder, &space);
        /* Absent means true: files from before there was a choice. */
        if (err == SCOPE_OK && (scope_read_absent(use) || scope_dom_is_true(use)))
                err = scope_build_split(walk->builder, &regex);
        return err;
}

static enum scope_err read_pre_tokenizer(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct walk *walk = context;
        struct scope_dom_text type;
        (void)key;
        enum scope_err err = type_of(walk, "pre_tokenizer", value, &type);
        if (err != SCOPE_OK)
                return err;
        if (scope_read_is(type, "Sequence"))
                return sequence(walk, value, "pretokenizers", read_pre_tokenizer);
        if (walk->byte_level)
                return scope_read_unsupported(
                        walk->builder, "behind ByteLevel: pre_tokenizer", type);
        if (scope_read_is(type, "ByteLevel"))
                return read_byte_level(walk, value);
        if (scope_read_is(type, "Split"))
                return read_split(walk, value);
        if (scope_read_is(type, "Digits")) {
                bool each = scope_dom_is_true(scope_dom_get(value, "individual_digits"));
                const struct scope_split_spec digits = { .pattern = any_number,
                        .bytes = sizeof any_number - 1,
                        .behavior = each ? SCOPE_SPLIT_ISOLATED : SCOPE_SPLIT_CONTIGUOUS };
                return scope_build_split(walk->builder, &digits);
        }
        return scope_read_unsupported(walk->builder, "pre_tokenizer", type);
}

/* --- decoder -------------------------------------------------------------------------------- */

static enum scope_err read_decoder(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct walk *walk = context;
        struct scope_dom_text type;
        (void)key;
        enum scope_err err = type_of(walk, "decoder", value, &type);
        if (err != SCOPE_OK)
                return err;
        if (scope_read_is(type, "Sequence")
                && scope_dom_count(scope_dom_get(value, "decoders")) == 1)
                return sequence(walk, value, "decoders", read_decoder);
        return scope_read_is(type, "ByteLevel")
                ? SCOPE_OK
                : scope_read_unsupported(walk->builder, "decoder", type);
}

enum scope_err scope_read_pipeline(struct scope_builder *builder, struct scope_dom_value root)
{
        static const char *const empty[] = { "truncation", "padding" };
        static const struct scope_dom_text none = { "null", 4 };
        struct scope_dom_value normalizer = scope_dom_get(root, "normalizer");
        struct scope_dom_value pre = scope_dom_get(root, "pre_tokenizer");
        struct scope_dom_value decoder = scope_dom_get(root, "decoder");
        struct walk walk = { .builder = builder };
        enum scope_err err = SCOPE_OK;
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
                if (!scope_read_absent(scope_dom_get(root, empty[i])))
                        return unsupported(&walk, "a tokenizer that changes lengths:", empty[i]);
        if (scope_read_absent(pre))
                return scope_read_unsupported(builder, "pre_tokenizer", none);
        if (scope_read_absent(decoder))
                return scope_read_unsupported(builder, "decoder", none);
        if (!scope_read_absent(normalizer))
                err = read_normalizer(&walk, none, normalizer);
        if (err == SCOPE_OK)
                err = read_pre_tokenizer(&walk, none, pre);
        if (err == SCOPE_OK && !walk.byte_level)
                return unsupported(&walk, "pre_tokenizer", "without ByteLevel");
        return err == SCOPE_OK ? read_decoder(&walk, none, decoder) : err;
}

/* --- post-processor ------------------------------------------------------------------------- */

struct frame {
        struct walk walk;
        struct scope_dom_value special_tokens;
        uint32_t ids[2][SCOPE_FRAME_MAX], count[2];
        int side; /* 1: the text was seen */
};

static enum scope_err frame_id(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct frame *frame = context;
        int64_t id;
        (void)key;
        if (!scope_dom_integer(value, &id) || id < 0 || id >= SCOPE_TOKEN_NONE
                || frame->count[frame->side] == SCOPE_FRAME_MAX)
                return unsupported(&frame->walk, "TemplateProcessing with", "these ids");
        frame->ids[frame->side][frame->count[frame->side]++] = (uint32_t)id;
        return SCOPE_OK;
}

static enum scope_err frame_piece(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct frame *frame = context;
        struct scope_dom_value special = scope_dom_get(value, "SpecialToken");
        struct scope_dom_value text = scope_dom_get(value, "Sequence");
        (void)key;
        if (!scope_read_absent(text)) {
                struct scope_dom_text id = scope_dom_text(scope_dom_get(text, "id"));
                if (frame->side == 1 || !scope_read_is(id, "A"))
                        return unsupported(&frame->walk, "TemplateProcessing", "single");
                frame->side = 1;
                return SCOPE_OK;
        }
        struct scope_dom_text name = scope_dom_text(scope_dom_get(special, "id"));
        char word[SCOPE_TOKEN_BYTES_MAX + 1];
        if (name.at == NULL || name.bytes > SCOPE_TOKEN_BYTES_MAX)
                return unsupported(&frame->walk, "TemplateProcessing", "single");
        memcpy(word, name.at, name.bytes);
        word[name.bytes] = 0;
        struct scope_dom_value ids =
                scope_dom_get(scope_dom_get(frame->special_tokens, word), "ids");
        if (scope_dom_type(ids) != SCOPE_DOM_ARRAY)
                return scope_read_bad(frame->walk.builder,
                        "TemplateProcessing names a token without ids:", name.at, name.bytes);
        return scope_dom_each(ids, frame_id, frame);
}

static enum scope_err read_template(struct walk *walk, struct scope_dom_value value)
{
        struct frame frame = { .walk = *walk,
                .special_tokens = scope_dom_get(value, "special_tokens") };
        struct scope_dom_value single = scope_dom_get(value, "single");
        enum scope_err err = scope_dom_type(single) == SCOPE_DOM_ARRAY
                ? scope_dom_each(single, frame_piece, &frame)
                : unsupported(walk, "TemplateProcessing", "single");
        if (err == SCOPE_OK && frame.side == 0)
                err = unsupported(walk, "TemplateProcessing", "single without the text");
        for (uint32_t i = frame.count[0]; i > 0 && err == SCOPE_OK; i--)
                err = scope_build_frame(walk->builder, 0, frame.ids[0][i - 1]);
        for (uint32_t i = 0; i < frame.count[1] && err == SCOPE_OK; i++)
                err = scope_build_frame(walk->builder, 1, frame.ids[1][i]);
        return err;
}

static enum scope_err read_processor(
        void *context, struct scope_dom_text key, struct scope_dom_value value)
{
        struct walk *walk = context;
        struct scope_dom_text type;
        (void)key;
        enum scope_err err = type_of(walk, "post_processor", value, &type);
        if (err != SCOPE_OK)
                return err;
        if (scope_read_is(type, "Sequence"))
                return sequence(walk, value, "processors", read_processor);
        if (scope_read_is(type, "TemplateProcessing"))
                return read_template(walk, value);
        return scope_read_is(type, "ByteLevel") /* it only moves offsets */
                ? SCOPE_OK
                : scope_read_unsupported(walk->builder, "post_processor", type);
}

enum scope_err scope_read_frame(
        struct scope_builder *builder, struct scope_dom_value processor, int depth)
{
        struct walk walk = { .builder = builder, .depth = depth };
        if (scope_read_absent(processor))
                return SCOPE_OK;
        return read_processor(&walk, (struct scope_dom_text){ NULL, 0 }, processor);
}
