#include "actors/call_table.h"

#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "base/check.h"
#include "base/text.h"

enum { TIMER_DUE = 1, RANDOM_REST = 0, SLOTS_MAX = 1 << 16 };
static const uint64_t NEVER = UINT64_MAX;
static const struct scope_http_result nothing = { .retry_after_ns = -1 };

static struct scope_call *call_at(const struct scope_call_table *table, uint32_t index)
{
        void *call = table->calls + (size_t)index * table->options.call_bytes;
        scope_assert(index < table->slots);
        return call;
}

enum scope_err scope_call_table_init(
        struct scope_call_table *table, const struct scope_call_options *options)
{
        uint32_t slots = options->requests_max + (options->probe_timeout_ns > 0);
        scope_assert(options->requests_max > 0 && slots <= SLOTS_MAX);
        scope_assert(options->call_bytes >= sizeof(struct scope_call));
        *table = (struct scope_call_table){
                .options = *options, .slots = slots, .timer_due_ns = NEVER
        };
        scope_gate_init(&table->gate, &options->gate);
        table->calls = calloc(slots, options->call_bytes);
        if (table->calls == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < slots; i++)
                call_at(table, i)->index = i;
        return SCOPE_OK;
}

void scope_call_table_fini(struct scope_call_table *table)
{
        for (uint32_t i = 0; table->calls != NULL && i < table->slots; i++)
                scope_call_release(table, call_at(table, i));
        free(table->calls);
        *table = (struct scope_call_table){ .slots = 0 };
}

void scope_call_url(const char *base, const char *path, struct scope_text *ret_url)
{
        size_t bytes = strlen(base);
        while (bytes > 0 && base[bytes - 1] == '/')
                bytes--;
        scope_text_add(ret_url, base, bytes);
        scope_text_string(ret_url, path);
}

/* --- requests --------------------------------------------------------------------------------- */

struct scope_call *scope_call_take(struct scope_actor *self, struct scope_call_table *table,
        struct scope_message **message, uint64_t timeout_ns)
{
        uint32_t index = 0;
        while (index < table->options.requests_max &&
                call_at(table, index)->stage != SCOPE_CALL_FREE)
                index++;
        if (index == table->options.requests_max)
                return NULL;
        struct scope_call *call = call_at(table, index);
        call->stage = SCOPE_CALL_WAITING;
        call->order = ++table->order;
        call->to = scope_reply_later(*message);
        call->held = *message;
        *message = NULL;
        call->arrived_ns = scope_now_ns(self);
        call->deadline_ns = call->arrived_ns + timeout_ns;
        if (call->to.deadline_ns != 0 && call->to.deadline_ns < call->deadline_ns)
                call->deadline_ns = call->to.deadline_ns;
        return call;
}

void scope_call_again(struct scope_call_table *table, struct scope_call *call)
{
        scope_assert(call->stage == SCOPE_CALL_CALLING && call->http == 0 && call->held != NULL);
        table->options.hooks->clear(call);
        call->stage = SCOPE_CALL_WAITING;
        table->retries++;
}

void scope_call_release(struct scope_call_table *table, struct scope_call *call)
{
        struct scope_call kept = { .index = call->index, .life = call->life };
        table->options.hooks->clear(call);
        scope_message_free(call->held);
        memset(call, 0, table->options.call_bytes);
        *call = kept;
}

static void give_up(struct scope_actor *self, struct scope_call_table *table,
        struct scope_call *call, enum scope_err err)
{
        scope_assert(call->stage != SCOPE_CALL_FREE);
        if (call->held == NULL)
                scope_call_release(table, call);
        else
                table->options.hooks->give_up(self, table->options.owner, call, err);
        scope_assert(call->stage == SCOPE_CALL_FREE);
}

/* --- what becomes of a call ------------------------------------------------------------------- */

/* Another try after a rest, or the end where that would be too late. */
static void rest(struct scope_actor *self, struct scope_call_table *table, struct scope_call *call,
        int64_t retry_after_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        uint64_t ns = scope_gate_rest_ns(
                &table->gate, call->tries, retry_after_ns, scope_random(self, RANDOM_REST));
        if (now_ns >= call->deadline_ns || ns >= call->deadline_ns - now_ns) {
                give_up(self, table, call, SCOPE_ERR_DEADLINE);
                return;
        }
        scope_call_again(table, call);
        call->stage = SCOPE_CALL_RESTING;
        call->rest_until_ns = now_ns + ns;
}

