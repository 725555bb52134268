/* refiner.c - asks the teacher for the rest of a solution, and judges what comes back.
 * Why: a teacher is slow, busy, down or wrong as it pleases; nothing of that may block a run. Who
 * asks gets exactly one answer within its deadline: an accepted suffix, or why there is none.
 * When it is called, and how often, is call_table.h's.
 * (1) A reply is believed only when it is complete, and accepted only when the whole solution's
 * answer is right. (2) A reply that is rejected gets one warmer try. (3) The key is handed to HTTP
 * and to nothing else; a server's words, which may quote it, are never repeated. */
#include <stdio.h>
#include <string.h>

#include "actors/call_report.h"
#include "actors/call_table.h"
#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/mix.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_reply.h"

enum { REQUESTS_MAX = 511 };

struct job {
        struct scope_call call;
        struct scope_refine_request request; /* points into call.held */
        uint32_t rejects;                    /* rejected replies among the tries */
        uint32_t tokens_in, tokens_out;
        enum scope_refine_verdict verdict;   /* of the last rejected reply */
        struct scope_teacher_reply reply;
};

struct refiner {
        const struct scope_stages *stages;
        struct scope_call_table calls;
        struct scope_text body, url;
        struct scope_text probe_body; /* of the request that failed last; its reply is not used */
        bool spent_told;
        uint64_t answered[SCOPE_REFINE_COUNT], tokens_in, tokens_out;
        struct scope_call_report report;
};

/* --- answers ---------------------------------------------------------------------------------- */

struct suffix {
        struct scope_string text;
        const uint32_t *tokens;
        uint32_t count;
};

static void tell_gauges(struct scope_actor *self, struct refiner *refiner)
{
        const uint64_t *answered = refiner->answered;
        uint64_t rejected = 0;
        for (unsigned i = SCOPE_REFINE_WRONG_ANSWER; i <= SCOPE_REFINE_NOT_TEXT; i++)
                rejected += answered[i];
        const struct scope_call_gauge more[] = {
                { "accepted", (double)answered[SCOPE_REFINE_ACCEPTED] },
                { "rejected", (double)rejected },
                { "refused", (double)answered[SCOPE_REFINE_REFUSED] },
                { "failed", (double)answered[SCOPE_REFINE_FAILED] },
                { "skipped", (double)answered[SCOPE_REFINE_SKIPPED] },
                { "tokens_in", (double)refiner->tokens_in },
                { "tokens_out", (double)refiner->tokens_out },
        };
        scope_call_report_gauges(
                self, &refiner->report, &refiner->calls, more, sizeof more / sizeof *more);
}

/* The one answer. `suffix` NULL unless accepted. */
static void answer(struct scope_actor *self, struct refiner *refiner, struct job *job,
        enum scope_refine_verdict verdict, const struct suffix *suffix)
{
        struct scope_message *message = NULL;
        struct scope_refine_answer record = { .group = job->request.group,
                .sample = job->request.sample,
                .verdict = (uint8_t)verdict,
                .calls = job->call.tries,
                .tokens_in = job->tokens_in,
                .tokens_out = job->tokens_out,
                .latency_ns = scope_now_ns(self) - job->call.arrived_ns };
        scope_assert(job->call.held != NULL);
        scope_assert((suffix != NULL) == (verdict == SCOPE_REFINE_ACCEPTED));
        if (suffix != NULL) {
                record.tokens = suffix->tokens;
                record.token_count = suffix->count;
                record.text = suffix->text;
        }
        refiner->answered[verdict]++;
        tell_gauges(self, refiner);
        enum scope_err err = scope_message_of_refine_answer(
                self, SCOPE_KIND_REFINED, SCOPE_LANE_CONTROL, &record, &message);
        if (err == SCOPE_OK)
                scope_reply_to(self, &job->call.to, &message);
        else
                scope_reply_to_error(self, &job->call.to, err);
        scope_call_release(&refiner->calls, &job->call);
}

