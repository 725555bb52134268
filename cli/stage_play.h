/* stage_play.h - stages that are played instead of run: what they take, and what they say.
 * Why: overlap is a matter of when. A run on real clocks and a simulation in virtual time may have
 * any of their stages drawn from laws ([stages] "sim"), or taken from a recorded run ("replay");
 * both come here for them.
 * (1) A draw depends on the seed and on what it is for (sample, group, version), never on when:
 * every strategy meets the same ones. (2) Read-only after create, but for the policy's scratch
 * text: one loop asks. */
#pragma once

#include "actors/stages.h"

struct scope_sim_http;
struct scope_stage_play;

/* True where a stage of this run is played. */
bool scope_stage_play_wanted(const struct scope_pipeline_options *options);

/* What the run's stages share with those that are played; all borrowed. */
struct scope_stage_play_parts {
        const struct scope_tokenizer *tokenizer;
        const struct scope_prompt_format *prompt_format;
        const struct scope_layout *layout;
        const struct scope_dataset *train;
        uint64_t quantum_least_ns; /* a played decode step lasts at least so long, samples aside */
};

/* in      options: checked; borrowed for life
 * owns    gives *ret_play
 * errors  SCOPE_ERR_FORMAT: a law; SCOPE_ERR_UNSUPPORTED, SCOPE_ERR_NOT_FOUND: what cannot be
 *         played, with the reason in diag     thread  setup */
enum scope_err scope_stage_play_create(const struct scope_pipeline_options *options,
        const struct scope_stage_play_parts *parts, struct scope_stage_play **ret_play,
        struct scope_diag *diag);
void scope_stage_play_destroy(struct scope_stage_play *play); /* accepts NULL */

/* An engine for a rollout that is played; the caller destroys it before `play`. */
enum scope_err scope_stage_play_engine(
        struct scope_stage_play *play, struct scope_engine **ret_engine);

/* Hooks of the stages that are played. */
void scope_stage_play_lend(struct scope_stage_play *play, struct scope_resources *resources);

/* cli/recording.h says when. */
bool scope_stage_play_shares_cores(const struct scope_stage_play *play);

/* Who plays what, for people. False: nobody does (play may be NULL). */
bool scope_stage_play_words(const struct scope_stage_play *play, char *ret_words, size_t bytes);

/* The teacher of a simulation; the context is the play. */
void scope_stage_play_teach(void *context, struct scope_sim_http *call);