static void call_ended(struct scope_actor *self, struct scope_call_table *table,
        struct scope_call *call, enum scope_call_end end, const struct scope_http_result *result)
{
        const struct scope_call_options *options = &table->options;
        uint64_t now_ns = scope_now_ns(self);
        scope_assert(call->stage == SCOPE_CALL_CALLING);
        call->http = 0;
        enum scope_gate_change change = scope_gate_end(&table->gate,
                &(struct scope_gate_end){ .now_ns = now_ns,
                        .call = call->number,
                        .latency_ns = now_ns - call->began_ns,
                        .retry_after_ns = result->retry_after_ns,
                        .end = end,
                        .probe = call->probe });
        options->hooks->ended(self, options->owner, call, end, change, result->status);
        call->probe = false;
        bool again = end != SCOPE_CALL_REFUSED && end != SCOPE_CALL_DECLINED &&
                     (options->patient || (call->tries <= options->retries_max &&
                                                  table->gate.circuit == SCOPE_CIRCUIT_CLOSED));
        if (call->held == NULL)
                scope_call_release(table, call);
        else if (end == SCOPE_CALL_OK)
                options->hooks->answered(self, options->owner, call);
        else if (again && !scope_draining(self))
                rest(self, table, call, result->retry_after_ns);
        else
                give_up(self, table, call,
                        end == SCOPE_CALL_TIMEOUT ? SCOPE_ERR_DEADLINE : SCOPE_ERR_NET);
}

static void cut_short(struct scope_actor *self, struct scope_call_table *table,
        struct scope_call *call, enum scope_call_end end)
{
        scope_http_cancel(self, call->http);
        call_ended(self, table, call, end, &nothing);
}

void scope_call_table_receive(struct scope_actor *self, struct scope_call_table *table,
        const struct scope_message *message)
{
        const struct scope_call_options *options = &table->options;
        struct scope_http_result result;
        if (message->kind == SCOPE_KIND_TIMER)
                table->timer_due_ns = NEVER;
        if (message->kind != SCOPE_KIND_HTTP_DATA && message->kind != SCOPE_KIND_HTTP_DONE)
                return;
        struct scope_call *call = call_at(table, message->tag & 0xffff);
        if (call->stage != SCOPE_CALL_CALLING || call->life != message->tag >> 16)
                return;
        if (message->kind == SCOPE_KIND_HTTP_DATA) {
                if (!options->hooks->feed(call, message->payload, message->bytes))
                        cut_short(self, table, call, SCOPE_CALL_MALFORMED);
                return;
        }
        scope_assert(message->bytes == sizeof result);
        memcpy(&result, message->payload, sizeof result);
        call_ended(self, table, call,
                options->hooks->judge(self, options->owner, call, message->err, &result), &result);
}

/* --- what is due ------------------------------------------------------------------------------ */

static void start_call(struct scope_actor *self, struct scope_call_table *table,
        struct scope_call *call, bool probe)
{
        const struct scope_call_options *options = &table->options;
        uint64_t now_ns = scope_now_ns(self), left_ns = call->deadline_ns - now_ns;
        struct scope_http_request http = { .method = "POST",
                .connect_timeout_ns = left_ns,
                .idle_timeout_ns = left_ns,
                .timeout_ns = left_ns };
        scope_assert(call->deadline_ns > now_ns);
        call->stage = SCOPE_CALL_CALLING;
        call->probe = probe;
        enum scope_err err = options->hooks->write(self, options->owner, call, &http);
        if (err != SCOPE_OK) {
                give_up(self, table, call, err);
                return;
        }
        call->began_ns = now_ns;
        call->number = scope_gate_begin(&table->gate, now_ns, probe);
        call->tries++;
        call->life++;
        err = scope_http_start(self, &http, (uint64_t)call->life << 16 | call->index, &call->http);
        if (err != SCOPE_OK)
                call_ended(self, table, call,
                        err == SCOPE_ERR_ARGUMENT ? SCOPE_CALL_FATAL : SCOPE_CALL_NET, &nothing);
}

/* Where the table has a slot for it; it is free unless a probe is still under way. */
static bool probes_itself(const struct scope_call_table *table)
{
        return table->options.probe_timeout_ns > 0;
}

static void start_probe(struct scope_actor *self, struct scope_call_table *table)
{
        uint64_t now_ns = scope_now_ns(self);
        if (!probes_itself(table) || !scope_gate_probe_due(&table->gate, now_ns))
                return;
        struct scope_call *call = call_at(table, table->options.requests_max);
        if (call->stage != SCOPE_CALL_FREE)
                return;
        call->deadline_ns = now_ns + table->options.probe_timeout_ns;
        start_call(self, table, call, true);
}

static struct scope_call *first_waiting(const struct scope_call_table *table)
{
        struct scope_call *first = NULL;
        for (uint32_t i = 0; i < table->slots; i++) {
                struct scope_call *call = call_at(table, i);
                if (call->stage == SCOPE_CALL_WAITING &&
                        (first == NULL || call->order < first->order))
                        first = call;
        }
        return first;
}

static void start_calls(struct scope_actor *self, struct scope_call_table *table)
{
        uint64_t now_ns = scope_now_ns(self);
        struct scope_call *call;
        while ((call = first_waiting(table)) != NULL) {
                bool probe = !probes_itself(table) && scope_gate_probe_due(&table->gate, now_ns);
                if (!probe && !scope_gate_open(&table->gate, now_ns))
                        return;
                start_call(self, table, call, probe);
        }
}