/* Nothing more will be tried: what is said of it is what came last. */
static void give_up(
        struct scope_actor *self, void *owner, struct scope_call *call, enum scope_err err)
{
        struct job *job = (struct job *)call;
        (void)err;
        answer(self, owner, job,
                job->rejects > 0  ? job->verdict
                : call->tries > 0 ? SCOPE_REFINE_FAILED
                                  : SCOPE_REFINE_SKIPPED,
                NULL);
}

static void clear(struct scope_call *call)
{
        scope_teacher_reply_fini(&((struct job *)call)->reply);
}

/* --- calls ------------------------------------------------------------------------------------ */

static enum scope_err write_body(struct refiner *refiner, const struct job *job)
{
        const struct scope_teacher_options *teacher = &refiner->stages->options->teacher;
        static const enum scope_refiner_form forms[] = {
                [SCOPE_STYLE_INSTRUCT] = SCOPE_REFINER_INSTRUCT,
                [SCOPE_STYLE_PREFIX] = SCOPE_REFINER_PREFIX,
                [SCOPE_STYLE_CONTINUE] = SCOPE_REFINER_CONTINUE,
        };
        scope_text_clear(&refiner->body);
        scope_refiner_prompt_write(
                &(struct scope_refiner_prompt){ .form = forms[teacher->style],
                        .model = teacher->model,
                        .stream = teacher->stream,
                        .problem = job->request.problem,
                        .gold = job->request.gold,
                        .prefix = job->request.prefix,
                        .max_tokens = job->request.suffix_max,
                        .temperature = job->rejects > 0 ? teacher->retry_temperature
                                                        : teacher->temperature },
                &refiner->body);
        return refiner->body.failed ? SCOPE_ERR_MEMORY : SCOPE_OK;
}

static enum scope_err write_call(struct scope_actor *self, void *owner, struct scope_call *call,
        struct scope_http_request *http)
{
        static const char *const headers[] = { "Content-Type: application/json",
                "Accept: application/json, text/event-stream", NULL };
        struct refiner *refiner = owner;
        struct job *job = (struct job *)call;
        const struct scope_teacher_options *teacher = &refiner->stages->options->teacher;
        const struct scope_text *body = call->held != NULL ? &refiner->body : &refiner->probe_body;
        enum scope_err err = call->held != NULL ? write_body(refiner, job) : SCOPE_OK;
        (void)self;
        http->url = refiner->url.bytes;
        http->headers = headers;
        http->bearer = refiner->stages->resources.teacher_key;
        http->body = body->bytes;
        http->body_bytes = body->count;
        http->response_bytes_max = (size_t)teacher->response_max;
        http->connect_timeout_ns = (uint64_t)teacher->connect_timeout;
        http->idle_timeout_ns = (uint64_t)teacher->idle_timeout;
        scope_teacher_reply_init(&job->reply, (size_t)teacher->response_max, SCOPE_TEXT_BYTES_MAX);
        return err;
}

/* --- what becomes of a call ------------------------------------------------------------------- */

static void circuit_opened(struct scope_actor *self, struct refiner *refiner, struct job *job,
        enum scope_call_end end, int32_t status)
{
        const struct scope_teacher_options *teacher = &refiner->stages->options->teacher;
        static const char *const then[] = {
                [SCOPE_DOWN_DEGRADE] = "groups go on unrepaired",
                [SCOPE_DOWN_WAIT] = "requests wait for it until their deadlines",
                [SCOPE_DOWN_STOP] = "the run stops (teacher.on_down)",
        };
        char text[400];
        (void)snprintf(text, sizeof text,
                "not to be had: %s (HTTP %d), %u failures in a row, %s; next try in %.0f s; %s",
                scope_call_end_name(end), (int)status, refiner->calls.gate.failures,
                then[teacher->on_down], (double)teacher->circuit_reset / 1e9,
                scope_call_advice(end == SCOPE_CALL_FATAL ? status : 0));
        if (!job->call.probe) /* a failed probe is no news */
                scope_call_report_event(self, &refiner->report, text);
        if (!job->call.probe && write_body(refiner, job) == SCOPE_OK) {
                scope_text_clear(&refiner->probe_body);
                scope_text_add(&refiner->probe_body, refiner->body.bytes, refiner->body.count);
        }
        if (teacher->on_down == SCOPE_DOWN_STOP)
                scope_fail_for_good(self, SCOPE_ERR_NET, text);
        else if (teacher->on_down == SCOPE_DOWN_DEGRADE)
                scope_call_report_state(self, &refiner->report, false);
}

