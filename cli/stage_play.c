#include "cli/stage_play.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/prm_answer.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "cli/recording.h"
#include "cli/sim_policy.h"
#include "models/engine.h"
#include "models/prompt_format.h"
#include "models/tokenizer.h"
#include "tasks/chain.h"
#include "tasks/dataset.h"
#include "tasks/latency_law.h"

enum { DECODE, PRM, LEARN, PUBLISH, TRANSFER, LENGTH, LAWS };
/* shares of the mean decode time that a step may last: what a freed slot may wait */
enum { QUANTA = 256, LAW_SAMPLES = 1000, WAITING_MAX = 1 << 20, SHORT_TOKENS = 64 };

struct scope_stage_play {
        const struct scope_pipeline_options *options;
        struct scope_stage_play_parts parts;
        struct scope_latency_law laws[LAWS], latency; /* latency: the teacher's */
        uint64_t *values[LAWS], *latency_values;      /* of laws that were recorded */
        struct scope_tokens_law served[LAWS]; /* rate > 0: by the token, and `laws` is not set */
        uint32_t filler; /* a token that adds nothing, for sim.length */
        struct scope_recording *recording;            /* NULL: no stage is replayed */
        struct scope_teacher_script script;
        struct scope_sim_policy policy;
};

bool scope_stage_play_wanted(const struct scope_pipeline_options *options)
{
        const struct scope_stages_options *stages = &options->stages;
        return stages->rollout != SCOPE_PLAY_NATIVE || stages->prm != SCOPE_PLAY_NATIVE ||
               stages->teacher != SCOPE_PLAY_NATIVE || stages->learner != SCOPE_PLAY_NATIVE;
}

/* --- draws ---------------------------------------------------------------------------------- */

static uint64_t draw(const struct scope_stage_play *play, int law, uint64_t key)
{
        uint64_t seed = scope_hash_pair((uint64_t)play->options->run.seed, (uint64_t)law + 77);
        struct scope_rng rng = scope_rng_make(scope_hash_pair(seed, key));
        return scope_latency_law_draw_ns(&play->laws[law], &rng);
}

static uint64_t stage_cost(
        void *context, enum scope_stage_cost stage, uint64_t key, uint64_t tokens)
{
        const struct scope_stage_play *play = context;
        const struct scope_stages_options *stages = &play->options->stages;
        int choice = stage == SCOPE_COST_PRM ? stages->prm : stages->learner;
        if (choice == SCOPE_PLAY_REPLAY)
                return scope_recording_cost(play->recording, stage, key);
        static const int laws[] = { [SCOPE_COST_PRM] = PRM,
                [SCOPE_COST_LEARN] = LEARN,
                [SCOPE_COST_EXPORT] = PUBLISH,
                [SCOPE_COST_TRANSFER] = TRANSFER };
        const struct scope_tokens_law *served = &play->served[laws[stage]];
        if (served->rate > 0)
                return (uint64_t)(1e9 * fmax((double)tokens / served->rate, served->least_s));
        return draw(play, laws[stage], key);
}

static uint32_t at_most(uint64_t tokens, uint32_t most)
{
        return tokens < most ? (uint32_t)tokens : most;
}

/* As long as sim.length says, or as its words; its last token stays the last. */
static uint32_t lengthen(const struct scope_stage_play *play,
        const struct scope_engine_request *request, uint32_t *tokens, uint32_t count)
{
        if (play->options->sim.length[0] == 0)
                return count;
        uint32_t last = tokens[count - 1],
                 wanted = at_most(draw(play, LENGTH, request->seed) / 1000000000u,
                         request->response_max);
        for (; count < wanted; count++)
                tokens[count - 1] = play->filler;
        tokens[count - 1] = last;
        return count;
}

