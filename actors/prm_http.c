/* prm_http.c - asks a scoring server how likely each step is right: prm.backend = "http".
 * Why: process reward models run where the GPUs are, mostly under vLLM (tasks/pooling_reply.h). Who
 * asks gets exactly one answer within its deadline: all scores, or an error, upon which the group
 * goes on as plain GRPO.
 *
 *   request -> WAITING -(gate open)-> CALLING -believed, refused, out of tries-> answered
 *                 ^                      |
 *                 +------ RESTING <------+ failed
 *
 * (1) The deadline of a request counts from its arrival and is never moved. (2) One call scores one
 * group; its scores are believed together or not at all. (3) While the circuit is open requests are
 * answered at once, but for one now and then that is the probe. (4) The key is handed to HTTP and
 * to nothing else; a server's words, which may quote it, are never repeated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/prm_answer.h"
#include "actors/stages.h"
#include "actors/teacher_gate.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/text.h"
#include "models/prm_input.h"
#include "tasks/pooling_reply.h"

enum { JOBS_MAX = 512, TIMER_DUE = 1, RANDOM_REST = 0 };
static const uint64_t NEVER = UINT64_MAX, CONNECT_NS = 5000000000u, BACKOFF_NS = 250000000u,
                      RETRY_AFTER_MAX_NS = 30000000000u;
static const struct scope_http_result nothing = { .retry_after_ns = -1 };

enum stage { FREE, WAITING, CALLING, RESTING };

struct job {
        enum stage stage;
        bool probe;
        uint32_t index, life;       /* life: told apart from earlier users of the slot */
        uint32_t tries;
        uint64_t order;             /* of arrival */
        struct scope_message *held; /* the request */
        struct scope_reply_to to;
        uint64_t deadline_ns, rest_until_ns;
        uint64_t http, call, began_ns; /* of the call under way */
        struct scope_text reply;
};

struct prm_http {
        const struct scope_stages *stages;
        struct scope_gate gate;
        struct job *jobs;
        uint64_t order, timer, timer_due_ns;
        struct scope_text url, text, body;
        struct scope_outbox outbox;
        uint64_t retries, unscored; /* calls made again; groups that got no scores */
};

/* --- what is told ----------------------------------------------------------------------------- */

static void note(
        struct scope_actor *self, struct prm_http *prm, const struct scope_control *control)
{
        struct scope_message *message = NULL;
        if (scope_message_of_control(
                    self, SCOPE_KIND_NOTE, SCOPE_LANE_CONTROL, control, &message) == SCOPE_OK)
                scope_outbox_send(self, &prm->outbox, prm->stages->recorder, &message);
}

static void tell(struct scope_actor *self, struct prm_http *prm, const char *text)
{
        struct scope_text line = { 0 };
        scope_event(self, "prm", "%s", text);
        scope_json_open(&line, NULL, '{');
        scope_json_text(&line, "event", "prm");
        scope_json_text(&line, "text", text);
        scope_json_close(&line, '}');
        if (!line.failed)
                note(self, prm,
                        &(struct scope_control){ .text = { line.bytes, (uint32_t)line.count } });
        scope_text_fini(&line);
}

