/* system.c - actors put together: made, added, run, drained, read, taken apart. */
#include "runtime/system.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "runtime/core.h"
#include "runtime/ledger.h"

enum { LOOPS_MAX = 256 };
_Static_assert((SCOPE_ACTORS_MAX & (SCOPE_ACTORS_MAX - 1)) == 0, "the ready ring wraps by a mask");

static const uint32_t lanes_standard[SCOPE_LANE_COUNT] = { 64, 256, 256 };

/* Zeroed, on cache lines of its own. */
static void *aligned_zeroed(size_t bytes)
{
        size_t rounded = (bytes + 63) & ~(size_t)63;
        void *memory = aligned_alloc(64, rounded != 0 ? rounded : 64);
        return memory != NULL ? memset(memory, 0, rounded) : NULL;
}

static int *cores_copy(const int *cores, unsigned count)
{
        int *copy = cores != NULL ? calloc(count, sizeof(*copy)) : NULL;
        if (copy != NULL)
                memcpy(copy, cores, count * sizeof(*copy));
        return copy;
}

static enum scope_err options_copy(struct scope_system *system,
        const struct scope_system_options *options)
{
        struct scope_system_options *own = &system->options;
        *own = *options;
        own->loop_cores = cores_copy(options->loop_cores, options->loops);
        own->compute_cores = cores_copy(options->compute_cores, options->compute_threads);
        own->directory = options->directory != NULL ? strdup(options->directory) : NULL;
        bool missing = (options->loop_cores != NULL && own->loop_cores == NULL) ||
                       (options->compute_cores != NULL && own->compute_cores == NULL) ||
                       (options->directory != NULL && own->directory == NULL);
        return missing ? SCOPE_ERR_MEMORY : SCOPE_OK;
}

static enum scope_err loop_init(struct scope_system *system, unsigned index)
{
        struct scope_loop *loop = &system->loops[index];
        loop->system = system;
        loop->index = index;
        scope_clock_init(&loop->clock);
        scope_message_pool_init(&loop->pool, SCOPE_POOL_BYTES_MAX);
        loop->ready_mask = SCOPE_ACTORS_MAX - 1;
        loop->ready = calloc(SCOPE_ACTORS_MAX, sizeof(struct scope_actor *));
        if (loop->ready == NULL)
                return SCOPE_ERR_MEMORY;
        return SCOPE_OK;
}

static void core_free(struct scope_system *system)
{
        for (uint32_t i = 0; i < system->loop_count; i++) {
                struct scope_loop *loop = &system->loops[i];
                while (loop->operations_free != NULL) {
                        struct scope_operation *operation = loop->operations_free;
                        loop->operations_free = operation->next;
                        free(operation);
                }
                scope_message_pool_fini(&loop->pool);
                scope_timer_heap_fini(&loop->timers);
                free(loop->ready);
        }
        free((void *)system->options.loop_cores);
        free((void *)system->options.compute_cores);
        free((void *)system->options.directory);
        scope_ledger_destroy(system->ledger);
        free(system->loops);
        free(system->actors);
        free(system);
}

enum scope_err scope_core_create(const struct scope_system_options *options,
        const struct scope_env_ops *ops, struct scope_system **ret_system)
{
        if (options->loops == 0 || options->loops > LOOPS_MAX || options->compute_threads == 0 ||
                options->restarts_max >= SCOPE_RESTARTS_KEPT)
                return SCOPE_ERR_ARGUMENT;
        struct scope_system *system = calloc(1, sizeof(*system));
        if (system == NULL)
                return SCOPE_ERR_MEMORY;
        system->ops = ops;
        system->loops = aligned_zeroed(options->loops * sizeof(*system->loops));
        system->actors = calloc(SCOPE_ACTORS_MAX, sizeof(struct scope_actor *));
        enum scope_err err = options_copy(system, options);
        if (err != SCOPE_OK || system->loops == NULL || system->actors == NULL)
                goto fail;
        for (; system->loop_count < options->loops; system->loop_count++)
                if (loop_init(system, system->loop_count) != SCOPE_OK) {
                        system->loop_count++; /* half built: freed with the rest */
                        goto fail;
                }
        err = scope_ledger_create(SCOPE_LEDGER_LIVE_MAX, SCOPE_LEDGER_SLOTS_MAX, &system->ledger);
        if (err != SCOPE_OK)
                goto fail;
        *ret_system = system;
        return SCOPE_OK;
fail:
        core_free(system);
        return SCOPE_ERR_MEMORY;
}

struct scope_ledger *scope_system_ledger(struct scope_system *system)
{
        return system->ledger;
}

