#include "cli/batch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Factors, read by their paths, and what follows from them. */
struct batch {
        double prompts, group, max_prompt, max_response, slots, actors, minibatch, passes;
        double eta, steps, eval_every, problems, samples, checkpoint_every;
        double rollouts, tokens, waves, updates, live, evaluations, checkpoints;
};

static double at(const struct scope_config *config, const char *path, double otherwise)
{
        double number = otherwise;
        (void)scope_config_number(config, path, &number); /* absent: `otherwise` stays */
        return number;
}

/* Rollout actors placed by [[placement]]; one where nothing is said. */
static double rollout_actors(const struct scope_config *config)
{
        char path[64];
        double actors = 0;
        for (int i = 0;; i++) {
                (void)snprintf(path, sizeof path, "placement[%d].role", i);
                const char *role = scope_config_word(config, path);
                if (role == NULL)
                        return actors > 0 ? actors : 1;
                (void)snprintf(path, sizeof path, "placement[%d].count", i);
                if (strcmp(role, "rollout") == 0)
                        actors += at(config, path, 1);
        }
}

static struct batch compute(const struct scope_config *config)
{
        struct batch b = {
                .prompts = at(config, "rollout.prompts_per_step", 1),
                .group = at(config, "rollout.group_size", 1),
                .max_prompt = at(config, "rollout.max_prompt", 0),
                .max_response = at(config, "rollout.max_response", 0),
                .slots = at(config, "rollout.slots", 1),
                .actors = rollout_actors(config),
                .minibatch = at(config, "learner.minibatch_prompts", 0),
                .passes = at(config, "learner.passes", 1),
                .eta = at(config, "pipeline.eta", 0),
                .steps = at(config, "run.steps", 0),
                .eval_every = at(config, "eval.every", 0),
                .problems = at(config, "eval.problems", 0),
                .samples = at(config, "eval.samples", 0),
                .checkpoint_every = at(config, "checkpoint.every", 0),
        };
        if (b.minibatch == 0)
                b.minibatch = b.prompts;
        b.rollouts = b.prompts * b.group;
        b.tokens = b.rollouts * (b.max_prompt + b.max_response);
        b.waves = ceil(b.rollouts / (b.slots * b.actors));
        b.updates = b.prompts / b.minibatch * b.passes;
        b.live = (b.eta + 1) * b.prompts;
        b.evaluations = b.eval_every == 0 ? 0 : floor(b.steps / b.eval_every) + 1;
        b.checkpoints = b.checkpoint_every == 0 ? 1 : ceil(b.steps / b.checkpoint_every);
        return b;
}

static void row(struct scope_text *text, double product, const char *what, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static void row(struct scope_text *text, double product, const char *what, const char *format, ...)
{
        char factors[96];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(factors, sizeof factors, format, args); /* cut is fine */
        va_end(args);
        scope_text_format(text, "  %-46s = %12.0f  %s\n", factors, product, what);
}

void scope_batch_print(const struct scope_config *config, struct scope_text *text)
{
        struct batch b = compute(config);
        scope_text_string(text, "a step\n");
        row(text, b.rollouts, "rollouts", "%.0f prompts x %.0f samples", b.prompts, b.group);
        row(text, b.tokens, "tokens at most", "%.0f rollouts x (%.0f + %.0f) tokens", b.rollouts,
                b.max_prompt, b.max_response);
        row(text, b.waves, "waves of decoding", "%.0f rollouts / (%.0f slots x %.0f actors)",
                b.rollouts, b.slots, b.actors);
        row(text, b.updates, "optimiser updates", "%.0f prompts / %.0f a minibatch x %.0f passes",
                b.prompts, b.minibatch, b.passes);
        row(text, b.live, "groups alive at most", "(eta %.0f + 1) x %.0f prompts", b.eta,
                b.prompts);
        scope_text_string(text, "the run\n");
        row(text, b.steps * b.prompts, "groups", "%.0f steps x %.0f prompts", b.steps, b.prompts);
        row(text, b.steps * b.rollouts, "rollouts", "%.0f steps x %.0f rollouts", b.steps,
                b.rollouts);
        row(text, b.steps * b.updates, "optimiser updates", "%.0f steps x %.0f updates", b.steps,
                b.updates);
        row(text, b.evaluations * b.problems * b.samples, "rollouts to evaluate",
                "%.0f evaluations x %.0f problems x %.0f", b.evaluations, b.problems, b.samples);
        row(text, b.checkpoints, "checkpoints written", "%.0f steps / %.0f", b.steps,
                b.checkpoint_every);
}

void scope_batch_json(const struct scope_config *config, struct scope_text *text)
{
        struct batch b = compute(config);
        scope_json_double(text, "prompts_per_step", b.prompts);
        scope_json_double(text, "group_size", b.group);
        scope_json_double(text, "rollouts_per_step", b.rollouts);
        scope_json_double(text, "tokens_per_step_max", b.tokens);
        scope_json_double(text, "decode_waves", b.waves);
        scope_json_double(text, "updates_per_step", b.updates);
        scope_json_double(text, "groups_live_max", b.live);
        scope_json_double(text, "steps", b.steps);
        scope_json_double(text, "groups", b.steps * b.prompts);
        scope_json_double(text, "rollouts", b.steps * b.rollouts);
        scope_json_double(text, "evaluations", b.evaluations);
        scope_json_double(text, "evaluation_rollouts", b.evaluations * b.problems * b.samples);
        scope_json_double(text, "checkpoints", b.checkpoints);
}