static void tell_gauges(struct scope_actor *self, struct prm_http *prm)
{
        const struct scope_gate *gate = &prm->gate;
        uint64_t errors = 0;
        struct scope_metric metrics[32];
        char names[SCOPE_CALL_ENDS][32];
        uint32_t count = 0;
        for (unsigned i = SCOPE_CALL_OK + 1; i < SCOPE_CALL_ENDS; i++) {
                errors += gate->ended[i];
                (void)snprintf(names[i], sizeof names[i], "prm/errors_%s",
                        scope_call_end_name((enum scope_call_end)i));
                metrics[count++] = (struct scope_metric){ { names[i], (uint32_t)strlen(names[i]) },
                        (double)gate->ended[i] };
        }
        const struct {
                const char *name;
                double value;
        } rows[] = {
                { "prm/errors", (double)errors },
                { "prm/calls", (double)gate->calls },
                { "prm/ok", (double)gate->ended[SCOPE_CALL_OK] },
                { "prm/retries", (double)prm->retries },
                { "prm/latency_p50", scope_latency_quantile(&gate->latency, 0.5) },
                { "prm/latency_p95", scope_latency_quantile(&gate->latency, 0.95) },
                { "prm/window", gate->window },
                { "prm/circuit_open", gate->circuit != SCOPE_CIRCUIT_CLOSED },
                { "prm/unscored", (double)prm->unscored },
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                metrics[count++] = (struct scope_metric){
                        { rows[i].name, (uint32_t)strlen(rows[i].name) }, rows[i].value
                };
        note(self, prm, &(struct scope_control){ .metrics = metrics, .metric_count = count });
}

/* --- answers ---------------------------------------------------------------------------------- */

static void release(struct job *job)
{
        scope_text_fini(&job->reply);
        scope_message_free(job->held);
        *job = (struct job){ .index = job->index, .life = job->life };
}

/* No scores: the group goes on without a repair. */
static void give_up(
        struct scope_actor *self, struct prm_http *prm, struct job *job, enum scope_err err)
{
        scope_assert(job->stage != FREE);
        prm->unscored++;
        tell_gauges(self, prm);
        scope_reply_to_error(self, &job->to, err);
        release(job);
}

/* --- the question ----------------------------------------------------------------------------- */

/* The steps of an item that prm.max_len leaves room for, a mark each, counted in the policy's
 * tokens; those beyond are unverified, as a scorer of our own has it. */
static uint32_t steps_asked(const struct prm_http *prm, const struct scope_score_item *item)
{
        uint64_t room = (uint64_t)prm->stages->options->prm.max_len;
        uint32_t steps = 0;
        while (steps < item->step_count &&
                (uint64_t)item->prompt_count + item->step_token_ends[steps] + steps + 1 <= room)
                steps++;
        return steps;
}

/* An item as the model reads it, into prm->text. */
static enum scope_err write_item(struct scope_actor *self, struct prm_http *prm,
        struct scope_string problem, const struct scope_score_item *item)
{
        uint32_t count = steps_asked(prm, item);
        struct scope_string *steps =
                scope_arena_take(scope_scratch(self), count * sizeof *steps + 8);
        if (steps == NULL)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < count; i++)
                steps[i] = scope_steps_text(item->text, item->step_ends, i);
        scope_text_clear(&prm->text);
        scope_prm_marked_text(problem, steps, count, &prm->text);
        return prm->text.failed ? SCOPE_ERR_MEMORY : SCOPE_OK;
}

static enum scope_err write_body(struct scope_actor *self, struct prm_http *prm,
        const struct scope_score_request *request)
{
        enum scope_err err = SCOPE_OK;
        scope_text_clear(&prm->body);
        scope_json_open(&prm->body, NULL, '{');
        scope_json_text(&prm->body, "model", prm->stages->options->prm.model);
        scope_json_open(&prm->body, "input", '[');
        for (uint32_t i = 0; i < request->item_count && err == SCOPE_OK; i++) {
                err = write_item(self, prm, request->problem, &request->items[i]);
                scope_json_bytes(&prm->body, NULL, prm->text.bytes, prm->text.count);
        }
        scope_json_close(&prm->body, ']');
        scope_json_close(&prm->body, '}');
        return prm->body.failed ? SCOPE_ERR_MEMORY : err;
}

