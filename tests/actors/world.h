/* world.h - one station alone: every other station is a peer that plays by the test's script.
 * Why: the simulated and the real environment are asked the same questions.
 * (1) struct station serves any actor: `begin` and `hear` are the script. (2) struct world is the
 * refiner's: the peer asks request i at its time and keeps the one answer; when all are answered,
 * and not before `stay_ns`, it drains the system. (3) No text that passes it may hold the key. */
#pragma once

#include "tests/test.h"

#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/statistics.h"
#include "base/arena.h"
#include "models/config.h"
#include "runtime/ledger.h"
#include "runtime/system.h"

struct scope_sim_http;
struct scope_text;
struct scope_tokenizer;

#define REFINER_KEY "sk-secret-of-the-test"
#define REFINER_MS(n) ((uint64_t)(n)*1000000u)

enum { REQUESTS_MAX = 256, EOS = 2 };

struct asked {
        uint64_t at_ns, timeout_ns;
        uint32_t kept, suffix_max; /* steps of the true solution that are the prefix */
        /* the answer */
        bool answered, error;
        enum scope_err err;
        enum scope_refine_verdict verdict;
        uint32_t calls, token_count, last_token;
        uint64_t took_ns;
        char text[512];
};

struct world {
        struct scope_system *system;
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_layout layout;
        struct scope_tokenizer *tokenizer;
        struct asked asked[REQUESTS_MAX];
        uint32_t count, answered;
        uint64_t stay_ns;
        /* what was told */
        uint32_t states, events;
        bool up[64];
        uint64_t up_ns[64];
        char words[4096]; /* of all events */
        char gauges[48][48];
        double values[48];
        uint32_t gauge_count;
};

/* Problem i and its solution; a teacher by script solves the same ones. Appends to each. */
void world_problem(uint32_t index, struct scope_text *ret_problem, struct scope_text *ret_solution,
        struct scope_text *ret_gold);

double world_gauge(const struct world *world, const char *name);

/* Sensible options, and `count` requests at time 0. */
void world_init(struct world *world, uint32_t count);
struct scope_system_options world_options(struct world *world, uint64_t seed);
/* Peer and refiner, to world->system. */
void world_add(struct world *world);
void world_fini(struct world *world);

/* --- any station ------------------------------------------------------------------------------ */

enum { STATION_KINDS = SCOPE_KIND_PIPELINE_END - SCOPE_KIND_USER, STATION_TOKENS = 256 };

struct station {
        /* the test's */
        const struct scope_actor_class *class_;
        void (*begin)(struct scope_actor *peer, struct station *station); /* may be NULL */
        /* Every message and the test's own timers; what it leaves in *message is freed. */
        void (*hear)(
                struct scope_actor *peer, struct station *station, struct scope_message **message);
        void (*http)(void *station, struct scope_sim_http *call); /* may be NULL */
        void *test;
        uint64_t stay_ns; /* the peer drains the system then; 0 = 60 s */
        uint32_t faults;  /* bits of enum scope_fault, until stay_ns */
        uint64_t seed;
        /* filled by station_init */
        struct scope_pipeline_options options;
        struct scope_stages stages;
        struct scope_progress progress;
        struct scope_length_window window;
        struct scope_arena arena;
        struct scope_tokenizer *tokenizer;
        /* filled by station_run */
        struct scope_system *system;
        struct scope_ledger *ledger;
        struct scope_actor_class wrapped; /* class_, which station_crash reaches */
        struct scope_address subject;
        struct scope_outbox outbox; /* the peer's */
        uint32_t notices;
        uint32_t heard[STATION_KINDS];       /* messages of each kind */
        uint32_t ended[SCOPE_OUTCOME_COUNT]; /* groups that the subject ended */
        uint64_t detail[SCOPE_OUTCOME_COUNT];
};

/* Options as an empty configuration with `toml` on top has them; the tiny tokenizer; limits. */
void station_init(struct station *station, const char *toml);
/* Simulates until everything stopped; fails the test on any failure. */
void station_run(struct station *station, const char *name);
void station_fini(struct station *station);

/* To the subject: a message, and a request whose answer comes with `tag`. Both take it. */
void station_tell(struct scope_actor *peer, struct station *station, struct scope_message *message);
void station_ask(struct scope_actor *peer, struct station *station, struct scope_message *message,
        uint64_t tag);
void station_control(struct scope_actor *peer, struct station *station, uint16_t kind,
        struct scope_control control);
/* The subject fails at this point of its mailbox, and is restarted. */
void station_crash(struct scope_actor *peer, struct station *station);
void station_timer(struct scope_actor *peer, uint64_t tag, uint64_t after_ns);
uint32_t station_heard(const struct station *station, uint16_t kind);

/* A trajectory of `text` to "1+6=", with EOS, all of one version. */
struct station_sample {
        uint32_t prompt[8], tokens[STATION_TOKENS];
        float logp[STATION_TOKENS];
        struct scope_segment segment;
        struct scope_version_span span;
        struct scope_trajectory trajectory;
};
void station_sample(const struct station *station, uint64_t group, uint32_t sample,
        const char *text, uint64_t version, struct station_sample *ret);
