/* messages.h - every message between stations: who sends it to whom, with which record, and what
 * comes back.
 * Why: this list and pipeline.c are the whole protocol; an actor knows no other actor than by this
 * file. Where no answer stands, there is none.
 *
 *   kind            from -> to            record            answer
 *   PROMPT_WANTED   groups -> prompts     control           PROMPT (prompt)
 *   LEASE           groups -> rollout     lease             LEASE_DONE (control: value = samples)
 *   LEASE_CUT       groups -> rollout     control: group, value = lease token; no more samples
 *   PACE            groups -> rollout     control: value = 1 decode; 0 stand still until weights
 *                                         newer than `version` are taken
 *   TRAJECTORY      rollout -> reward     trajectory        TAKEN
 *   GRADED          reward -> groups      trajectory        TAKEN
 *   SCORE           groups -> prm         score_request     SCORED (score_answer)
 *   SELECT          groups -> selector    select_request    SELECTED (select_answer)
 *   REFINE          groups -> refiner     refine_request    REFINED (refine_answer)
 *   GROUP           groups -> queue       group             TAKEN
 *   PULL            learner -> queue      control: value = groups wanted, version = the learner's
 *   BATCH           queue -> learner      group, `value` of them
 *   GROUP_END       queue, learner -> groups   control: group, value = outcome, version
 *   WEIGHTS         learner -> weights, weights -> rollout, evaluator
 *                                         weights, attached TAKEN (when applied)
 *   WEIGHTS_WANTED  rollout -> weights -> learner
 *                                         control           TAKEN (WEIGHTS follows when it can)
 *   EVALUATE        learner -> evaluator  weights, attached EVALUATED (control: metrics)
 *   STEP            learner -> recorder   control: step, metrics
 *   NOTE            any -> recorder       control: text = one JSON object for events.jsonl
 *   ROLLOUTS        groups -> recorder    group: the same bytes as GROUP
 *   REPLIED         prm, refiner -> recorder   control: text = one line of rollouts/replies.jsonl
 *   TEACHER         refiner -> groups     control: value = 1 reachable, 0 circuit open
 *   FINISHED        learner -> groups, recorder   control: step; the last step is done
 *                                                           TAKEN, from the recorder
 */
#pragma once

#include <stdint.h>

#include "base/limits.h"
#include "runtime/actor.h"
#include "runtime/outbox.h"
#include "schemas/codec.h"

enum scope_pipeline_kind {
        SCOPE_KIND_PROMPT_WANTED = SCOPE_KIND_USER,
        SCOPE_KIND_PROMPT,
        SCOPE_KIND_LEASE,
        SCOPE_KIND_LEASE_DONE,
        SCOPE_KIND_TRAJECTORY,
        SCOPE_KIND_GRADED,
        SCOPE_KIND_TAKEN,
        SCOPE_KIND_SCORE,
        SCOPE_KIND_SCORED,
        SCOPE_KIND_SELECT,
        SCOPE_KIND_SELECTED,
        SCOPE_KIND_REFINE,
        SCOPE_KIND_REFINED,
        SCOPE_KIND_GROUP,
        SCOPE_KIND_PULL,
        SCOPE_KIND_BATCH,
        SCOPE_KIND_GROUP_END,
        SCOPE_KIND_WEIGHTS,
        SCOPE_KIND_WEIGHTS_WANTED,
        SCOPE_KIND_EVALUATE,
        SCOPE_KIND_EVALUATED,
        SCOPE_KIND_STEP,
        SCOPE_KIND_NOTE,
        SCOPE_KIND_ROLLOUTS,
        SCOPE_KIND_TEACHER,
        SCOPE_KIND_FINISHED,
        SCOPE_KIND_LEASE_CUT,
        SCOPE_KIND_PACE,
        SCOPE_KIND_REPLIED,
        SCOPE_KIND_PIPELINE_END
};

/* The terminals of a group: outcomes of the ledger, `detail` in brackets. */
enum scope_outcome {
        SCOPE_TRAINED,        /* (step) */
        SCOPE_REJECTED_STALE, /* (age in versions) */
        SCOPE_FILTERED,       /* (enum scope_filter_rule) */
        SCOPE_FAILED,         /* (enum scope_group_failure) */
        SCOPE_OUTCOME_COUNT
};
enum scope_filter_rule { SCOPE_FILTER_ALL_EQUAL };
enum scope_group_failure {
        SCOPE_FAILURE_INCOMPLETE,   /* too few samples after every attempt */
        SCOPE_FAILURE_GROUPS_LOST,  /* an actor died that held the only copy */
        SCOPE_FAILURE_QUEUE_LOST,
        SCOPE_FAILURE_LEARNER_LOST,
        SCOPE_FAILURE_MALFORMED,    /* a record that does not decode */
        SCOPE_FAILURE_COUNT
};
const char *scope_outcome_name(unsigned outcome);

/* Ledger slots of a group past its samples: which station holds it now, and whose it is. */
enum {
        SCOPE_SLOT_QUEUED = SCOPE_GROUP_SAMPLES_MAX,
        SCOPE_SLOT_CLAIMED,
        SCOPE_SLOT_BATCH, /* the batch it was admitted to; strategies in_order only */
        SCOPE_SLOT_COUNT
};

/* A message holding `record`, ready to send: scope_message_of_prompt(self, kind, lane, &prompt,
 * &message). The way back: scope_message_read_prompt(self, message, limits, &prompt): what it
 * points to lives in the message and in the turn's scratch arena.
 * owns    of gives, read borrows
 * errors  those of encode and of scope_message_create */
#define X(name)                                                                                    \
        enum scope_err scope_message_of_##name(struct scope_actor *self, uint16_t kind,            \
                enum scope_lane lane, const struct scope_##name *record,                           \
                struct scope_message **ret_message);                                               \
        enum scope_err scope_message_read_##name(struct scope_actor *self,                         \
                const struct scope_message *message, const struct scope_codec_limits *limits,      \
                struct scope_##name *ret_record);
SCOPE_RECORD_MAP(X)
#undef X

/* An answer without a record. */
void scope_reply_taken(struct scope_actor *self, const struct scope_message *request);