static enum scope_err start_http(struct scope_actor *self, struct prm_http *prm, struct job *job)
{
        static const char *const headers[] = { "Content-Type: application/json",
                "Accept: application/json", NULL };
        struct scope_score_request request;
        uint64_t left_ns = job->deadline_ns - scope_now_ns(self);
        enum scope_err err = scope_message_read_score_request(
                self, job->held, &prm->stages->limits, &request);
        if (err == SCOPE_OK)
                err = write_body(self, prm, &request);
        if (err != SCOPE_OK)
                return err;
        struct scope_http_request http = { .method = "POST",
                .url = prm->url.bytes,
                .headers = headers,
                .bearer = prm->stages->resources.prm_key,
                .body = prm->body.bytes,
                .body_bytes = prm->body.count,
                .response_bytes_max = (size_t)prm->stages->options->prm.response_max,
                .connect_timeout_ns = CONNECT_NS,
                .idle_timeout_ns = left_ns, /* a scorer says nothing until it has all */
                .timeout_ns = left_ns };
        scope_text_clear(&job->reply);
        return scope_http_start(self, &http, (uint64_t)job->life << 16 | job->index, &job->http);
}

/* --- what becomes of a call ------------------------------------------------------------------- */

static void circuit_changed(struct scope_actor *self, struct prm_http *prm, const struct job *job,
        enum scope_gate_change change, enum scope_call_end end, int32_t status)
{
        char text[300];
        if (change == SCOPE_GATE_CLOSED)
                tell(self, prm, "the scoring server answers again: repairs go on");
        if (change != SCOPE_GATE_OPENED || job->probe) /* a failed probe is no news */
                return;
        (void)snprintf(text, sizeof text,
                "no scores to be had: %s (HTTP %d), %u failures in a row, groups go on as plain "
                "GRPO; next try in %.0f s; check prm.url, prm.model, prm.api_key_env and that the "
                "server serves /pooling",
                scope_call_end_name(end), (int)status, prm->gate.failures,
                (double)prm->stages->options->prm.circuit_reset / 1e9);
        tell(self, prm, text);
}

/* Another try after a rest, or the end where that would be too late. */
static void rest(
        struct scope_actor *self, struct prm_http *prm, struct job *job, int64_t retry_after_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        uint64_t ns = scope_gate_rest_ns(
                &prm->gate, job->tries, retry_after_ns, scope_random(self, RANDOM_REST));
        if (now_ns >= job->deadline_ns || ns >= job->deadline_ns - now_ns) {
                give_up(self, prm, job, SCOPE_ERR_DEADLINE);
                return;
        }
        job->stage = RESTING;
        job->rest_until_ns = now_ns + ns;
        prm->retries++;
}

static void call_ended(struct scope_actor *self, struct prm_http *prm, struct job *job,
        enum scope_call_end end, const struct scope_http_result *result)
{
        uint64_t now_ns = scope_now_ns(self);
        scope_assert(job->stage == CALLING);
        job->http = 0;
        enum scope_gate_change change = scope_gate_end(&prm->gate,
                &(struct scope_gate_end){ .now_ns = now_ns,
                        .call = job->call,
                        .latency_ns = now_ns - job->began_ns,
                        .retry_after_ns = result->retry_after_ns,
                        .end = end,
                        .probe = job->probe });
        circuit_changed(self, prm, job, change, end, result->status);
        job->probe = false;
        if (end == SCOPE_CALL_OK)
                return;
        bool again = end != SCOPE_CALL_REFUSED && end != SCOPE_CALL_FATAL &&
                     job->tries <= (uint64_t)prm->stages->options->prm.max_retries &&
                     prm->gate.circuit == SCOPE_CIRCUIT_CLOSED && !scope_draining(self);
        if (again)
                rest(self, prm, job, result->retry_after_ns);
        else
                give_up(self, prm, job,
                        end == SCOPE_CALL_TIMEOUT ? SCOPE_ERR_DEADLINE : SCOPE_ERR_NET);
}