/* --- adding ----------------------------------------------------------------------------------- */

static void actor_free(struct scope_actor *actor)
{
        scope_arena_fini(&actor->scratch);
        scope_pending_fini(&actor->pending);
        free(actor->state);
        free(actor);
}

static enum scope_err actor_make(struct scope_system *system,
        const struct scope_actor_options *options, struct scope_actor **ret_actor)
{
        struct scope_actor *actor = aligned_zeroed(sizeof(*actor));
        if (actor == NULL)
                return SCOPE_ERR_MEMORY;
        size_t scratch_bytes = options->class_->scratch_bytes;
        actor->state = aligned_zeroed(options->class_->state_bytes);
        enum scope_err err = scope_arena_init(&actor->scratch,
                scratch_bytes != 0 ? scratch_bytes : 64 << 10);
        if (actor->state == NULL || err != SCOPE_OK) {
                actor_free(actor);
                return SCOPE_ERR_MEMORY;
        }
        actor->system = system;
        actor->loop = &system->loops[system->ops->one_loop ? 0 : options->loop];
        actor->class_ = options->class_;
        actor->args = options->args;
        actor->essential = options->essential;
        actor->workers = options->workers;
        actor->index = system->actor_count;
        (void)snprintf(actor->name, sizeof actor->name, "%s", options->name);
        for (int lane = 0; lane < SCOPE_LANE_COUNT; lane++)
                actor->capacity[lane] = options->mailbox[lane] != 0 ? options->mailbox[lane]
                                                                    : lanes_standard[lane];
        scope_mailbox_init(&actor->mailbox, actor->capacity);
        scope_usage_cause(&actor->usage, "starved");
        actor->random_seed = scope_hash_pair(system->options.seed,
                scope_hash_bytes(actor->name, strlen(actor->name)));
        *ret_actor = actor;
        return SCOPE_OK;
}

enum scope_err scope_system_add(struct scope_system *system,
        const struct scope_actor_options *options, struct scope_address *ret_address)
{
        scope_assert(!system->ran && options->class_ != NULL);
        if ((options->loop >= system->loop_count && !system->ops->one_loop) ||
                system->actor_count == SCOPE_ACTORS_MAX)
                return SCOPE_ERR_LIMIT;
        if (options->name == NULL || options->name[0] == '\0' ||
                strlen(options->name) >= SCOPE_NAME_BYTES_MAX)
                return SCOPE_ERR_ARGUMENT;
        for (uint32_t i = 0; i < system->actor_count; i++)
                if (strcmp(system->actors[i]->name, options->name) == 0)
                        return SCOPE_ERR_EXISTS;
        struct scope_actor *actor = NULL;
        enum scope_err err = actor_make(system, options, &actor);
        if (err != SCOPE_OK)
                return err;
        system->actors[system->actor_count++] = actor;
        actor->loop->now_ns = system->ops->now_ns(actor->loop);
        err = scope_actor_begin(actor);
        if (err != SCOPE_OK) {
                system->actors[--system->actor_count] = NULL;
                actor_free(actor);
                return err;
        }
        atomic_fetch_add_explicit(&system->actors_up, 1, memory_order_relaxed);
        *ret_address = (struct scope_address){ 0, actor->index, actor->incarnation };
        return SCOPE_OK;
}

/* --- running and stopping --------------------------------------------------------------------- */

void scope_system_order(struct scope_system *system)
{
        /* Release: what the order is about; pairs with the acquire in scope_supervisor_orders. */
        atomic_fetch_add_explicit(&system->orders, 1, memory_order_release);
        for (uint32_t i = 0; i < system->loop_count; i++)
                system->ops->wake(&system->loops[i]);
}

void scope_system_fail(struct scope_system *system, enum scope_err err, const char *format, ...)
{
        if (atomic_exchange_explicit(&system->cause_taken, true, memory_order_relaxed))
                return;
        system->cause_err = err;
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(system->cause, sizeof system->cause, format, arguments); /* may be cut */
        va_end(arguments);
        /* Release: cause; pairs with the acquire in scope_system_finished. */
        atomic_store_explicit(&system->failed, true, memory_order_release);
        scope_system_order(system);
}

void scope_system_notice(struct scope_actor *actor, const char *name, const char *text)
{
        const struct scope_system_options *options = &actor->system->options;
        if (options->notice != NULL)
                options->notice(options->notice_context,
                        &(struct scope_notice){ actor->loop->now_ns, actor->name, name, text });
}