/* A group either needs repair, with about two of three samples wrong, or has none that is. */
static uint64_t respond(void *context, const struct scope_engine_request *request,
        uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct scope_stage_play *play = context;
        uint64_t seed = scope_hash_pair((uint64_t)play->options->run.seed, 99);
        struct scope_rng group = scope_rng_make(scope_hash_pair(seed, request->share));
        struct scope_rng own = scope_rng_make(request->seed);
        bool hard = scope_rng_uniform(&group) < play->options->sim.refined;
        bool wrong = hard && scope_rng_below(&own, 3) < 2;
        *ret_count = scope_sim_policy_write(
                &play->policy, request, wrong, scope_rng_next(&own), ret_tokens, ret_finish);
        *ret_count = lengthen(play, request, ret_tokens, *ret_count);
        for (uint32_t i = 0; i < *ret_count; i++)
                ret_logp[i] = -0.125f;
        return play->served[DECODE].rate > 0 ? 0 : draw(play, DECODE, request->seed);
}

/* --- a recording ---------------------------------------------------------------------------- */

static uint64_t problem_of(void *context, uint64_t group)
{
        const struct scope_stage_play *play = context;
        return scope_recording_group(play->recording, group)->problem;
}

static bool scores_of(
        void *context, uint64_t group, uint32_t sample, uint32_t step_count, float *ret_p)
{
        const struct scope_stage_play *play = context;
        return scope_recording_scores(play->recording, group, sample, step_count, ret_p);
}

/* Which sample of its group has this seed. */
static uint32_t sample_of(
        const struct scope_stage_play *play, const struct scope_engine_request *request)
{
        uint64_t run_seed = (uint64_t)play->options->run.seed;
        uint32_t sample = 0;
        while (sample < SCOPE_GROUP_SAMPLES_MAX &&
                scope_sample_seed(run_seed, request->share, sample) != request->seed)
                sample++;
        scope_assert(sample < SCOPE_GROUP_SAMPLES_MAX);
        return sample;
}

/* What was said then, to the bit. False: only its text was recorded, or it is too long. */
static bool repeat_tokens(const struct scope_recording *recording,
        const struct scope_recorded_sample *sample, const struct scope_engine_request *request,
        uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        const uint32_t *ids;
        const float *logp;
        if (!scope_recording_tokens(recording, sample, &ids, &logp, ret_count, ret_finish) ||
                *ret_count > request->response_max)
                return false;
        memcpy(ret_tokens, ids, *ret_count * sizeof *ids);
        memcpy(ret_logp, logp, *ret_count * sizeof *logp);
        return true;
}

/* What was said then, in the time that it took. */
static uint64_t repeat(void *context, const struct scope_engine_request *request,
        uint32_t *ret_tokens, float *ret_logp, uint32_t *ret_count, uint8_t *ret_finish)
{
        struct scope_stage_play *play = context;
        const struct scope_recording *recording = play->recording;
        const struct scope_recorded_group *group = scope_recording_group(recording, request->share);
        const struct scope_recorded_sample *sample =
                scope_recording_sample(recording, group, sample_of(play, request));
        size_t count = 0;
        if (repeat_tokens(recording, sample, request, ret_tokens, ret_logp, ret_count, ret_finish))
                return sample->service_ns;
        enum scope_err err = scope_tokenizer_encode(play->parts.tokenizer,
                scope_recording_text(recording, sample->text), sample->text_bytes, ret_tokens,
                request->response_max - 1, &count);
        bool whole =
                err != SCOPE_ERR_TOO_BIG && sample->whole && (count < sample->tokens || count == 0);
        if (whole)
                ret_tokens[count++] = play->parts.layout->config.eos[0];
        if (count == 0) /* nothing that can be written: one token all the same */
                ret_tokens[count++] = play->parts.layout->config.eos[0];
        for (size_t i = 0; i < count; i++)
                ret_logp[i] = -0.125f;
        *ret_count = (uint32_t)count;
        *ret_finish = whole ? SCOPE_FINISH_STOP : SCOPE_FINISH_LENGTH;
        return sample->service_ns;
}

void scope_stage_play_teach(void *context, struct scope_sim_http *call)
{
        struct scope_stage_play *play = context;
        uint64_t words = scope_hash_bytes(call->request->body, call->request->body_bytes);
        scope_sim_teach(
                &play->script, scope_hash_pair((uint64_t)play->options->run.seed, words), call);
}

