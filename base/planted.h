/* planted.h - bugs on purpose, to prove that the simulator would find them.
 * Why: a simulator that stays silent is worth nothing until it has caught bugs that are known to
 * be there. Only a test build (-DSCOPE_PLANTED_BUGS) contains them; elsewhere SCOPE_PLANTED is
 * the constant false and the compiler removes the branch. Each thread switches its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCOPE_PLANTED_MAP(X)                                                                       \
        X(MAILBOX_OFF_BY_ONE)   /* a lane takes one message more than its capacity */              \
        X(WAKE_LOST)            /* mail arrives now and then without its actor being scheduled */  \
        X(DOWN_DROPPED)         /* a monitor is forgotten instead of told */                       \
        X(OLD_REPLY_DELIVERED)  /* mail for a dead incarnation reaches the next one */             \
        X(OLD_TIMERS_KEPT)      /* a restarted actor keeps its predecessor's timers */             \
        X(DEADLINE_IGNORED)     /* a request's deadline passes and nothing is said */              \
        X(ANSWERED_TWICE)       /* a reply does not end its request: the deadline answers again */ \
        X(LEDGER_SLOT_TWICE)    /* the last value of a slot wins, not the first */                 \
        X(LEDGER_END_TWICE)     /* an ended key takes a second terminal record */                  \
        X(ORDER_BROKEN)         /* a delayed message is overtaken by its sender's next one */      \
        X(STALE_LEASE_ACCEPTED) /* groups take a sample from a lease that was replaced */          \
        X(TEACHER_CREDIT_KEPT)  /* a group that left the teacher keeps its credit there */         \
        X(STALE_OFF_BY_ONE)     /* the queue hands over a group one version too old */             \
        X(TERMINAL_FORGOTTEN)   /* the learner trains on a group and does not end it */            \
        X(CLAIM_FORGOTTEN)      /* a restarted learner does not end what its last life held */     \
        X(PARKED_FORGOTTEN)     /* groups that found the queue full are never taken */             \
        X(LEASE_NOT_REPEATED)   /* samples of a lease that was lost are not leased again */        \
        X(OFFER_NOT_REPEATED)   /* a group is not offered again after the queue died */            \
        X(BATCHES_MIXED)        /* the queue hands over whatever came first, of whichever batch */
enum scope_planted {
#define X(name) SCOPE_PLANTED_##name,
        SCOPE_PLANTED_MAP(X)
#undef X
                SCOPE_PLANTED_COUNT,
        SCOPE_PLANTED_RUNTIME_COUNT = SCOPE_PLANTED_ORDER_BROKEN + 1 /* these come first */
};

/* "WAKE_LOST"; NULL past the end.                                    thread  any */
const char *scope_planted_name(enum scope_planted bug);

#ifdef SCOPE_PLANTED_BUGS
extern _Thread_local uint64_t scope_planted_mask; /* bit n: bug n is there, on this thread */
#define SCOPE_PLANTED(name) ((scope_planted_mask >> SCOPE_PLANTED_##name & 1) != 0)
#else
#define SCOPE_PLANTED(name) false
#endif

#ifdef __cplusplus
}
#endif
