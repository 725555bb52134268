/* sim_net.c - messages in flight and HTTP, in virtual time.
 * Why: order is promised for one sender, target and lane only; everything else may come in any
 * order. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/planted.h"
#include "runtime/sim.h"

enum {
        DELAY_NS = 200000,
        REORDER_NS = 5000,
        CHUNK_NS = 100000,
        BODY_BYTES_MAX = 1 << 20
};
static const uint64_t PATIENCE_NS = 600000000000; /* of a caller that names no timeout */

/* --- messages --------------------------------------------------------------------------------- */

/* When the last message of this sender, target and lane arrives; NULL = no memory. */
static uint64_t *channel(struct scope_sim *sim, uint32_t sender, uint32_t target, uint8_t lane)
{
        uint64_t key = (uint64_t)sender << 32 | (uint64_t)target << 8 | lane;
        const uint32_t *found = scope_key_map_find(&sim->channels, key);
        if (found != NULL)
                return &sim->last_ns[*found];
        if (sim->last_count == sim->last_capacity) {
                uint32_t capacity = sim->last_capacity == 0 ? 64 : 2 * sim->last_capacity;
                uint64_t *grown = realloc(sim->last_ns, capacity * sizeof(*grown));
                if (grown == NULL)
                        return NULL;
                sim->last_ns = grown;
                sim->last_capacity = capacity;
        }
        if (scope_key_map_set(&sim->channels, key, sim->last_count) != SCOPE_OK)
                return NULL;
        sim->last_ns[sim->last_count] = 0;
        return &sim->last_ns[sim->last_count++];
}

static void letter_arrives(void *owner, struct scope_timer_node *node)
{
        struct scope_loop *loop = owner;
        struct scope_sim *sim = sim_of(loop);
        struct sim_letter *letter = (struct sim_letter *)node; /* its first field */
        letter->next->previous = letter->previous;
        letter->previous->next = letter->next;
        letter->next = sim->letters_free;
        sim->letters_free = letter;
        scope_loop_arrive(loop, letter->target, letter->message);
}

static struct sim_letter *letter_take(struct scope_sim *sim)
{
        struct sim_letter *letter = sim->letters_free;
        if (letter == NULL)
                return calloc(1, sizeof(*letter));
        sim->letters_free = letter->next;
        return letter;
}

bool scope_sim_carry(struct scope_actor *target, struct scope_message *message)
{
        struct scope_sim *sim = target->system->env;
        if (sim->rates[SCOPE_FAULT_MESSAGE_DELAY] + sim->rates[SCOPE_FAULT_MESSAGE_REORDER] == 0)
                return false;
        uint64_t wait_ns = 0;
        if (scope_sim_chance(sim, SCOPE_FAULT_MESSAGE_DELAY))
                wait_ns = scope_sim_tail(sim, DELAY_NS);
        else if (scope_sim_chance(sim, SCOPE_FAULT_MESSAGE_REORDER))
                wait_ns = scope_sim_tail(sim, REORDER_NS);
        uint64_t *last_ns = channel(sim, message->sender.actor, target->index, message->lane);
        if (last_ns == NULL || (wait_ns == 0 && *last_ns <= sim->now_ns))
                return false;
        uint64_t at_ns = sim->now_ns + wait_ns;
        if (at_ns <= *last_ns && !SCOPE_PLANTED(ORDER_BROKEN))
                at_ns = *last_ns + 1; /* behind its sender's message before */
        struct sim_letter *letter = letter_take(sim);
        if (letter == NULL)
                return false;
        *last_ns = at_ns;
        letter->target = target;
        letter->message = message;
        letter->node.fire = letter_arrives;
        if (scope_sim_schedule(sim, &letter->node, at_ns) != SCOPE_OK) {
                free(letter);
                return false;
        }
        letter->next = &sim->letters;
        letter->previous = sim->letters.previous;
        sim->letters.previous->next = letter;
        sim->letters.previous = letter;
        return true;
}