/* The scores of a complete reply, in scratch memory; NULL: it is not to be believed. */
static const struct scope_step_scores *believe(struct scope_actor *self, struct prm_http *prm,
        const struct job *job, struct scope_score_request *request)
{
        struct scope_arena *scratch = scope_scratch(self);
        uint32_t total = 0;
        if (scope_message_read_score_request(
                    self, job->held, &prm->stages->limits, request) != SCOPE_OK)
                return NULL;
        uint32_t *asked = scope_arena_take(scratch, request->item_count * sizeof *asked + 8);
        struct scope_step_scores *scores =
                scope_arena_take(scratch, request->item_count * sizeof *scores + 8);
        for (uint32_t i = 0; i < request->item_count && asked != NULL; i++)
                total += asked[i] = steps_asked(prm, &request->items[i]);
        float *given = scope_arena_take(scratch, total * sizeof *given + 8);
        if (asked == NULL || scores == NULL || given == NULL || job->reply.failed ||
                scope_pooling_read(job->reply.bytes, job->reply.count, asked, request->item_count,
                        given) != NULL)
                return NULL;
        for (uint32_t i = 0; i < request->item_count; given += asked[i++]) {
                const struct scope_score_item *item = &request->items[i];
                float *p = scope_arena_take(scratch, item->step_count * sizeof *p + 8);
                if (p == NULL)
                        return NULL;
                for (uint32_t step = 0; step < item->step_count; step++)
                        p[step] = step < asked[i] ? given[step] : 0;
                scores[i] = scope_prm_scores(prm->stages, item, p);
        }
        return scores;
}

static void call_done(
        struct scope_actor *self, struct prm_http *prm, struct job *job, enum scope_err err,
        const struct scope_http_result *result)
{
        enum scope_call_end end = scope_call_judge(err, result->status);
        struct scope_score_request request;
        const struct scope_step_scores *scores = NULL;
        if (end == SCOPE_CALL_OK) {
                scores = believe(self, prm, job, &request);
                end = scores != NULL ? SCOPE_CALL_OK : SCOPE_CALL_MALFORMED;
        }
        call_ended(self, prm, job, end, result);
        if (end != SCOPE_CALL_OK)
                return;
        tell_gauges(self, prm);
        scope_prm_answer(
                self, prm->stages, &prm->outbox, &job->to, &request, scores, job->began_ns);
        release(job);
}

static void out_of_time(struct scope_actor *self, struct prm_http *prm, struct job *job)
{
        if (job->stage != CALLING) {
                give_up(self, prm, job, SCOPE_ERR_DEADLINE);
                return;
        }
        scope_http_cancel(self, job->http);
        call_ended(self, prm, job, SCOPE_CALL_TIMEOUT, &nothing);
}

/* --- what is due ------------------------------------------------------------------------------ */

static void start_call(struct scope_actor *self, struct prm_http *prm, struct job *job, bool probe)
{
        job->stage = CALLING;
        job->probe = probe;
        job->began_ns = scope_now_ns(self);
        job->call = scope_gate_begin(&prm->gate, probe);
        job->tries++;
        job->life++;
        enum scope_err err = start_http(self, prm, job);
        if (err != SCOPE_OK)
                call_ended(self, prm, job,
                        err == SCOPE_ERR_ARGUMENT ? SCOPE_CALL_FATAL : SCOPE_CALL_NET, &nothing);
}

static struct job *first_waiting(struct prm_http *prm)
{
        struct job *first = NULL;
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &prm->jobs[i];
                if (job->stage == WAITING && (first == NULL || job->order < first->order))
                        first = job;
        }
        return first;
}

/* Calls that may start; who waits for a closed circuit does not wait. */
static void start_calls(struct scope_actor *self, struct prm_http *prm)
{
        struct job *job;
        while (!scope_draining(self) && (job = first_waiting(prm)) != NULL) {
                uint64_t now_ns = scope_now_ns(self);
                if (scope_gate_open(&prm->gate, now_ns))
                        start_call(self, prm, job, false);
                else if (scope_gate_probe_due(&prm->gate, now_ns))
                        start_call(self, prm, job, true);
                else
                        break;
        }
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                job = &prm->jobs[i];
                if ((prm->gate.circuit != SCOPE_CIRCUIT_CLOSED || scope_draining(self)) &&
                        (job->stage == WAITING || job->stage == RESTING))
                        give_up(self, prm, job,
                                scope_draining(self) ? SCOPE_ERR_CANCELLED : SCOPE_ERR_NET);
        }
}