/* --- building ------------------------------------------------------------------------------- */

static enum scope_err read_laws(struct scope_stage_play *play, struct scope_diag *diag)
{
        const struct scope_sim_stage_options *sim = &play->options->sim;
        const char *const words[LAWS] = { sim->decode, sim->prm, sim->learn, sim->publish,
                sim->transfer, sim->length };
        struct scope_teacher_script_options script = { .seed = 0 };
        static const enum scope_recorded_time times[LAWS] = { SCOPE_RECORDED_DECODE,
                SCOPE_RECORDED_PRM, SCOPE_RECORDED_LEARN, SCOPE_RECORDED_PUBLISH,
                SCOPE_RECORDED_PUBLISH, SCOPE_RECORDED_LENGTH };
        enum scope_err err = SCOPE_OK;
        for (int i = 0; i < LAWS && err == SCOPE_OK; i++) {
                if (i == DECODE || i == PRM || i == LEARN)
                        err = scope_tokens_law_parse(words[i], &play->served[i], diag);
                if (err == SCOPE_OK && play->served[i].rate <= 0 && words[i][0] != 0)
                        err = scope_recording_law(
                                words[i], times[i], &play->laws[i], &play->values[i], diag);
        }
        if (err == SCOPE_OK)
                err = scope_recording_law(play->options->solver.latency, SCOPE_RECORDED_TEACHER,
                        &play->latency, &play->latency_values, diag);
        script.law = &play->latency;
        (void)snprintf(script.faults, sizeof script.faults, "%s", play->options->solver.faults);
        if (err == SCOPE_OK)
                err = scope_teacher_script_init(&play->script, &script, diag);
        play->script.judge = scope_prm_exact;
        return err;
}

/* Blank lines behind the answer are no step of it. */
static enum scope_err find_filler(struct scope_stage_play *play)
{
        uint32_t ids[2];
        size_t count = 0;
        enum scope_err err =
                scope_tokenizer_encode(play->parts.tokenizer, "\n\n", 2, ids, 2, &count);
        if (err == SCOPE_OK && count == 0)
                err = SCOPE_ERR_UNSUPPORTED;
        play->filler = ids[0];
        return err;
}

/* The policy that is simulated reads its problem out of the prompt. */
static enum scope_err check_prompt(const struct scope_stage_play *play, struct scope_diag *diag)
{
        const struct scope_stage_play_parts *parts = &play->parts;
        struct scope_arena arena;
        struct scope_problem problem;
        struct scope_text text = { 0 };
        struct scope_chain chain;
        enum scope_err err = scope_arena_init(&arena, 1 << 16);
        if (err == SCOPE_OK)
                err = scope_dataset_get(parts->train, 0, &arena, &problem);
        if (err == SCOPE_OK && parts->prompt_format != NULL)
                err = scope_prompt_format_render(
                        parts->prompt_format, problem.text, problem.messages, &text, diag);
        if (err == SCOPE_OK && text.count > 0 &&
                scope_chain_parse((struct scope_string){ text.bytes, (uint32_t)text.count },
                        &chain) != SCOPE_OK)
                err = scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "stages.rollout = \"sim\" solves bare problems, and prompts are made by "
                        "%s: set data.prompt_format = \"plain\"",
                        scope_prompt_format_words(parts->prompt_format));
        scope_text_fini(&text);
        scope_arena_fini(&arena);
        return err;
}

