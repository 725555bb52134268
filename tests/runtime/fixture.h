/* fixture.h - small actors for the runtime's tests: what they do is a function, their state is
 * the test's.
 * Everything runs in the simulator without faults unless the test asks for some. */
#pragma once

#include "tests/test.h"

#include "base/check.h"
#include "base/text.h"
#include "runtime/simulation.h"

enum { MS = 1000000, SECOND = 1000000000 };
enum { KIND_A = SCOPE_KIND_USER, KIND_B, KIND_C, KIND_STOP };

/* One actor of a test; outlives its incarnations. */
struct script {
        void (*receive)(struct scope_actor *self, struct script *script,
                struct scope_message *message);
        struct scope_system *system;
        struct scope_address self, peer;
        unsigned starts, finis, drains, count[8];
        enum scope_err err; /* of what the test looks at */
        enum scope_err init_err;
        uint64_t number;
        struct scope_message *held;
        bool busy; /* not idle */
        void *context;
};

struct script_state {
        struct script *script;
};

static enum scope_err script_init(struct scope_actor *self, void *state, void *args)
{
        struct script *script = args;
        ((struct script_state *)state)->script = script;
        script->self = scope_self(self);
        return script->init_err;
}

static void script_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct script *script = ((struct script_state *)state)->script;
        script->starts += message->kind == SCOPE_KIND_START;
        script->receive(self, script, message);
}

static void script_drain(struct scope_actor *self, void *state)
{
        (void)self;
        ((struct script_state *)state)->script->drains++;
}

static bool script_idle(const void *state)
{
        return !((const struct script_state *)state)->script->busy;
}

static void script_fini(struct scope_actor *self, void *state)
{
        (void)self;
        struct script *script = ((struct script_state *)state)->script;
        script->finis++;
        scope_message_free(script->held);
        script->held = NULL;
}

static const struct scope_actor_class script_class = {
        .name = "script",
        .state_bytes = sizeof(struct script_state),
        .init = script_init,
        .receive = script_receive,
        .drain = script_drain,
        .idle = script_idle,
        .fini = script_fini,
};

static inline struct scope_system_options fixture_options(void)
{
        return (struct scope_system_options){ .seed = 7, .loops = 1, .compute_threads = 2,
                .directory = "simulated", .restarts_max = 3, .restart_window_ns = 10ull * SECOND,
                .wait_report_ns = 10ull * SECOND };
}

static inline struct scope_sim_options fixture_sim(void)
{
        return (struct scope_sim_options){ .seed = 7, .stop_ns = 1000ull * SECOND,
                .events_max = 1000000 };
}

static inline void fixture_add(struct scope_system *system, const char *name, struct script *script,
        const uint32_t *mailbox, bool essential)
{
        struct scope_actor_options options = { .name = name, .class_ = &script_class,
                .args = script, .essential = essential };
        for (int lane = 0; mailbox != NULL && lane < SCOPE_LANE_COUNT; lane++)
                options.mailbox[lane] = mailbox[lane];
        script->system = system;
        assert_ok(scope_system_add(system, &options, &script->self));
}

static inline struct scope_message *fixture_message(struct scope_actor *self, uint16_t kind)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_create(self, kind, SCOPE_LANE_DATA, 0, &message));
        return message;
}

/* Runs and fails the test on a violation. */
static inline enum scope_err fixture_run(struct scope_system *system)
{
        enum scope_err err = scope_system_run(system);
        struct scope_sim_result result;
        scope_simulation_result(system, &result);
        if (result.violation != NULL)
                fail_msg("%s", result.violation);
        return err;
}

static inline void stop(struct script *script)
{
        scope_system_drain(script->system, SECOND);
}