static uint64_t next_due(struct scope_actor *self, const struct prm_http *prm)
{
        uint64_t due_ns = NEVER, hold_ns = prm->gate.hold_until_ns;
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                const struct job *job = &prm->jobs[i];
                if (job->stage == FREE)
                        continue;
                uint64_t at_ns = job->stage == RESTING ? job->rest_until_ns : job->deadline_ns;
                if (job->stage == WAITING && hold_ns > scope_now_ns(self) && hold_ns < at_ns)
                        at_ns = hold_ns;
                due_ns = at_ns < due_ns ? at_ns : due_ns;
        }
        return due_ns;
}

static void set_timer(struct scope_actor *self, struct prm_http *prm, uint64_t due_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        if (due_ns == prm->timer_due_ns)
                return;
        scope_timer_stop(self, prm->timer);
        prm->timer = 0;
        prm->timer_due_ns = due_ns;
        if (due_ns != NEVER &&
                scope_timer_start(self, TIMER_DUE, due_ns > now_ns ? due_ns - now_ns : 0,
                        &prm->timer) != SCOPE_OK)
                scope_fail(self, SCOPE_ERR_LIMIT, "no timer left");
}

/* Deadlines, rests that are over, calls that may start; then the one timer. */
static void advance(struct scope_actor *self, struct prm_http *prm)
{
        uint64_t now_ns = scope_now_ns(self);
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &prm->jobs[i];
                if (job->stage == RESTING && now_ns >= job->rest_until_ns)
                        job->stage = WAITING;
                if (job->stage != FREE && now_ns >= job->deadline_ns)
                        out_of_time(self, prm, job);
        }
        start_calls(self, prm);
        uint64_t due_ns = next_due(self, prm);
        set_timer(self, prm, due_ns);
        scope_idle_cause(self,
                scope_idle_words[prm->gate.in_flight > 0 ? SCOPE_IDLE_CALLING
                                 : prm->gate.circuit != SCOPE_CIRCUIT_CLOSED ? SCOPE_IDLE_FAILURE
                                 : due_ns != NEVER        ? SCOPE_IDLE_THROTTLED
                                                          : SCOPE_IDLE_STARVED]);
}

/* --- messages --------------------------------------------------------------------------------- */

static void take_request(
        struct scope_actor *self, struct prm_http *prm, struct scope_message **message)
{
        uint64_t now_ns = scope_now_ns(self);
        struct scope_score_request request;
        struct job *job = NULL;
        enum scope_err err = scope_message_read_score_request(
                self, *message, &prm->stages->limits, &request);
        for (uint32_t i = 0; i < JOBS_MAX && job == NULL; i++)
                if (prm->jobs[i].stage == FREE)
                        job = &prm->jobs[i];
        if (err == SCOPE_OK && job == NULL)
                err = SCOPE_ERR_AGAIN;
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        job->to = scope_reply_later(*message);
        job->held = *message;
        *message = NULL;
        job->stage = WAITING;
        job->order = ++prm->order;
        job->deadline_ns = now_ns + (uint64_t)prm->stages->options->prm.timeout;
        if (job->to.deadline_ns != 0 && job->to.deadline_ns < job->deadline_ns)
                job->deadline_ns = job->to.deadline_ns;
}

static struct job *job_of(struct prm_http *prm, uint64_t tag)
{
        struct job *job = &prm->jobs[tag & 0xffff];
        scope_assert((tag & 0xffff) < JOBS_MAX);
        return job->stage == CALLING && job->life == tag >> 16 ? job : NULL;
}

