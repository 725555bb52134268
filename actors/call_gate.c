#include "actors/call_gate.h"

#include <string.h>

#include "base/check.h"

const char *scope_call_end_name(enum scope_call_end end)
{
        static const char *const names[SCOPE_CALL_ENDS] = { "ok", "net", "timeout", "busy",
                "overloaded", "server", "malformed", "declined", "refused", "fatal" };
        scope_assert(end < SCOPE_CALL_ENDS);
        return names[end];
}

enum scope_call_end scope_call_judge(enum scope_err err, int32_t status)
{
        switch (status) {
        case 401:
        case 402:
        case 403:
        case 404:
        case 422:
                return SCOPE_CALL_FATAL;
        case 429:
                return SCOPE_CALL_BUSY;
        case 503:
        case 529:
                return SCOPE_CALL_OVERLOADED;
        case 408:
        case 409:
        case 425:
                return SCOPE_CALL_SERVER;
        default:
                break;
        }
        if (status >= 500)
                return SCOPE_CALL_SERVER;
        if (status >= 300)
                return SCOPE_CALL_REFUSED;
        if (err == SCOPE_ERR_ARGUMENT)
                return SCOPE_CALL_FATAL;
        if (err == SCOPE_ERR_DEADLINE)
                return SCOPE_CALL_TIMEOUT;
        if (err == SCOPE_ERR_TOO_BIG)
                return SCOPE_CALL_MALFORMED;
        return err != SCOPE_OK || status < 200 ? SCOPE_CALL_NET : SCOPE_CALL_OK;
}

const char *scope_call_advice(int32_t status)
{
        switch (status) {
        case 401:
        case 403:
                return "the key was not accepted: set the environment variable that "
                       "teacher.api_key_env names";
        case 402:
        case 429:
                return "the account's balance or quota is used up: top it up or use another "
                       "teacher";
        case 404:
                return "no such address or model: check teacher.url and teacher.model";
        case 422:
                return "the server refuses a parameter: check teacher.model and teacher.style";
        default:
                return "check teacher.url and that the server is up";
        }
}

/* --- latency -------------------------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
        unsigned log = 0;
        if (ns < 4)
                return (unsigned)ns;
        while (log < 63 && ns >> (log + 1) != 0)
                log++;
        return 4 * log + (unsigned)((ns >> (log - 2)) & 3);
}

static double bucket_middle(unsigned bucket)
{
        if (bucket < 8)
                return bucket;
        double low = (double)((uint64_t)1 << bucket / 4);
        return low * (1 + (bucket % 4 + 0.5) / 4);
}

void scope_latency_add(struct scope_latency *latency, uint64_t ns)
{
        latency->counts[bucket_of(ns)]++;
        latency->total++;
}

double scope_latency_quantile(const struct scope_latency *latency, double q)
{
        uint64_t seen = 0;
        double rank = q * (double)latency->total;
        for (unsigned i = 0; i < SCOPE_LATENCY_BUCKETS; i++) {
                seen += latency->counts[i];
                if (seen > 0 && (double)seen >= rank)
                        return bucket_middle(i) / 1e9;
        }
        return 0;
}

/* --- the gate ------------------------------------------------------------------------------- */

void scope_gate_init(struct scope_gate *gate, const struct scope_gate_options *options)
{
        scope_assert(options->concurrency > 0);
        *gate = (struct scope_gate){ .options = *options, .window = options->concurrency };
}

bool scope_gate_spent(const struct scope_gate *gate)
{
        return gate->options.calls_max != 0 && gate->calls >= gate->options.calls_max;
}

uint64_t scope_gate_held_ns(const struct scope_gate *gate)
{
        return gate->next_ns > gate->hold_until_ns ? gate->next_ns : gate->hold_until_ns;
}

bool scope_gate_open(const struct scope_gate *gate, uint64_t now_ns)
{
        return gate->circuit == SCOPE_CIRCUIT_CLOSED && now_ns >= scope_gate_held_ns(gate) &&
               gate->in_flight + 1 <= gate->window && !scope_gate_spent(gate);
}

bool scope_gate_probe_due(const struct scope_gate *gate, uint64_t now_ns)
{
        return gate->circuit == SCOPE_CIRCUIT_OPEN && now_ns >= gate->probe_at_ns &&
               !scope_gate_spent(gate);
}