static void record_call(struct scope_actor *self, struct refiner *refiner, const struct job *job,
        enum scope_call_end end)
{
        const struct scope_text *content = &job->reply.content;
        scope_stages_audit(self, refiner->stages,
                (struct scope_audit){ .kind = SCOPE_AUDIT_CALLED,
                        .group = job->request.group,
                        .value = (uint64_t)end,
                        .since_ns = job->call.began_ns });
        scope_call_report_reply(self, &refiner->report,
                &(struct scope_call_reply){ .group = job->request.group,
                        .sample = job->request.sample,
                        .latency_ns = scope_now_ns(self) - job->call.began_ns,
                        .problem = job->request.problem,
                        .prefix = job->request.prefix,
                        .content = { content->bytes, (uint32_t)content->count },
                        .end = end,
                        .truncated = job->reply.kind == SCOPE_REPLY_TRUNCATED });
}

static void ended(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_call_end end, enum scope_gate_change change, int32_t status)
{
        struct refiner *refiner = owner;
        struct job *job = (struct job *)call;
        if (!call->probe)
                record_call(self, refiner, job, end);
        if (change == SCOPE_GATE_OPENED)
                circuit_opened(self, refiner, job, end, status);
        if (change == SCOPE_GATE_CLOSED) {
                scope_call_report_event(
                        self, &refiner->report, "the teacher answers again: repairs go on");
                scope_call_report_state(self, &refiner->report, true);
        }
}

/* Text to tokens of the policy, EOS last; what the reply lacks is in the verdict. */
static enum scope_refine_verdict check(struct scope_actor *self, const struct refiner *refiner,
        const struct job *job, struct scope_string content, struct suffix *ret_suffix)
{
        const struct scope_stages *stages = refiner->stages;
        const struct scope_refine_request *request = &job->request;
        struct scope_suffix suffix = { request->problem, request->gold, request->prefix, content,
                stages->options->teacher.leak_filter };
        size_t count = 0;
        enum scope_refine_verdict verdict =
                scope_suffix_check(&suffix, &stages->options->grade, &ret_suffix->text);
        if (verdict != SCOPE_REFINE_ACCEPTED)
                return verdict;
        if (request->suffix_max < 2)
                return SCOPE_REFINE_TOO_LONG;
        uint32_t *tokens =
                scope_arena_take(scope_scratch(self), request->suffix_max * sizeof *tokens);
        if (tokens == NULL)
                return SCOPE_REFINE_TOO_LONG;
        enum scope_err err =
                scope_tokenizer_encode(stages->resources.tokenizer, ret_suffix->text.at,
                        ret_suffix->text.bytes, tokens, request->suffix_max - 1, &count);
        if (err == SCOPE_ERR_TOO_BIG)
                return SCOPE_REFINE_TOO_LONG;
        if (err != SCOPE_OK)
                return SCOPE_REFINE_NOT_TEXT;
        if (count == 0)
                return SCOPE_REFINE_EMPTY;
        tokens[count] = stages->resources.layout->config.eos[0];
        ret_suffix->tokens = tokens;
        ret_suffix->count = (uint32_t)count + 1;
        return SCOPE_REFINE_ACCEPTED;
}