void scope_sim_net_fini(struct scope_sim *sim)
{
        while (sim->letters.next != &sim->letters) {
                struct sim_letter *letter = sim->letters.next;
                sim->letters.next = letter->next;
                scope_message_release(letter->message);
                free(letter);
        }
        while (sim->letters_free != NULL) {
                struct sim_letter *letter = sim->letters_free;
                sim->letters_free = letter->next;
                free(letter);
        }
        scope_key_map_fini(&sim->channels);
        free(sim->last_ns);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void http_late(void *owner, struct scope_timer_node *node);
static void http_step(void *owner, struct scope_timer_node *node);

/* The next step after wait_ns, or the end of the caller's patience if that comes first. */
static void http_after(struct scope_sim *sim, struct sim_operation *own, uint64_t wait_ns)
{
        bool late = wait_ns >= own->late_ns - sim->now_ns;
        own->node.fire = late ? http_late : http_step;
        if (scope_sim_schedule(sim, &own->node, late ? own->late_ns : sim->now_ns + wait_ns) !=
                SCOPE_OK)
                scope_sim_finish(sim, own, SCOPE_ERR_MEMORY);
}

static void http_late(void *owner, struct scope_timer_node *node)
{
        scope_sim_finish(sim_of(owner), (struct sim_operation *)node, SCOPE_ERR_DEADLINE);
}

/* One piece of the body, or the end. */
static void http_step(void *owner, struct scope_timer_node *node)
{
        struct scope_sim *sim = sim_of(owner);
        struct sim_operation *own = (struct sim_operation *)node;
        struct scope_operation *operation = own->operation;
        size_t left = own->body_bytes - own->sent_bytes;
        if (left == 0) {
                scope_sim_finish(sim, own, own->err);
                return;
        }
        size_t count = left < 16 ? left : 1 + (size_t)scope_rng_below(&sim->rng, left);
        enum scope_err err = scope_operation_data(operation, own->body + own->sent_bytes, count);
        if (err != SCOPE_OK) {
                scope_sim_finish(sim, own, err);
                return;
        }
        own->sent_bytes += count;
        operation->http.bytes += count;
        http_after(sim, own, scope_sim_tail(sim, CHUNK_NS));
}

static void http_spoil(struct scope_sim *sim, struct sim_operation *own)
{
        for (size_t i = 0; i < own->body_bytes; i++)
                if ((scope_rng_next(&sim->rng) & 3) == 0)
                        own->body[i] = (char)scope_rng_next(&sim->rng);
}

/* What the peer would have done, bent by the seed's faults. */
static void http_faults(struct scope_sim *sim, struct sim_operation *own, uint64_t *latency_ns)
{
        struct scope_http_result *result = &own->operation->http;
        if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_SLOW))
                *latency_ns += scope_sim_tail(sim, 16 * *latency_ns + 1000000);
        if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_HANG))
                *latency_ns = UINT64_MAX;
        if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_FAIL)) {
                *result = (struct scope_http_result){ .retry_after_ns = -1,
                        .text = "simulated: connection refused" };
                own->body_bytes = 0;
                own->err = SCOPE_ERR_NET;
        } else if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_BUSY)) {
                result->status = 429;
                result->retry_after_ns = (int64_t)(scope_rng_next(&sim->rng) & 3) * 1000000000;
                own->body_bytes = 0;
        } else if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_CUT)) {
                own->body_bytes /= 2;
                own->err = SCOPE_ERR_NET;
                memcpy(result->text, "simulated: cut", sizeof "simulated: cut");
        } else if (scope_sim_chance(sim, SCOPE_FAULT_HTTP_GARBAGE)) {
                http_spoil(sim, own);
        }
}

enum scope_err scope_sim_http_start(struct scope_sim *sim, struct sim_operation *own,
        const struct scope_http_request *request)
{
        size_t capacity = request->response_bytes_max < BODY_BYTES_MAX
                                  ? request->response_bytes_max
                                  : (size_t)BODY_BYTES_MAX;
        own->body = malloc(capacity + 1);
        if (own->body == NULL)
                return SCOPE_ERR_MEMORY;
        struct scope_sim_http call = { .request = request,
                .random = scope_rng_next(&sim->rng),
                .body = own->body,
                .body_capacity = capacity,
                .retry_after_ns = -1 };
        uint64_t patience_ns = request->timeout_ns != 0 ? request->timeout_ns : PATIENCE_NS;
        own->late_ns = sim->now_ns + patience_ns;
        if (sim->options.http != NULL)
                sim->options.http(sim->options.context, &call);
        else
                own->err = SCOPE_ERR_NET;
        scope_assert(call.body_bytes <= capacity);
        own->operation->http.status = call.status;
        own->operation->http.retry_after_ns = call.retry_after_ns;
        own->body_bytes = call.body_bytes;
        http_faults(sim, own, &call.latency_ns);
        http_after(sim, own, call.latency_ns);
        return SCOPE_OK;
}
