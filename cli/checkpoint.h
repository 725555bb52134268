/* checkpoint.h - a step that can be continued: DIR/checkpoints/step_000100/{hf/, state/, COMPLETE}.
 * Why: weights, optimiser, cursors and windows belong together; a directory counts only once
 * COMPLETE is in it, and that is written last.
 * (1) hf/ is a whole Hugging Face directory in f32. (2) Every file of state/ is named with its hash
 * in state.json; a wrong hash is refused, never loaded. (3) The newest `keep` stay. */
#pragma once

#include <stdint.h>

#include "actors/stages.h"

struct scope_assembly;

struct scope_checkpointer {
        struct scope_assembly *assembly;
        char directory[1024]; /* of the run */
        char like[512];       /* whose tokenizer files are copied */
        uint64_t keep;
        uint64_t saved;         /* newest step that is safe on disk */
        struct scope_diag diag; /* of the last failure */
};

/* scope_resources.checkpoint: context is a struct scope_checkpointer.    thread  I/O, no training
 * job running */
enum scope_err scope_checkpoint_save(void *context, const struct scope_checkpoint_state *state);

/* The newest complete step below `directory`.     errors  SCOPE_ERR_NOT_FOUND */
enum scope_err scope_checkpoint_newest(
        const char *directory, uint64_t *ret_step, struct scope_diag *diag);

/* Puts `step` into trainer, window and progress of a built assembly; cursors go to `resources`.
 * errors  SCOPE_ERR_NOT_FOUND, SCOPE_ERR_VERIFY: a hash is wrong, SCOPE_ERR_FORMAT     thread
 * setup */
enum scope_err scope_checkpoint_load(struct scope_assembly *assembly, const char *directory,
        uint64_t step, struct scope_resources *resources, struct scope_diag *diag);