/* Those who would wait for what will not come. */
static void dismiss(struct scope_actor *self, struct scope_call_table *table)
{
        bool down = table->gate.circuit != SCOPE_CIRCUIT_CLOSED && !table->options.patient;
        if (!down && !scope_gate_spent(&table->gate) && !scope_draining(self))
                return;
        for (uint32_t i = 0; i < table->slots; i++) {
                struct scope_call *call = call_at(table, i);
                if (call->stage == SCOPE_CALL_WAITING || call->stage == SCOPE_CALL_RESTING)
                        give_up(self, table, call,
                                scope_draining(self) ? SCOPE_ERR_CANCELLED : SCOPE_ERR_NET);
        }
}

static uint64_t next_due(struct scope_actor *self, const struct scope_call_table *table)
{
        const struct scope_gate *gate = &table->gate;
        uint64_t due_ns = NEVER, now_ns = scope_now_ns(self);
        bool waiting = false;
        for (uint32_t i = 0; i < table->slots; i++) {
                const struct scope_call *call = call_at(table, i);
                if (call->stage == SCOPE_CALL_FREE)
                        continue;
                waiting = waiting || call->stage == SCOPE_CALL_WAITING;
                uint64_t at_ns = call->stage == SCOPE_CALL_RESTING ? call->rest_until_ns
                                                                  : call->deadline_ns;
                due_ns = at_ns < due_ns ? at_ns : due_ns;
        }
        /* A probe of an earlier opening may still be under way: then its end is what is due. */
        if (probes_itself(table) && gate->circuit == SCOPE_CIRCUIT_OPEN &&
                gate->probe_at_ns < due_ns && !scope_gate_spent(gate) && !scope_draining(self) &&
                call_at(table, table->options.requests_max)->stage == SCOPE_CALL_FREE)
                due_ns = gate->probe_at_ns;
        uint64_t held_ns = scope_gate_held_ns(gate);
        if (waiting && held_ns > now_ns && held_ns < due_ns)
                due_ns = held_ns;
        return due_ns;
}

static void set_timer(struct scope_actor *self, struct scope_call_table *table, uint64_t due_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        if (due_ns == table->timer_due_ns)
                return;
        scope_timer_stop(self, table->timer);
        table->timer = 0;
        table->timer_due_ns = due_ns;
        if (due_ns != NEVER &&
                scope_timer_start(self, TIMER_DUE, due_ns > now_ns ? due_ns - now_ns : 0,
                        &table->timer) != SCOPE_OK)
                scope_fail(self, SCOPE_ERR_LIMIT, "no timer left");
}

/* Calls are its work; a request that may not be sent waits for the server. */
static enum scope_idle idle_because(const struct scope_call_table *table)
{
        if (table->gate.in_flight > 0)
                return SCOPE_IDLE_CALLING;
        if (table->gate.circuit != SCOPE_CIRCUIT_CLOSED)
                return SCOPE_IDLE_FAILURE;
        return scope_call_table_idle(table) ? SCOPE_IDLE_STARVED : SCOPE_IDLE_THROTTLED;
}

void scope_call_table_advance(struct scope_actor *self, struct scope_call_table *table)
{
        uint64_t now_ns = scope_now_ns(self);
        for (uint32_t i = 0; i < table->slots; i++) {
                struct scope_call *call = call_at(table, i);
                if (call->stage == SCOPE_CALL_RESTING && now_ns >= call->rest_until_ns)
                        call->stage = SCOPE_CALL_WAITING;
                if (call->stage == SCOPE_CALL_FREE || now_ns < call->deadline_ns)
                        continue;
                if (call->stage == SCOPE_CALL_CALLING)
                        cut_short(self, table, call, SCOPE_CALL_TIMEOUT);
                else
                        give_up(self, table, call, SCOPE_ERR_DEADLINE);
        }
        if (!scope_draining(self)) {
                start_probe(self, table);
                start_calls(self, table);
        }
        dismiss(self, table);
        set_timer(self, table, next_due(self, table));
        scope_idle_cause(self, scope_idle_words[idle_because(table)]);
}

/* --- life ------------------------------------------------------------------------------------- */

void scope_call_table_drain(struct scope_actor *self, struct scope_call_table *table)
{
        for (uint32_t i = 0; i < table->slots; i++) {
                struct scope_call *call = call_at(table, i);
                if (call->stage == SCOPE_CALL_CALLING) {
                        scope_http_cancel(self, call->http);
                        scope_gate_cancel(&table->gate, scope_now_ns(self), call->probe);
                }
                if (call->stage != SCOPE_CALL_FREE)
                        give_up(self, table, call, SCOPE_ERR_CANCELLED);
        }
        set_timer(self, table, NEVER);
}

bool scope_call_table_idle(const struct scope_call_table *table)
{
        for (uint32_t i = 0; i < table->slots; i++)
                if (call_at(table, i)->stage != SCOPE_CALL_FREE)
                        return false;
        return true;
}
