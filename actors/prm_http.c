/* prm_http.c - asks a scoring server how likely each step is right: prm.backend = "http".
 * Why: process reward models run where the GPUs are, mostly under vLLM (tasks/pooling_reply.h). Who
 * asks gets exactly one answer within its deadline: all scores, or an error, upon which the group
 * goes on as plain GRPO.
 * When it is called, and how often, is call_table.h's.
 * (1) One call scores one group; its scores are believed together or not at all. (2) While the
 * circuit is open requests are answered at once, but for one now and then that is the probe. (3)
 * The key is handed to HTTP and to nothing else; a server's words, which may quote it, are never
 * repeated. */
#include <stdio.h>

#include "actors/call_report.h"
#include "actors/call_table.h"
#include "actors/messages.h"
#include "actors/prm_answer.h"
#include "actors/stages.h"
#include "algorithm/steps.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/text.h"
#include "models/prm_input.h"
#include "tasks/pooling_reply.h"

enum { REQUESTS_MAX = 512 };
static const uint64_t CONNECT_NS = 5000000000u, BACKOFF_NS = 250000000u,
                      RETRY_AFTER_MAX_NS = 30000000000u;

struct job {
        struct scope_call call;
        struct scope_text reply;
};

struct prm_http {
        const struct scope_stages *stages;
        struct scope_call_table calls;
        struct scope_text url, text, body;
        struct scope_call_report report;
        uint64_t unscored; /* groups that got no scores */
        /* of the reply that was judged last, in scratch memory */
        struct scope_score_request request;
        const struct scope_step_scores *scores;
};

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

static enum scope_err write_call(struct scope_actor *self, void *owner, struct scope_call *call,
        struct scope_http_request *http)
{
        static const char *const headers[] = { "Content-Type: application/json",
                "Accept: application/json", NULL };
        struct prm_http *prm = owner;
        struct scope_score_request request;
        enum scope_err err = scope_message_read_score_request(
                self, call->held, &prm->stages->limits, &request);
        if (err == SCOPE_OK)
                err = write_body(self, prm, &request);
        http->url = prm->url.bytes;
        http->headers = headers;
        http->bearer = prm->stages->resources.prm_key;
        http->body = prm->body.bytes;
        http->body_bytes = prm->body.count;
        http->response_bytes_max = (size_t)prm->stages->options->prm.response_max;
        http->connect_timeout_ns = CONNECT_NS; /* then it says nothing until it has all */
        return err;
}

/* --- what becomes of it ----------------------------------------------------------------------- */

static void tell_gauges(struct scope_actor *self, struct prm_http *prm)
{
        const struct scope_call_gauge unscored = { "unscored", (double)prm->unscored };
        scope_call_report_gauges(self, &prm->report, &prm->calls, &unscored, 1);
}

/* No scores: the group goes on without a repair. */
static void give_up(
        struct scope_actor *self, void *owner, struct scope_call *call, enum scope_err err)
{
        struct prm_http *prm = owner;
        prm->unscored++;
        tell_gauges(self, prm);
        scope_reply_to_error(self, &call->to, err);
        scope_call_release(&prm->calls, call);
}

static void ended(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_call_end end, enum scope_gate_change change, int32_t status)
{
        struct prm_http *prm = owner;
        char text[300];
        if (change == SCOPE_GATE_CLOSED)
                scope_call_report_event(
                        self, &prm->report, "the scoring server answers again: repairs go on");
        if (change != SCOPE_GATE_OPENED || call->probe) /* a failed probe is no news */
                return;
        (void)snprintf(text, sizeof text,
                "no scores to be had: %s (HTTP %d), %u failures in a row, groups go on as plain "
                "GRPO; next try in %.0f s; check prm.url, prm.model, prm.api_key_env and that the "
                "server serves /pooling",
                scope_call_end_name(end), (int)status, prm->calls.gate.failures,
                (double)prm->stages->options->prm.circuit_reset / 1e9);
        scope_call_report_event(self, &prm->report, text);
}

static bool feed(struct scope_call *call, const void *bytes, size_t count)
{
        struct job *job = (struct job *)call;
        scope_text_add(&job->reply, bytes, count);
        return !job->reply.failed;
}

static void clear(struct scope_call *call)
{
        scope_text_fini(&((struct job *)call)->reply);
}