void scope_system_drain(struct scope_system *system, uint64_t timeout_ns)
{
        uint64_t none = 0;
        /* Only the first call counts. Release/acquire comes with the order. */
        if (atomic_compare_exchange_strong_explicit(&system->drain_timeout_ns, &none,
                    timeout_ns != 0 ? timeout_ns : 1, memory_order_relaxed, memory_order_relaxed))
                scope_system_order(system);
}

bool scope_system_draining(const struct scope_system *system)
{
        return atomic_load_explicit(&system->drain_timeout_ns, memory_order_relaxed) != 0;
}

void scope_system_abort(struct scope_system *system)
{
        atomic_store_explicit(&system->aborted, true, memory_order_relaxed);
        scope_system_order(system);
}

bool scope_system_finished(const struct scope_system *system)
{
        return atomic_load_explicit(&system->actors_up, memory_order_acquire) == 0 ||
               atomic_load_explicit(&system->failed, memory_order_acquire) ||
               atomic_load_explicit(&system->aborted, memory_order_relaxed);
}

enum scope_err scope_system_run(struct scope_system *system)
{
        scope_assert(!system->ran);
        system->ran = true;
        enum scope_err err = system->ops->run(system);
        if (system->ops->still != NULL)
                system->ops->still(system);
        if (atomic_load_explicit(&system->failed, memory_order_acquire))
                return system->cause_err;
        if (err == SCOPE_OK && atomic_load_explicit(&system->aborted, memory_order_relaxed))
                return SCOPE_ERR_CANCELLED;
        return err;
}

const char *scope_system_cause(const struct scope_system *system)
{
        if (atomic_load_explicit(&system->failed, memory_order_acquire))
                return system->cause;
        return atomic_load_explicit(&system->aborted, memory_order_relaxed) ? "aborted" : "";
}

static void actor_end(struct scope_actor *actor)
{
        bool built = actor->unsettled ||
                     (actor->life != SCOPE_ACTOR_FAILED && actor->life != SCOPE_ACTOR_NEW);
        actor->unsettled = false;
        atomic_store_explicit(&actor->alive, 0, memory_order_relaxed);
        actor->life = SCOPE_ACTOR_STOPPED;
        if (built && actor->class_->fini != NULL)
                actor->class_->fini(actor, actor->state);
        for (uint32_t i = 0; i < actor->pending.slots; i++) {
                struct scope_pending *slot = scope_pending_at(&actor->pending, i);
                if (slot->kind != SCOPE_PENDING_NONE)
                        scope_pending_drop(actor, slot);
        }
}

void scope_system_destroy(struct scope_system *system)
{
        if (system == NULL)
                return;
        scope_assert(scope_loop_here() == NULL);
        if (system->ops->still != NULL)
                system->ops->still(system);
        for (uint32_t i = 0; i < system->actor_count; i++)
                actor_end(system->actors[i]);
        system->ops->destroy(system);
        for (uint32_t i = 0; i < system->actor_count; i++) {
                struct scope_message *message = NULL;
                while ((message = scope_mailbox_pop(&system->actors[i]->mailbox)) != NULL)
                        scope_message_release(message);
                actor_free(system->actors[i]);
        }
        core_free(system);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool scope_system_usage(const struct scope_system *system, unsigned index,
        struct scope_actor_usage *ret_usage)
{
        if (index >= system->actor_count)
                return false;
        struct scope_actor *actor = system->actors[index];
        const struct scope_usage *usage = &actor->usage;
        if (scope_loop_here() == actor->loop &&
                atomic_load_explicit(&actor->alive, memory_order_relaxed) != 0)
                scope_usage_idle(&actor->usage, actor->loop->now_ns); /* until this turn */
        *ret_usage = (struct scope_actor_usage){
                .busy_ns = atomic_load_explicit(&usage->busy_ns, memory_order_relaxed),
                .messages = atomic_load_explicit(&usage->messages, memory_order_relaxed),
                .restarts = atomic_load_explicit(&usage->restarts, memory_order_relaxed),
        };
        memcpy(ret_usage->name, actor->name, sizeof ret_usage->name);
        ret_usage->alive_ns = ret_usage->busy_ns;
        for (unsigned i = 0; i < SCOPE_IDLE_CAUSES; i++) {
                ret_usage->idle[i].cause =
                        atomic_load_explicit(&usage->idle[i].cause, memory_order_relaxed);
                ret_usage->idle[i].ns =
                        atomic_load_explicit(&usage->idle[i].ns, memory_order_relaxed);
                ret_usage->alive_ns += ret_usage->idle[i].ns;
        }
        return true;
}
