/* sim.h - the inside of the simulator, shared by env_sim.c and sim_*.c.
 * Why: one seed draws everything: which faults, how often, who runs next, what takes how long.
 * (1) All draws come from `rng` in the order of events; nothing depends on addresses or on hash
 * order. */
#pragma once

#include "base/rng.h"
#include "runtime/core.h"
#include "runtime/key_map.h"
#include "runtime/simulation.h"

/* What follows a scope_operation: its next event. */
struct sim_operation {
        struct scope_timer_node node;
        struct scope_operation *operation;
        struct sim_operation *next, *previous; /* of all that are under way */
        struct sim_operation *queued;          /* COMPUTE: waiting for workers */
        enum scope_err err;
        uint64_t started_ns, worked_ns; /* COMPUTE: the last time; before it, while it yielded */
        uint64_t left_ns;
        bool running;
        char *body; /* HTTP */
        size_t body_bytes, sent_bytes;
        uint64_t late_ns; /* HTTP: absolute, when the caller's patience ends */
};

/* A message in flight. */
struct sim_letter {
        struct scope_timer_node node;
        struct sim_letter *next, *previous;
        struct scope_actor *target;
        struct scope_message *message;
};

struct sim_file {
        char *name, *bytes;
        size_t count, torn; /* the last `torn` bytes are a torn line */
};

/* A request that was sent and not answered yet. */
struct sim_open {
        uint64_t key, deadline_ns;
};

struct scope_sim {
        struct scope_system *system;
        struct scope_sim_options options;
        struct scope_sim_result result;
        struct scope_rng rng;
        uint64_t now_ns;
        uint32_t rates[SCOPE_FAULT_COUNT]; /* of 65536 */
        char violation[512];

        struct sim_letter letters; /* ring head */
        struct sim_letter *letters_free;
        struct scope_key_map channels; /* (sender, target, lane) -> index of last_ns */
        uint64_t *last_ns;
        uint32_t last_count, last_capacity;

        struct sim_operation operations; /* ring head */
        struct sim_operation *queue;     /* COMPUTE: most urgent first */
        unsigned workers_free;

        struct sim_file *files;
        size_t file_count;
        uint64_t *disk_ns; /* an actor's last completion */

        struct scope_key_map open_index; /* request -> index of open */
        struct sim_open *open;
        uint32_t open_count, open_capacity;
        uint8_t lives[SCOPE_ACTORS_MAX];
};

static inline struct scope_sim *sim_of(const struct scope_loop *loop)
{
        return loop->system->env;
}

/* sim_faults.c */
void scope_sim_faults_draw(struct scope_sim *sim);
/* True: this fault happens here and now, and was counted. */
bool scope_sim_chance(struct scope_sim *sim, enum scope_fault fault);
/* A duration of that order, with a heavy tail: median_ns / 2 up to 64 * median_ns. */
uint64_t scope_sim_tail(struct scope_sim *sim, uint64_t median_ns);
void scope_sim_violation(struct scope_sim *sim, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* sim_net.c */
bool scope_sim_carry(struct scope_actor *target, struct scope_message *message);
enum scope_err scope_sim_http_start(struct scope_sim *sim, struct sim_operation *own,
        const struct scope_http_request *request);
void scope_sim_net_fini(struct scope_sim *sim);

/* sim_disk.c */
enum scope_err scope_sim_disk_start(struct scope_sim *sim, struct sim_operation *own);
void scope_sim_disk_fini(struct scope_sim *sim);

/* sim_compute.c */
enum scope_err scope_sim_compute_start(struct scope_sim *sim, struct sim_operation *own);
bool scope_sim_compute_cancel(struct scope_sim *sim, struct sim_operation *own);

/* sim_watch.c */
void scope_sim_observe(struct scope_actor *actor, int observation,
        const struct scope_message *message);
/* Requests whose deadline passed long ago without an answer. */
void scope_sim_overdue(struct scope_sim *sim);
void scope_sim_watch_fini(struct scope_sim *sim);

/* env_sim.c */
enum scope_err scope_sim_schedule(struct scope_sim *sim, struct scope_timer_node *node,
        uint64_t at_ns);
/* Unlinks and finishes. */
void scope_sim_finish(struct scope_sim *sim, struct sim_operation *own, enum scope_err err);