/* The scores of a complete reply, in scratch memory; NULL: it is not to be believed. */
static const struct scope_step_scores *believe(struct scope_actor *self, struct prm_http *prm,
        const struct job *job, struct scope_score_request *request)
{
        struct scope_arena *scratch = scope_scratch(self);
        uint32_t total = 0;
        if (scope_message_read_score_request(
                    self, job->call.held, &prm->stages->limits, request) != SCOPE_OK)
                return NULL;
        uint32_t *asked = scope_arena_take(scratch, request->item_count * sizeof *asked + 8);
        struct scope_step_scores *scores =
                scope_arena_take(scratch, request->item_count * sizeof *scores + 8);
        for (uint32_t i = 0; i < request->item_count && asked != NULL; i++)
                total += asked[i] = steps_asked(prm, &request->items[i]);
        float *given = scope_arena_take(scratch, total * sizeof *given + 8);
        if (asked == NULL || scores == NULL || given == NULL ||
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

static enum scope_call_end judge(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_err err, const struct scope_http_result *result)
{
        struct prm_http *prm = owner;
        enum scope_call_end end = scope_call_judge(err, result->status);
        if (end != SCOPE_CALL_OK)
                return end;
        prm->scores = believe(self, prm, (struct job *)call, &prm->request);
        return prm->scores != NULL ? SCOPE_CALL_OK : SCOPE_CALL_MALFORMED;
}

static void answered(struct scope_actor *self, void *owner, struct scope_call *call)
{
        struct prm_http *prm = owner;
        tell_gauges(self, prm);
        scope_prm_answer(self, prm->stages, &prm->report.outbox, &call->to, &prm->request,
                prm->scores, call->began_ns, scope_waited_ns(self));
        scope_call_release(&prm->calls, call);
}

/* --- messages --------------------------------------------------------------------------------- */

static void take_request(
        struct scope_actor *self, struct prm_http *prm, struct scope_message **message)
{
        struct scope_score_request request;
        enum scope_err err = scope_message_read_score_request(
                self, *message, &prm->stages->limits, &request);
        if (err == SCOPE_OK && scope_call_take(self, &prm->calls, message,
                                       (uint64_t)prm->stages->options->prm.timeout) == NULL)
                err = SCOPE_ERR_AGAIN;
        if (err != SCOPE_OK)
                scope_reply_error(self, *message, err);
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
                scope_call_table_receive(self, &prm->calls, message);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &prm->report.outbox, message))
                        scope_call_table_receive(self, &prm->calls, message);
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
        scope_call_table_advance(self, &prm->calls);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum scope_err prm_http_init(struct scope_actor *self, void *state, void *args)
{
        struct prm_http *prm = state;
        const struct scope_stages *stages = args;
        const struct scope_prm_options *options = &stages->options->prm;
        static const struct scope_call_hooks hooks = { .write = write_call,
                .feed = feed,
                .judge = judge,
                .ended = ended,
                .answered = answered,
                .give_up = give_up,
                .clear = clear };
        (void)self;
        prm->stages = prm->report.stages = stages;
        prm->report.who = "prm";
        scope_call_url(options->url, "/pooling", &prm->url);
        enum scope_err err = scope_call_table_init(&prm->calls,
                &(struct scope_call_options){
                        .gate = { .concurrency = (uint32_t)options->concurrency,
                                .failures_max = (uint32_t)options->circuit_failures,
                                .reset_ns = (uint64_t)options->circuit_reset,
                                .backoff_ns = BACKOFF_NS,
                                .retry_after_max_ns = RETRY_AFTER_MAX_NS },
                        .hooks = &hooks,
                        .owner = prm,
                        .call_bytes = sizeof(struct job),
                        .requests_max = REQUESTS_MAX,
                        .retries_max = (uint64_t)options->max_retries,
                });
        return err == SCOPE_OK && prm->url.failed ? SCOPE_ERR_MEMORY : err;
}

/* What is being scored now would never be repaired: everybody is answered at once. */
static void prm_http_drain(struct scope_actor *self, void *state)
{
        scope_call_table_drain(self, &((struct prm_http *)state)->calls);
}

static bool prm_http_idle(const void *state)
{
        const struct prm_http *prm = state;
        return scope_call_table_idle(&prm->calls) && prm->report.outbox.count == 0;
}

static void prm_http_fini(struct scope_actor *self, void *state)
{
        struct prm_http *prm = state;
        (void)self;
        scope_call_table_fini(&prm->calls);
        scope_outbox_fini(&prm->report.outbox);
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