uint64_t scope_gate_begin(struct scope_gate *gate, uint64_t now_ns, bool probe)
{
        uint64_t apart_ns = gate->options.apart_ns;
        scope_assert(!scope_gate_spent(gate));
        scope_assert(probe == (gate->circuit == SCOPE_CIRCUIT_OPEN));
        if (probe)
                gate->circuit = SCOPE_CIRCUIT_HALF_OPEN;
        gate->in_flight++;
        /* late by less than the distance is no reason to be slower than the rate */
        if (gate->next_ns + apart_ns < now_ns)
                gate->next_ns = now_ns;
        gate->next_ns += apart_ns;
        return ++gate->calls;
}

void scope_gate_cancel(struct scope_gate *gate, uint64_t now_ns, bool probe)
{
        scope_assert(gate->in_flight > 0);
        gate->in_flight--;
        if (probe && gate->circuit == SCOPE_CIRCUIT_HALF_OPEN) {
                gate->circuit = SCOPE_CIRCUIT_OPEN;
                gate->probe_at_ns = now_ns + gate->options.reset_ns;
        }
}

static void slow_down(struct scope_gate *gate, const struct scope_gate_end *end)
{
        uint64_t longest = gate->options.retry_after_max_ns;
        if (end->retry_after_ns > 0) {
                uint64_t asked = (uint64_t)end->retry_after_ns;
                uint64_t until = end->now_ns + (asked < longest ? asked : longest);
                if (until > gate->hold_until_ns)
                        gate->hold_until_ns = until;
        }
        if (end->call <= gate->halved_at_call)
                return;
        gate->halved_at_call = gate->calls;
        gate->window = gate->window / 2 > 1 ? gate->window / 2 : 1;
}

/* It answered: whatever was wrong is over. */
static enum scope_gate_change close_circuit(struct scope_gate *gate)
{
        enum scope_circuit before = gate->circuit;
        gate->failures = 0;
        gate->circuit = SCOPE_CIRCUIT_CLOSED;
        return before == SCOPE_CIRCUIT_CLOSED ? SCOPE_GATE_SAME : SCOPE_GATE_CLOSED;
}

static enum scope_gate_change succeeded(struct scope_gate *gate, const struct scope_gate_end *end)
{
        gate->window += 1 / gate->window;
        if (gate->window > gate->options.concurrency)
                gate->window = gate->options.concurrency;
        scope_latency_add(&gate->latency, end->latency_ns);
        return close_circuit(gate);
}

enum scope_gate_change scope_gate_end(struct scope_gate *gate, const struct scope_gate_end *end)
{
        scope_assert(gate->in_flight > 0 && end->end < SCOPE_CALL_ENDS);
        gate->in_flight--;
        gate->ended[end->end]++;
        if (end->end == SCOPE_CALL_OK)
                return succeeded(gate, end);
        if (end->end == SCOPE_CALL_DECLINED)
                return close_circuit(gate);
        if (end->end == SCOPE_CALL_BUSY || end->end == SCOPE_CALL_OVERLOADED)
                slow_down(gate, end);
        bool opens = end->end == SCOPE_CALL_FATAL || end->probe;
        if (end->end != SCOPE_CALL_BUSY) {
                gate->failures++;
                if (gate->options.failures_max != 0 && gate->failures >= gate->options.failures_max)
                        opens = true;
        }
        if (!opens || (gate->circuit != SCOPE_CIRCUIT_CLOSED && !end->probe))
                return SCOPE_GATE_SAME;
        gate->circuit = SCOPE_CIRCUIT_OPEN;
        gate->probe_at_ns = end->now_ns + gate->options.reset_ns;
        return SCOPE_GATE_OPENED;
}

uint64_t scope_gate_rest_ns(
        const struct scope_gate *gate, uint32_t attempt, int64_t retry_after_ns, uint64_t random)
{
        enum { DOUBLINGS_MAX = 6 };
        unsigned doublings = attempt > DOUBLINGS_MAX ? DOUBLINGS_MAX
                             : attempt > 0           ? attempt - 1
                                                     : 0;
        uint64_t longest = gate->options.retry_after_max_ns;
        uint64_t span = gate->options.backoff_ns << doublings;
        uint64_t jitter = span > 0 ? random % span : 0;
        if (retry_after_ns < 0)
                return jitter;
        uint64_t asked = (uint64_t)retry_after_ns < longest ? (uint64_t)retry_after_ns : longest;
        return asked + jitter;
}
