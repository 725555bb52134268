/* limits.h - every compile-time bound of the program, in one place.
 * Why: a bound that a reader cannot find is a bound nobody checks. Units are in the names. */
#pragma once

enum {
        SCOPE_GROUP_SAMPLES_MAX = 64,      /* G */
        SCOPE_PROMPT_TOKENS_MAX = 32768,
        SCOPE_RESPONSE_TOKENS_MAX = 32768,
        SCOPE_STEPS_MAX = 512,             /* reasoning steps of one response */
        SCOPE_SEGMENTS_MAX = 16,           /* of one trajectory */
        SCOPE_SPANS_MAX = 64,              /* version spans of one trajectory */
        SCOPE_ANSWER_BYTES_MAX = 512,      /* a final answer; algorithm.md 2.1 rule 7 */
        SCOPE_TEXT_BYTES_MAX = 1 << 20,    /* one text field of a message */
        SCOPE_MESSAGE_BYTES_MAX = 64 << 20,
        SCOPE_VOCAB_MAX = 1 << 20,
        SCOPE_PATH_BYTES_MAX = 4096,
        SCOPE_CORES_MAX = 256,
        SCOPE_ACTORS_MAX = 4096,
        SCOPE_NAME_BYTES_MAX = 32,
        SCOPE_POOL_BYTES_MAX = 512 << 20,  /* message blocks of one loop */
        SCOPE_LEDGER_LIVE_MAX = 4096,      /* keys that are live at once */
        SCOPE_LEDGER_SLOTS_MAX = 128,      /* set-once slots of one key */
};
