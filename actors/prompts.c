/* prompts.c - which problem comes next.
 * Why: the data cursor is one number that a checkpoint can hold; the order is a pure function of
 * (run seed, epoch), so a resumed run continues where it was.
 * (1) A generated set is walked in order: every problem is fresh. (2) A file is walked in a new
 * seeded order each epoch. */
#include <string.h>

#include "actors/messages.h"
#include "actors/stages.h"
#include "base/arena.h"
#include "base/rng.h"
#include "models/prompt_format.h"
#include "models/tokenizer.h"
#include "runtime/ledger.h"
#include "tasks/dataset.h"

struct prompts {
        const struct scope_stages *stages;
        uint64_t skipped, unspelled, unspelled_told;
};

static enum scope_err prompts_init(struct scope_actor *self, void *state, void *args)
{
        struct prompts *prompts = state;
        (void)self;
        prompts->stages = args;
        return SCOPE_OK;
}

/* A permutation of 0..count-1 without a table: four Feistel rounds over the next even power of two,
 * walked until the value falls inside (cycle walking). */
static uint64_t permute(uint64_t index, uint64_t count, uint64_t seed)
{
        unsigned half = 1;
        while (((uint64_t)1 << (2 * half)) < count)
                half++;
        uint64_t mask = ((uint64_t)1 << half) - 1;
        for (uint64_t walk = 0; walk < ((uint64_t)1 << (2 * half)); walk++) {
                uint64_t left = index >> half, right = index & mask;
                for (uint64_t round = 0; round < 4; round++) {
                        uint64_t mixed = left ^ (scope_hash_pair(seed + round, right) & mask);
                        left = right;
                        right = mixed;
                }
                index = left << half | right;
                if (index < count)
                        return index;
        }
        return index % count; /* not reached: a permutation returns to every value */
}

static uint64_t problem_at(const struct prompts *prompts, uint64_t cursor)
{
        const struct scope_dataset *data = prompts->stages->resources.train;
        uint64_t count = data->count;
        if (strncmp(prompts->stages->options->data.train, "builtin:", 8) == 0)
                return cursor % count;
        uint64_t seed = (uint64_t)prompts->stages->options->run.seed;
        return permute(cursor % count, count, scope_hash_pair(seed, cursor / count));
}

/* Reads problem `cursor` into `ret`; tokens live in the scratch arena. */
static enum scope_err read_problem(struct scope_actor *self, struct prompts *prompts,
        uint64_t cursor, struct scope_prompt *ret)
{
        const struct scope_stages *stages = prompts->stages;
        uint32_t max = (uint32_t)stages->options->rollout.max_prompt;
        uint32_t *tokens = scope_arena_take(scope_scratch(self), max * sizeof *tokens);
        struct scope_problem problem;
        size_t count = 0;
        if (tokens == NULL)
                return SCOPE_ERR_MEMORY;
        const struct scope_resources *resources = &stages->resources;
        ret->problem = resources->problem_of != NULL
                               ? resources->problem_of(resources->played,
                                         cursor - resources->first_problem + resources->first_group)
                               : problem_at(prompts, cursor);
        enum scope_err err = scope_dataset_get(
                stages->resources.train, ret->problem, scope_scratch(self), &problem);
        if (err == SCOPE_OK)
                err = scope_tokenizer_as_library(
                        scope_prompt_format_encode(stages->resources.prompt_format,
                                stages->resources.tokenizer, problem.text, problem.messages, tokens,
                                max, &count, NULL),
                        &prompts->unspelled);
        if (err == SCOPE_OK && count == 0)
                err = SCOPE_ERR_FORMAT;
        if (err != SCOPE_OK)
                return err;
        ret->text = problem.text;
        ret->gold = problem.gold;
        ret->tokens = tokens;
        ret->token_count = (uint32_t)count;
        return SCOPE_OK;
}

/* The first such problem, the tenth, and so on. */
static void tell_unspelled(struct scope_actor *self, struct prompts *prompts, uint64_t problem)
{
        uint64_t next = prompts->unspelled_told != 0 ? 10 * prompts->unspelled_told : 1;
        if (prompts->unspelled < next)
                return;
        prompts->unspelled_told = next;
        scope_event(self, "data",
                "problem %llu of %s has characters that no token of this model spells; they are "
                "left out, as the tokenizers library does (%llu such prompts so far)",
                (unsigned long long)problem, prompts->stages->options->data.train,
                (unsigned long long)prompts->unspelled);
}

/* control.value = the cursor, control.group = the group it is for. */
static void answer(struct scope_actor *self, struct prompts *prompts, struct scope_message *message)
{
        struct scope_control wanted;
        struct scope_prompt prompt = { 0 };
        struct scope_message *reply = NULL;
        enum scope_err err =
                scope_message_read_control(self, message, &prompts->stages->limits, &wanted);
        if (err == SCOPE_OK) {
                prompt.group = wanted.group;
                err = read_problem(self, prompts, wanted.value, &prompt);
        }
        if (err == SCOPE_OK)
                err = scope_message_of_prompt(
                        self, SCOPE_KIND_PROMPT, SCOPE_LANE_CONTROL, &prompt, &reply);
        tell_unspelled(self, prompts, prompt.problem);
        if (err == SCOPE_OK) {
                scope_reply(self, message, &reply);
                return;
        }
        if (prompts->skipped++ == 0)
                scope_event(self, "data",
                        "problem %llu skipped: %s (longer than rollout.max_prompt?)",
                        (unsigned long long)prompt.problem, scope_err_text(err));
        scope_reply_error(self, message, err);
}

static void prompts_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        switch (message->kind) {
        case SCOPE_KIND_PROMPT_WANTED:
                answer(self, state, message);
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
}

const struct scope_actor_class scope_prompts_class = {
        .name = "prompts",
        .state_bytes = sizeof(struct prompts),
        .scratch_bytes = 1 << 20,
        .init = prompts_init,
        .receive = prompts_receive,
};
