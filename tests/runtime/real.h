/* real.h - real systems for tests, in few words.
 * (1) The first field of an actor's state is the pointer to its args. */
#pragma once

#include "tests/test.h"

#include "runtime/actor.h"
#include "runtime/system.h"

#define MS(n) ((uint64_t)(n)*1000000u)

enum { KIND_PING = SCOPE_KIND_USER, KIND_AGAIN, KIND_END };

static inline struct scope_system_options options_of(unsigned loops)
{
        return (struct scope_system_options){ .seed = 7,
                .loops = loops,
                .compute_threads = 2,
                .restarts_max = 5,
                .restart_window_ns = MS(60000),
                .wait_report_ns = MS(10000) };
}

static inline struct scope_system *system_of(const struct scope_system_options *options)
{
        struct scope_system *system = NULL;
        assert_ok(scope_system_create(options, &system));
        return system;
}

static inline struct scope_address add(struct scope_system *system, const char *name, unsigned loop,
        const struct scope_actor_class *class_, void *args)
{
        struct scope_address address = { 0 };
        assert_ok(scope_system_add(system,
                &(struct scope_actor_options){ .name = name,
                        .class_ = class_,
                        .args = args,
                        .loop = loop,
                        .essential = true },
                &address));
        return address;
}

static inline struct scope_message *message_of(
        struct scope_actor *self, uint16_t kind, uint64_t tag)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_create(self, kind, SCOPE_LANE_DATA, 8, &message));
        message->tag = tag;
        memset(message->payload, 0, 8);
        return message;
}

static inline enum scope_err keep_args(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        *(void **)state = args; /* the first field of every state here */
        return SCOPE_OK;
}

static inline void *run_main(void *arg)
{
        (void)scope_system_run(arg);
        return NULL;
}