/* The problems must be the recorded ones, or the recorded answers are answers to others. */
static enum scope_err check_problems(const struct scope_stage_play *play, struct scope_diag *diag)
{
        const struct scope_recording *recording = play->recording;
        struct scope_arena arena;
        enum scope_err err = scope_arena_init(&arena, 1 << 20);
        for (uint64_t i = 0; i < scope_recording_groups(recording) && err == SCOPE_OK; i++) {
                const struct scope_recorded_group *group = scope_recording_group_at(recording, i);
                struct scope_problem problem;
                scope_arena_reset(&arena);
                err = scope_dataset_get(play->parts.train, group->problem, &arena, &problem);
                if (err == SCOPE_OK && (problem.text.bytes != group->text_bytes ||
                                               memcmp(problem.text.at,
                                                       scope_recording_text(recording, group->text),
                                                       group->text_bytes) != 0))
                        err = scope_diag_set(diag, SCOPE_ERR_ARGUMENT,
                                "data.train = \"%.200s\": its problem %llu is not the one that "
                                "was recorded in %.200s: replay it with the same data",
                                play->options->data.train, (unsigned long long)group->problem,
                                play->options->stages.replay);
        }
        scope_arena_fini(&arena);
        return err;
}

static enum scope_err open_recording(struct scope_stage_play *play, struct scope_diag *diag)
{
        const struct scope_stages_options *stages = &play->options->stages;
        if (stages->rollout != SCOPE_PLAY_REPLAY && stages->prm != SCOPE_PLAY_REPLAY &&
                stages->teacher != SCOPE_PLAY_REPLAY && stages->learner != SCOPE_PLAY_REPLAY)
                return SCOPE_OK;
        enum scope_err err = scope_recording_load(stages->replay, &play->recording, diag);
        if (err == SCOPE_OK)
                err = scope_recording_check(play->recording, play->options, diag);
        if (err == SCOPE_OK && stages->rollout == SCOPE_PLAY_REPLAY)
                err = check_problems(play, diag);
        if (err == SCOPE_OK && stages->teacher == SCOPE_PLAY_REPLAY) {
                play->script.recorded = scope_recording_call;
                play->script.recorded_context = play->recording;
        }
        return err;
}

enum scope_err scope_stage_play_create(const struct scope_pipeline_options *options,
        const struct scope_stage_play_parts *parts, struct scope_stage_play **ret_play,
        struct scope_diag *diag)
{
        struct scope_stage_play *play = calloc(1, sizeof *play);
        if (play == NULL)
                return SCOPE_ERR_MEMORY;
        play->options = options;
        play->parts = *parts;
        play->policy = (struct scope_sim_policy){ .tokenizer = parts->tokenizer,
                .eos = parts->layout->config.eos[0] };
        enum scope_err err = read_laws(play, diag);
        if (err == SCOPE_OK && options->sim.length[0] != 0)
                err = find_filler(play);
        if (err == SCOPE_OK)
                err = open_recording(play, diag);
        if (err == SCOPE_OK && options->stages.rollout == SCOPE_PLAY_SIM)
                err = check_prompt(play, diag);
        if (err != SCOPE_OK)
                scope_stage_play_destroy(play);
        else
                *ret_play = play;
        return err;
}

bool scope_stage_play_shares_cores(const struct scope_stage_play *play)
{
        return play->recording != NULL &&
               scope_recording_shares_cores(play->recording, play->options);
}

bool scope_stage_play_words(const struct scope_stage_play *play, char *ret_words, size_t bytes)
{
        static const char *const plays[] = { "native", "sim", "replay" };
        char recorded[640] = "";
        if (play == NULL)
                return false;
        const struct scope_stages_options *stages = &play->options->stages;
        if (play->recording != NULL)
                (void)snprintf(recorded, sizeof recorded,
                        "; %s holds %llu groups and %llu teacher calls, and begins again",
                        stages->replay, (unsigned long long)scope_recording_groups(play->recording),
                        (unsigned long long)scope_recording_calls(play->recording));
        (void)snprintf(ret_words, bytes, "rollout %s, prm %s, teacher %s, learner %s%s",
                plays[stages->rollout], plays[stages->prm], plays[stages->teacher],
                plays[stages->learner], recorded);
        bool untrue = stages->rollout == SCOPE_PLAY_SIM ||
                      (stages->rollout == SCOPE_PLAY_REPLAY &&
                              !scope_recording_has_tokens(play->recording));
        if (untrue && stages->learner == SCOPE_PLAY_NATIVE)
                (void)snprintf(ret_words + strlen(ret_words), bytes - strlen(ret_words),
                        "; the learner's rollouts have no true log-probabilities (record them: "
                        "metrics.tokens = true), so it learns nothing true");
        return true;
}