/* A complete reply: the teacher is up, whatever the text is worth. */
static void answered(struct scope_actor *self, void *owner, struct scope_call *call)
{
        struct refiner *refiner = owner;
        struct job *job = (struct job *)call;
        const struct scope_text *said = &job->reply.content;
        struct suffix suffix = { .count = 0 };
        enum scope_refine_verdict verdict = SCOPE_REFINE_TOO_LONG;
        if (job->reply.kind == SCOPE_REPLY_WHOLE)
                verdict = check(self, refiner, job,
                        (struct scope_string){
                                said->bytes != NULL ? said->bytes : "", (uint32_t)said->count },
                        &suffix);
        if (verdict == SCOPE_REFINE_ACCEPTED) {
                answer(self, refiner, job, verdict, &suffix);
                return;
        }
        job->verdict = verdict;
        if (job->rejects++ == 0 && verdict != SCOPE_REFINE_REFUSED &&
                call->tries <= refiner->calls.options.retries_max)
                scope_call_again(&refiner->calls, call);
        else
                answer(self, refiner, job, verdict, NULL);
}

static bool feed(struct scope_call *call, const void *bytes, size_t count)
{
        return scope_teacher_reply_feed(&((struct job *)call)->reply, bytes, count) == SCOPE_OK;
}

/* What status line and body say together. */
static enum scope_call_end judge(struct scope_actor *self, void *owner, struct scope_call *call,
        enum scope_err err, const struct scope_http_result *result)
{
        struct refiner *refiner = owner;
        struct job *job = (struct job *)call;
        enum scope_call_end end = scope_call_judge(err, result->status);
        (void)self;
        scope_teacher_reply_end(&job->reply, err == SCOPE_OK);
        job->tokens_in += job->reply.tokens_in;
        job->tokens_out += job->reply.tokens_out;
        refiner->tokens_in += job->reply.tokens_in;
        refiner->tokens_out += job->reply.tokens_out;
        if (job->reply.kind == SCOPE_REPLY_FATAL && result->status != 0)
                return SCOPE_CALL_FATAL; /* a 429 or a 200 can mean that the quota is used up */
        if (job->reply.kind == SCOPE_REPLY_REFUSED &&
                (end == SCOPE_CALL_OK || end == SCOPE_CALL_REFUSED))
                return SCOPE_CALL_DECLINED;
        if (end != SCOPE_CALL_OK)
                return end;
        switch (job->reply.kind) {
        case SCOPE_REPLY_WHOLE:
        case SCOPE_REPLY_TRUNCATED:
                return SCOPE_CALL_OK;
        case SCOPE_REPLY_RETRYABLE:
                return job->reply.broken_off ? SCOPE_CALL_BUSY : SCOPE_CALL_MALFORMED;
        case SCOPE_REPLY_REFUSED:
        case SCOPE_REPLY_FATAL:
        default:
                return SCOPE_CALL_MALFORMED;
        }
}

/* --- messages --------------------------------------------------------------------------------- */

static void take_request(
        struct scope_actor *self, struct refiner *refiner, struct scope_message **message)
{
        struct scope_refine_request request;
        uint64_t longest_ns = (uint64_t)refiner->stages->options->teacher.deadline;
        struct job *job = NULL;
        enum scope_err err = scope_message_read_refine_request(
                self, *message, &refiner->stages->limits, &request);
        if (err == SCOPE_OK)
                job = (struct job *)scope_call_take(self, &refiner->calls, message,
                        request.timeout_ns < longest_ns ? request.timeout_ns : longest_ns);
        if (job == NULL)
                scope_reply_error(self, *message, err != SCOPE_OK ? err : SCOPE_ERR_AGAIN);
        else
                job->request = request; /* text only: it lies in the message, not in scratch */
}