static void http_came(
        struct scope_actor *self, struct prm_http *prm, const struct scope_message *message)
{
        struct job *job = job_of(prm, message->tag);
        struct scope_http_result result;
        if (job == NULL)
                return;
        if (message->kind == SCOPE_KIND_HTTP_DATA) {
                scope_text_add(&job->reply, (const char *)message->payload, message->bytes);
                return;
        }
        scope_assert(message->bytes == sizeof result);
        memcpy(&result, message->payload, sizeof result);
        call_done(self, prm, job, message->err, &result);
}

static void prm_http_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct prm_http *prm = state;
        switch (message->kind) {
        case SCOPE_KIND_SCORE:
                take_request(self, prm, &message);
                break;
        case SCOPE_KIND_HTTP_DATA:
        case SCOPE_KIND_HTTP_DONE:
                http_came(self, prm, message);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &prm->outbox, message))
                        prm->timer_due_ns = NEVER;
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
        advance(self, prm);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum scope_err prm_http_init(struct scope_actor *self, void *state, void *args)
{
        struct prm_http *prm = state;
        const struct scope_stages *stages = args;
        const struct scope_prm_options *options = &stages->options->prm;
        (void)self;
        prm->stages = stages;
        prm->timer_due_ns = NEVER;
        scope_gate_init(&prm->gate,
                &(struct scope_gate_options){ .concurrency = (uint32_t)options->concurrency,
                        .failures_max = (uint32_t)options->circuit_failures,
                        .reset_ns = (uint64_t)options->circuit_reset,
                        .backoff_ns = BACKOFF_NS,
                        .retry_after_max_ns = RETRY_AFTER_MAX_NS });
        size_t bytes = strlen(options->url);
        while (bytes > 0 && options->url[bytes - 1] == '/')
                bytes--;
        scope_text_add(&prm->url, options->url, bytes);
        scope_text_string(&prm->url, "/pooling");
        prm->jobs = calloc(JOBS_MAX, sizeof *prm->jobs);
        if (prm->jobs == NULL || prm->url.failed)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < JOBS_MAX; i++)
                prm->jobs[i].index = i;
        return SCOPE_OK;
}

/* What is being scored now would never be repaired: everybody is answered at once. */
static void prm_http_drain(struct scope_actor *self, void *state)
{
        struct prm_http *prm = state;
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &prm->jobs[i];
                if (job->stage == FREE)
                        continue;
                if (job->stage == CALLING) {
                        scope_http_cancel(self, job->http);
                        scope_gate_cancel(&prm->gate, scope_now_ns(self), job->probe);
                }
                give_up(self, prm, job, SCOPE_ERR_CANCELLED);
        }
        set_timer(self, prm, NEVER);
}

static bool prm_http_idle(const void *state)
{
        const struct prm_http *prm = state;
        for (uint32_t i = 0; i < JOBS_MAX; i++)
                if (prm->jobs[i].stage != FREE)
                        return false;
        return prm->outbox.count == 0;
}

static void prm_http_fini(struct scope_actor *self, void *state)
{
        struct prm_http *prm = state;
        (void)self;
        for (uint32_t i = 0; i < JOBS_MAX && prm->jobs != NULL; i++)
                release(&prm->jobs[i]);
        free(prm->jobs);
        scope_outbox_fini(&prm->outbox);
        scope_text_fini(&prm->url);
        scope_text_fini(&prm->text);
        scope_text_fini(&prm->body);
}

const struct scope_actor_class scope_prm_http_class = {
        .name = "prm",
        .state_bytes = sizeof(struct prm_http),
        .scratch_bytes = 16 << 20,
        .init = prm_http_init,
        .receive = prm_http_receive,
        .drain = prm_http_drain,
        .idle = prm_http_idle,
        .fini = prm_http_fini,
};