void scope_stage_play_destroy(struct scope_stage_play *play)
{
        if (play == NULL)
                return;
        scope_sim_policy_fini(&play->policy);
        scope_recording_destroy(play->recording);
        for (int i = 0; i < LAWS; i++)
                free(play->values[i]);
        free(play->latency_values);
        free(play);
}

static uint64_t mean_decode_ns(const struct scope_stage_play *play)
{
        uint64_t sum = 0;
        const struct scope_tokens_law *served = &play->served[DECODE];
        if (play->options->stages.rollout == SCOPE_PLAY_REPLAY)
                return scope_recording_decode_ns(play->recording);
        if (served->rate > 0) /* of a short one, alone */
                return (uint64_t)(1e9 * SHORT_TOKENS * fmax(served->least_s, 1 / served->rate));
        for (uint64_t i = 0; i < LAW_SAMPLES; i++)
                sum += draw(play, DECODE, i) / LAW_SAMPLES;
        return sum;
}

static double per_token_ns(double rate)
{
        return rate > 0 ? 1e9 / rate : 0;
}

enum scope_err scope_stage_play_engine(
        struct scope_stage_play *play, struct scope_engine **ret_engine)
{
        const struct scope_pipeline_options *options = play->options;
        uint64_t quantum = mean_decode_ns(play) / QUANTA, least = play->parts.quantum_least_ns;
        bool replays = options->stages.rollout == SCOPE_PLAY_REPLAY;
        struct scope_engine_timed_options timed = { .slots = (uint32_t)options->rollout.slots,
                .waiting_max = WAITING_MAX,
                .response_max = (uint32_t)options->rollout.max_response,
                .quantum_ns = quantum > least ? quantum
                              : least > 0     ? least
                                              : 1,
                /* what was recorded took its pauses within decoding */
                .swap_ns = replays ? 0 : (uint64_t)options->sim.swap,
                .prefill_rate = replays ? 0 : options->sim.prefill_rate,
                .step = { .least_ns = 1e9 * play->served[DECODE].least_s,
                        .each_ns = per_token_ns(play->served[DECODE].rate),
                        .prompt_ns = per_token_ns(options->sim.prefill_rate) },
                .respond = replays ? repeat : respond,
                .context = play };
        struct scope_recorded_law law = { 0 };
        if (replays && scope_recording_step_law(play->recording, &law)) {
                timed.swap_ns = (uint64_t)law.swap_ns;
                timed.quantum_ns = (uint64_t)fmax(law.step_ns, (double)least); /* as then */
        }
        if (replays)
                timed.step = (struct scope_engine_step_law){ .base_ns = law.round_ns,
                        .each_ns = law.token_ns,
                        .prompt_ns = law.prompt_ns };
        return scope_engine_timed_create(&timed, ret_engine);
}

void scope_stage_play_lend(struct scope_stage_play *play, struct scope_resources *resources)
{
        const struct scope_stages_options *stages = &play->options->stages;
        resources->stage_cost = stage_cost;
        resources->played = play;
        if (stages->rollout == SCOPE_PLAY_REPLAY)
                resources->problem_of = problem_of;
        if (stages->prm == SCOPE_PLAY_REPLAY)
                resources->scores_of = scores_of;
        if (stages->prm != SCOPE_PLAY_NATIVE)
                resources->timed |= 1u << SCOPE_COST_PRM;
        if (stages->prm == SCOPE_PLAY_SIM && play->served[PRM].rate > 0)
                resources->counted |= 1u << SCOPE_COST_PRM;
        if (stages->learner != SCOPE_PLAY_NATIVE)
                resources->timed |= 1u << SCOPE_COST_LEARN | 1u << SCOPE_COST_EXPORT |
                                    1u << SCOPE_COST_TRANSFER;
}