static void advance(struct scope_actor *self, struct refiner *refiner)
{
        scope_call_table_advance(self, &refiner->calls);
        if (!scope_gate_spent(&refiner->calls.gate))
                return;
        if (!refiner->spent_told)
                scope_call_report_event(self, &refiner->report,
                        "teacher.calls_max is reached: no more calls are made, "
                        "groups go on unrepaired");
        refiner->spent_told = true;
        scope_call_report_state(self, &refiner->report, false);
}

static void refiner_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct refiner *refiner = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                /* Groups may still believe what an earlier life said. */
                refiner->report.told_down = scope_self(self).incarnation > 1;
                scope_call_report_state(self, &refiner->report, true);
                break;
        case SCOPE_KIND_REFINE:
                take_request(self, refiner, &message);
                break;
        case SCOPE_KIND_HTTP_DATA:
        case SCOPE_KIND_HTTP_DONE:
                scope_call_table_receive(self, &refiner->calls, message);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &refiner->report.outbox, message))
                        scope_call_table_receive(self, &refiner->calls, message);
                break;
        default: /* nothing else is meant for the refiner */
                break;
        }
        scope_message_free(message);
        advance(self, refiner);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum scope_err refiner_init(struct scope_actor *self, void *state, void *args)
{
        struct refiner *refiner = state;
        const struct scope_stages *stages = args;
        const struct scope_teacher_options *teacher = &stages->options->teacher;
        static const struct scope_call_hooks hooks = { .write = write_call,
                .feed = feed,
                .judge = judge,
                .ended = ended,
                .answered = answered,
                .give_up = give_up,
                .clear = clear };
        struct scope_call_options options = {
                .gate = { .concurrency = (uint32_t)teacher->concurrency,
                        .apart_ns = teacher->rate > 0 ? (uint64_t)(1e9 / teacher->rate) : 0,
                        .failures_max = (uint32_t)teacher->circuit_failures,
                        .calls_max = (uint64_t)teacher->calls_max,
                        .reset_ns = (uint64_t)teacher->circuit_reset,
                        .backoff_ns = (uint64_t)teacher->backoff,
                        .retry_after_max_ns = (uint64_t)teacher->retry_after_max },
                .hooks = &hooks,
                .owner = refiner,
                .call_bytes = sizeof(struct job),
                .requests_max = REQUESTS_MAX,
                .retries_max = (uint64_t)teacher->max_retries,
                .probe_timeout_ns = (uint64_t)teacher->deadline,
                .patient = teacher->on_down == SCOPE_DOWN_WAIT,
        };
        (void)self;
        refiner->stages = refiner->report.stages = stages;
        refiner->report.who = "teacher";
        scope_call_url(teacher->url, "/chat/completions", &refiner->url);
        enum scope_err err = scope_call_table_init(&refiner->calls, &options);
        return err == SCOPE_OK && refiner->url.failed ? SCOPE_ERR_MEMORY : err;
}

/* What is being repaired now would never be trained: everybody is answered at once. */
static void refiner_drain(struct scope_actor *self, void *state)
{
        scope_call_table_drain(self, &((struct refiner *)state)->calls);
}

static bool refiner_idle(const void *state)
{
        const struct refiner *refiner = state;
        return scope_call_table_idle(&refiner->calls) && refiner->report.outbox.count == 0;
}

static void refiner_fini(struct scope_actor *self, void *state)
{
        struct refiner *refiner = state;
        (void)self;
        scope_call_table_fini(&refiner->calls);
        scope_outbox_fini(&refiner->report.outbox);
        scope_text_fini(&refiner->body);
        scope_text_fini(&refiner->probe_body);
        scope_text_fini(&refiner->url);
}

const struct scope_actor_class scope_refiner_class = {
        .name = "refiner",
        .state_bytes = sizeof(struct refiner),
        .scratch_bytes = 1 << 20,
        .init = refiner_init,
        .receive = refiner_receive,
        .drain = refiner_drain,
        .idle = refiner_idle,
        .fini = refiner_fini,
};
