#include "tasks/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/text.h"
#include "tasks/chain.h"

/* A name is a reader's when it begins and ends so. */
static const struct {
        const char *begin, *end;
        enum scope_err (*open)(const char *name, const struct scope_dataset_keys *keys,
                struct scope_dataset **ret_dataset, struct scope_diag *diag);
} readers[] = {
        { "builtin:chain", "", scope_dataset_open_chain },
        { "", ".jsonl", scope_dataset_open_jsonl },
        { "", ".parquet", scope_dataset_open_parquet },

};

enum scope_err scope_dataset_open(
        const char *name, struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        return scope_dataset_open_keyed(name, NULL, ret_dataset, diag);
}

enum scope_err scope_dataset_open_keyed(const char *name, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        size_t count = strlen(name);
        for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
                size_t begin = strlen(readers[i].begin), end = strlen(readers[i].end);
                if (count >= begin + end && strncmp(name, readers[i].begin, begin) == 0 &&
                        strcmp(name + count - end, readers[i].end) == 0)
                        return readers[i].open(name, keys, ret_dataset, diag);
        }
        return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                "data set '%.200s': want \"builtin:chain?...\" or a file that ends in .jsonl "
                "or .parquet",
                name);
}

enum scope_err scope_dataset_get(const struct scope_dataset *dataset, uint64_t index,
        struct scope_arena *arena, struct scope_problem *ret_problem)
{
        scope_assert(dataset->count > 0);
        return dataset->get(dataset, index % dataset->count, arena, ret_problem);
}

void scope_dataset_destroy(struct scope_dataset *dataset)
{
        if (dataset != NULL)
                dataset->destroy(dataset);
}

/* ---- builtin:chain ---- */

struct chain_dataset {
        struct scope_dataset base;
        struct scope_chain_options options;
};

static bool keep(
        struct scope_arena *arena, const char *bytes, size_t count, struct scope_string *ret_string)
{
        *ret_string = (struct scope_string){ scope_arena_copy_text(arena, bytes, count),
                (uint32_t)count };
        return ret_string->at != NULL;
}

static enum scope_err chain_get(const struct scope_dataset *dataset, uint64_t index,
        struct scope_arena *arena, struct scope_problem *ret_problem)
{
        const struct chain_dataset *self = (const struct chain_dataset *)dataset;
        struct scope_text text = { 0 };
        struct scope_chain chain;
        struct scope_problem problem = { .messages = { "", 0 } };
        scope_chain_make(&self->options, index, &chain);
        scope_chain_write_problem(&chain, &text);
        size_t problem_end = text.count;
        scope_chain_write_answer(&chain, &text);
        size_t gold_end = text.count;
        scope_chain_write_solution(&chain, &text);
        bool kept = !text.failed && keep(arena, text.bytes, problem_end, &problem.text) &&
                    keep(arena, text.bytes + problem_end, gold_end - problem_end, &problem.gold) &&
                    keep(arena, text.bytes + gold_end, text.count - gold_end, &problem.solution);
        scope_text_fini(&text);
        if (!kept)
                return SCOPE_ERR_MEMORY;
        *ret_problem = problem;
        return SCOPE_OK;
}

static void chain_destroy(struct scope_dataset *dataset)
{
        free(dataset);
}

enum scope_err scope_dataset_open_chain(const char *name, const struct scope_dataset_keys *keys,
        struct scope_dataset **ret_dataset, struct scope_diag *diag)
{
        (void)keys; /* nothing is read */
        struct chain_dataset *self = calloc(1, sizeof *self);
        if (self == NULL)
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "%.200s: out of memory", name);
        enum scope_err err = scope_chain_options_parse(name, &self->options, diag);
        if (err != SCOPE_OK) {
                free(self);
                return err;
        }
        self->base = (struct scope_dataset){ .count = self->options.count,
                .form = "multi-step arithmetic",
                .get = chain_get,
                .destroy = chain_destroy };
        *ret_dataset = &self->base;
        return SCOPE_OK;
}
