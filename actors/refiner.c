/* refiner.c - asks the teacher for the rest of a solution, and judges what comes back.
 * Why: a teacher is slow, busy, down or wrong as it pleases; nothing of that may block a run. Who
 * asks gets exactly one answer within its deadline: an accepted suffix, or why there is none.
 *
 *   request -> WAITING -(gate open)-> CALLING -accepted, rejected, out of tries-> answered
 *                 ^                      |
 *                 +------ RESTING <------+ failed, or rejected for the first time
 *
 * (1) The deadline of a request counts from its arrival and is never moved. (2) A reply is believed
 * only when it is complete, and accepted only when the whole solution's answer is right. (3) The
 * key is handed to HTTP and to nothing else; a server's words, which may quote it, are never
 * repeated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "actors/messages.h"
#include "actors/stages.h"
#include "actors/teacher_gate.h"
#include "actors/teacher_report.h"
#include "algorithm/mix.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "tasks/refiner_prompt.h"
#include "tasks/teacher_reply.h"

enum { REQUESTS_MAX = 511, PROBE = REQUESTS_MAX, JOBS_MAX, TIMER_DUE = 1, RANDOM_REST = 0 };
static const uint64_t NEVER = UINT64_MAX;

enum stage { FREE, WAITING, CALLING, RESTING };

/* One request and its present call. The probe of an open circuit is a job without a request. */
struct job {
        enum stage stage;
        bool probe;
        uint32_t index, life;       /* life: told apart from earlier users of the slot */
        uint64_t order;             /* of arrival */
        struct scope_message *held; /* what `request` points into */
        struct scope_refine_request request;
        struct scope_reply_to to;
        uint64_t arrived_ns, deadline_ns, rest_until_ns;
        uint32_t tries, rejects; /* calls made; rejected replies among them */
        uint32_t tokens_in, tokens_out;
        enum scope_refine_verdict verdict; /* of the last rejected reply */
        uint64_t http, call, began_ns;     /* of the call under way */
        struct scope_teacher_reply reply;
};

struct refiner {
        const struct scope_stages *stages;
        struct scope_gate gate;
        struct job *jobs;
        uint64_t order, timer, timer_due_ns;
        struct scope_text body, probe_body, url;
        bool spent_told;
        struct scope_teacher_report report;
};

/* --- answers ---------------------------------------------------------------------------------- */

struct suffix {
        struct scope_string text;
        const uint32_t *tokens;
        uint32_t count;
};

static void end_call(struct job *job)
{
        scope_teacher_reply_fini(&job->reply);
        job->http = 0;
}

static void release(struct job *job)
{
        end_call(job);
        scope_message_free(job->held);
        *job = (struct job){ .index = job->index, .life = job->life };
}

/* The one answer. `suffix` NULL unless accepted. */
static void answer(struct scope_actor *self, struct refiner *refiner, struct job *job,
        enum scope_refine_verdict verdict, const struct suffix *suffix)
{
        struct scope_message *message = NULL;
        struct scope_refine_answer record = { .group = job->request.group,
                .sample = job->request.sample,
                .verdict = (uint8_t)verdict,
                .calls = job->tries,
                .tokens_in = job->tokens_in,
                .tokens_out = job->tokens_out,
                .latency_ns = scope_now_ns(self) - job->arrived_ns };
        scope_assert(job->stage != FREE && !job->probe);
        scope_assert((suffix != NULL) == (verdict == SCOPE_REFINE_ACCEPTED));
        if (suffix != NULL) {
                record.tokens = suffix->tokens;
                record.token_count = suffix->count;
                record.text = suffix->text;
        }
        refiner->report.answered[verdict]++;
        scope_teacher_report_gauges(self, &refiner->report, &refiner->gate);
        enum scope_err err = scope_message_of_refine_answer(
                self, SCOPE_KIND_REFINED, SCOPE_LANE_CONTROL, &record, &message);
        if (err == SCOPE_OK)
                scope_reply_to(self, &job->to, &message);
        else
                scope_reply_to_error(self, &job->to, err);
        release(job);
}

/* What is said of a request for which nothing more will be tried. */
static enum scope_refine_verdict last_word(const struct job *job)
{
        if (job->rejects > 0)
                return job->verdict;
        return job->tries > 0 ? SCOPE_REFINE_FAILED : SCOPE_REFINE_SKIPPED;
}

static void give_up_waiting(struct scope_actor *self, struct refiner *refiner)
{
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &refiner->jobs[i];
                if (job->stage == WAITING || job->stage == RESTING)
                        answer(self, refiner, job, last_word(job), NULL);
        }
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

static enum scope_err start_http(struct scope_actor *self, struct refiner *refiner, struct job *job,
        const struct scope_text *body)
{
        static const char *const headers[] = { "Content-Type: application/json",
                "Accept: application/json, text/event-stream", NULL };
        const struct scope_teacher_options *teacher = &refiner->stages->options->teacher;
        struct scope_http_request request = { .method = "POST",
                .url = refiner->url.bytes,
                .headers = headers,
                .bearer = refiner->stages->resources.teacher_key,
                .body = body->bytes,
                .body_bytes = body->count,
                .response_bytes_max = (size_t)teacher->response_max,
                .connect_timeout_ns = (uint64_t)teacher->connect_timeout,
                .idle_timeout_ns = (uint64_t)teacher->idle_timeout,
                .timeout_ns = job->deadline_ns - scope_now_ns(self) };
        job->stage = CALLING;
        job->began_ns = scope_now_ns(self);
        job->call = scope_gate_begin(&refiner->gate, job->probe);
        job->tries++;
        job->life++;
        scope_teacher_reply_init(&job->reply, (size_t)teacher->response_max, SCOPE_TEXT_BYTES_MAX);
        return scope_http_start(self, &request, (uint64_t)job->life << 16 | job->index, &job->http);
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
                scope_call_end_name(end), (int)status, refiner->gate.failures,
                then[teacher->on_down], (double)teacher->circuit_reset / 1e9,
                scope_call_advice(end == SCOPE_CALL_FATAL ? status : 0));
        if (!job->probe) /* a failed probe is no news */
                scope_teacher_report_event(self, &refiner->report, text);
        if (!job->probe && write_body(refiner, job) == SCOPE_OK) {
                scope_text_clear(&refiner->probe_body);
                scope_text_add(&refiner->probe_body, refiner->body.bytes, refiner->body.count);
        }
        if (teacher->on_down == SCOPE_DOWN_STOP)
                scope_fail_for_good(self, SCOPE_ERR_NET, text);
        else if (teacher->on_down == SCOPE_DOWN_DEGRADE)
                scope_teacher_report_state(self, &refiner->report, false);
}

/* Lets the job rest and be tried again, or answers it when that would be too late. */
static void rest(
        struct scope_actor *self, struct refiner *refiner, struct job *job, int64_t retry_after_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        uint64_t ns = scope_gate_rest_ns(
                &refiner->gate, job->tries, retry_after_ns, scope_random(self, RANDOM_REST));
        if (now_ns >= job->deadline_ns || ns >= job->deadline_ns - now_ns) {
                answer(self, refiner, job, last_word(job), NULL);
                return;
        }
        job->stage = RESTING;
        job->rest_until_ns = now_ns + ns;
        refiner->report.retries++;
}

static bool waits_for_teacher(const struct refiner *refiner)
{
        return refiner->stages->options->teacher.on_down == SCOPE_DOWN_WAIT;
}

static bool tries_left(const struct refiner *refiner, const struct job *job)
{
        return job->tries <= (uint64_t)refiner->stages->options->teacher.max_retries;
}

/* The circuit opened or the budget is spent: who is not being served need not wait for it. */
static void closed_for_now(struct scope_actor *self, struct refiner *refiner)
{
        bool spent = scope_gate_spent(&refiner->gate);
        if (spent || (refiner->gate.circuit != SCOPE_CIRCUIT_CLOSED && !waits_for_teacher(refiner)))
                give_up_waiting(self, refiner);
}

static void tell_spent(struct scope_actor *self, struct refiner *refiner)
{
        if (!scope_gate_spent(&refiner->gate))
                return;
        if (!refiner->spent_told)
                scope_teacher_report_event(self, &refiner->report,
                        "teacher.calls_max is reached: no more calls are made, "
                        "groups go on unrepaired");
        refiner->spent_told = true;
        scope_teacher_report_state(self, &refiner->report, false);
}

static enum scope_gate_change gate_end(struct scope_actor *self, struct refiner *refiner,
        const struct job *job, enum scope_call_end end, int64_t retry_after_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        if (!job->probe) {
                const struct scope_text *content = &job->reply.content;
                scope_stages_audit(self, refiner->stages,
                        (struct scope_audit){ .kind = SCOPE_AUDIT_CALLED,
                                .group = job->request.group,
                                .value = (uint64_t)end,
                                .since_ns = job->began_ns });
                scope_teacher_report_call(self, &refiner->report,
                        &(struct scope_teacher_report_call){ .group = job->request.group,
                                .sample = job->request.sample,
                                .latency_ns = now_ns - job->began_ns,
                                .problem = job->request.problem,
                                .prefix = job->request.prefix,
                                .content = { content->bytes, (uint32_t)content->count },
                                .end = end,
                                .truncated = job->reply.kind == SCOPE_REPLY_TRUNCATED });
        }
        return scope_gate_end(&refiner->gate, &(struct scope_gate_end){ .now_ns = now_ns,
                                                      .call = job->call,
                                                      .latency_ns = now_ns - job->began_ns,
                                                      .retry_after_ns = retry_after_ns,
                                                      .end = end,
                                                      .probe = job->probe });
}

static void came_back(struct scope_actor *self, struct refiner *refiner)
{
        scope_teacher_report_event(
                self, &refiner->report, "the teacher answers again: repairs go on");
        scope_teacher_report_state(self, &refiner->report, true);
}

static void call_failed(struct scope_actor *self, struct refiner *refiner, struct job *job,
        enum scope_call_end end, const struct scope_http_result *result)
{
        scope_assert(job->stage == CALLING && end != SCOPE_CALL_OK);
        end_call(job);
        enum scope_gate_change change = gate_end(self, refiner, job, end, result->retry_after_ns);
        if (change == SCOPE_GATE_OPENED)
                circuit_opened(self, refiner, job, end, result->status);
        if (change == SCOPE_GATE_CLOSED)
                came_back(self, refiner);
        bool wait = waits_for_teacher(refiner);
        bool again = end != SCOPE_CALL_REFUSED && end != SCOPE_CALL_DECLINED &&
                     (wait || (tries_left(refiner, job) &&
                                      refiner->gate.circuit == SCOPE_CIRCUIT_CLOSED));
        if (job->probe)
                release(job);
        else if (again && !scope_draining(self))
                rest(self, refiner, job, result->retry_after_ns);
        else
                answer(self, refiner, job, last_word(job), NULL);
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
static void call_answered(struct scope_actor *self, struct refiner *refiner, struct job *job,
        enum scope_refine_verdict verdict, const struct suffix *suffix)
{
        scope_assert(job->stage == CALLING);
        if (gate_end(self, refiner, job, SCOPE_CALL_OK, -1) == SCOPE_GATE_CLOSED)
                came_back(self, refiner);
        if (job->probe) {
                release(job);
                return;
        }
        if (verdict == SCOPE_REFINE_ACCEPTED) {
                answer(self, refiner, job, verdict, suffix);
                return;
        }
        end_call(job);
        job->verdict = verdict;
        bool first = job->rejects++ == 0;
        if (first && verdict != SCOPE_REFINE_REFUSED && tries_left(refiner, job)) {
                refiner->report.retries++;
                job->stage = WAITING;
        } else {
                answer(self, refiner, job, verdict, NULL);
        }
}

static void out_of_time(struct scope_actor *self, struct refiner *refiner, struct job *job)
{
        static const struct scope_http_result nothing = { .retry_after_ns = -1 };
        if (job->stage != CALLING) {
                answer(self, refiner, job, last_word(job), NULL);
                return;
        }
        scope_http_cancel(self, job->http);
        call_failed(self, refiner, job, SCOPE_CALL_TIMEOUT, &nothing);
}

/* --- what is due ------------------------------------------------------------------------------ */

static void start_job(struct scope_actor *self, struct refiner *refiner, struct job *job,
        const struct scope_text *body)
{
        static const struct scope_http_result nothing = { .retry_after_ns = -1 };
        enum scope_err err = start_http(self, refiner, job, body);
        if (err != SCOPE_OK)
                call_failed(self, refiner, job,
                        err == SCOPE_ERR_ARGUMENT ? SCOPE_CALL_FATAL : SCOPE_CALL_NET, &nothing);
}

static void start_calls(struct scope_actor *self, struct refiner *refiner)
{
        while (scope_gate_open(&refiner->gate, scope_now_ns(self))) {
                struct job *first = NULL;
                for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
                        struct job *job = &refiner->jobs[i];
                        if (job->stage == WAITING && (first == NULL || job->order < first->order))
                                first = job;
                }
                if (first == NULL)
                        return;
                if (write_body(refiner, first) == SCOPE_OK)
                        start_job(self, refiner, first, &refiner->body);
                else
                        answer(self, refiner, first, last_word(first), NULL);
        }
}

/* The request that failed last is sent once more; what it brings is not used. */
static void start_probe(struct scope_actor *self, struct refiner *refiner)
{
        uint64_t now_ns = scope_now_ns(self);
        struct job *job = &refiner->jobs[PROBE];
        if (!scope_gate_probe_due(&refiner->gate, now_ns) || scope_draining(self) ||
                job->stage != FREE)
                return;
        job->probe = true;
        job->deadline_ns = now_ns + (uint64_t)refiner->stages->options->teacher.deadline;
        start_job(self, refiner, job, &refiner->probe_body);
}

static uint64_t next_due(struct scope_actor *self, const struct refiner *refiner)
{
        const struct scope_gate *gate = &refiner->gate;
        uint64_t due_ns = NEVER;
        bool waiting = false;
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                const struct job *job = &refiner->jobs[i];
                if (job->stage == FREE)
                        continue;
                waiting = waiting || job->stage == WAITING;
                uint64_t at_ns = job->stage == RESTING ? job->rest_until_ns : job->deadline_ns;
                due_ns = at_ns < due_ns ? at_ns : due_ns;
        }
        /* A probe of an earlier opening may still be under way: then its end is what is due. */
        if (gate->circuit == SCOPE_CIRCUIT_OPEN && gate->probe_at_ns < due_ns &&
                refiner->jobs[PROBE].stage == FREE && !scope_gate_spent(gate) &&
                !scope_draining(self))
                due_ns = gate->probe_at_ns;
        if (waiting && gate->hold_until_ns > scope_now_ns(self) && gate->hold_until_ns < due_ns)
                due_ns = gate->hold_until_ns;
        return due_ns;
}

static void set_timer(struct scope_actor *self, struct refiner *refiner, uint64_t due_ns)
{
        uint64_t now_ns = scope_now_ns(self);
        if (due_ns == refiner->timer_due_ns)
                return;
        scope_timer_stop(self, refiner->timer);
        refiner->timer = 0;
        refiner->timer_due_ns = due_ns;
        if (due_ns != NEVER &&
                scope_timer_start(self, TIMER_DUE, due_ns > now_ns ? due_ns - now_ns : 0,
                        &refiner->timer) != SCOPE_OK)
                scope_fail(self, SCOPE_ERR_LIMIT, "no timer left");
}

/* Calls are its work; a request that may not be sent waits for the teacher. */
static enum scope_idle idle_because(const struct refiner *refiner)
{
        bool holds = false;
        for (uint32_t i = 0; i < REQUESTS_MAX && !holds; i++)
                holds = refiner->jobs[i].stage != FREE;
        if (refiner->gate.in_flight > 0)
                return SCOPE_IDLE_CALLING;
        if (refiner->gate.circuit != SCOPE_CIRCUIT_CLOSED)
                return SCOPE_IDLE_FAILURE;
        return holds ? SCOPE_IDLE_THROTTLED : SCOPE_IDLE_STARVED;
}

/* Deadlines, rests that are over, the probe, calls that may start; then the one timer. */
static void advance(struct scope_actor *self, struct refiner *refiner)
{
        uint64_t now_ns = scope_now_ns(self);
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &refiner->jobs[i];
                if (job->stage == RESTING && now_ns >= job->rest_until_ns)
                        job->stage = WAITING;
                if (job->stage != FREE && now_ns >= job->deadline_ns)
                        out_of_time(self, refiner, job);
        }
        start_probe(self, refiner);
        start_calls(self, refiner);
        closed_for_now(self, refiner);
        set_timer(self, refiner, next_due(self, refiner));
        scope_idle_cause(self, scope_idle_words[idle_because(refiner)]);
        tell_spent(self, refiner);
}

/* --- messages --------------------------------------------------------------------------------- */

static struct job *free_job(struct refiner *refiner)
{
        for (uint32_t i = 0; i < REQUESTS_MAX; i++)
                if (refiner->jobs[i].stage == FREE)
                        return &refiner->jobs[i];
        return NULL;
}

static void take_request(
        struct scope_actor *self, struct refiner *refiner, struct scope_message **message)
{
        struct scope_refine_request request;
        uint64_t now_ns = scope_now_ns(self);
        uint64_t longest = (uint64_t)refiner->stages->options->teacher.deadline;
        struct job *job = free_job(refiner);
        enum scope_err err = scope_message_read_refine_request(
                self, *message, &refiner->stages->limits, &request);
        if (err == SCOPE_OK && job == NULL)
                err = SCOPE_ERR_AGAIN;
        if (err != SCOPE_OK) {
                scope_reply_error(self, *message, err);
                return;
        }
        job->to = scope_reply_later(*message);
        job->held = *message;
        *message = NULL;
        job->request = request; /* text only: it lies in the message, not in scratch memory */
        job->stage = WAITING;
        job->order = ++refiner->order;
        job->arrived_ns = now_ns;
        job->deadline_ns = now_ns + (request.timeout_ns < longest ? request.timeout_ns : longest);
        if (job->to.deadline_ns != 0 && job->to.deadline_ns < job->deadline_ns)
                job->deadline_ns = job->to.deadline_ns;
        if (scope_draining(self))
                answer(self, refiner, job, SCOPE_REFINE_SKIPPED, NULL);
        advance(self, refiner);
}

static struct job *job_of(struct refiner *refiner, uint64_t tag)
{
        struct job *job = &refiner->jobs[tag & 0xffff];
        scope_assert((tag & 0xffff) < JOBS_MAX);
        return job->stage == CALLING && job->life == tag >> 16 ? job : NULL;
}

static void data_came(
        struct scope_actor *self, struct refiner *refiner, const struct scope_message *message)
{
        static const struct scope_http_result nothing = { .retry_after_ns = -1 };
        struct job *job = job_of(refiner, message->tag);
        if (job == NULL ||
                scope_teacher_reply_feed(&job->reply, message->payload, message->bytes) == SCOPE_OK)
                return;
        scope_http_cancel(self, job->http); /* larger than any answer: no need for the rest */
        call_failed(self, refiner, job, SCOPE_CALL_MALFORMED, &nothing);
}

/* What status line and body say together. */
static enum scope_call_end judge(
        struct job *job, enum scope_err err, const struct scope_http_result *result)
{
        enum scope_call_end end = scope_call_judge(err, result->status);
        scope_teacher_reply_end(&job->reply, err == SCOPE_OK);
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

static void call_done(
        struct scope_actor *self, struct refiner *refiner, const struct scope_message *message)
{
        struct job *job = job_of(refiner, message->tag);
        struct scope_http_result result;
        struct suffix suffix = { .count = 0 };
        if (job == NULL)
                return;
        scope_assert(message->bytes == sizeof result);
        memcpy(&result, message->payload, sizeof result);
        job->http = 0;
        enum scope_call_end end = judge(job, message->err, &result);
        job->tokens_in += job->reply.tokens_in;
        job->tokens_out += job->reply.tokens_out;
        refiner->report.tokens_in += job->reply.tokens_in;
        refiner->report.tokens_out += job->reply.tokens_out;
        if (end != SCOPE_CALL_OK) {
                call_failed(self, refiner, job, end, &result);
                return;
        }
        struct scope_string content = { job->reply.content.bytes != NULL ? job->reply.content.bytes
                                                                         : "",
                (uint32_t)job->reply.content.count };
        enum scope_refine_verdict verdict = SCOPE_REFINE_TOO_LONG;
        if (job->reply.kind == SCOPE_REPLY_WHOLE && !job->probe)
                verdict = check(self, refiner, job, content, &suffix);
        call_answered(self, refiner, job, verdict, &suffix);
}

static void refiner_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct refiner *refiner = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                /* Groups may still believe what an earlier life said. */
                refiner->report.told_down = scope_self(self).incarnation > 1;
                scope_teacher_report_state(self, &refiner->report, true);
                break;
        case SCOPE_KIND_REFINE:
                take_request(self, refiner, &message);
                break;
        case SCOPE_KIND_HTTP_DATA:
                data_came(self, refiner, message);
                break;
        case SCOPE_KIND_HTTP_DONE:
                call_done(self, refiner, message);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &refiner->report.outbox, message))
                        refiner->timer_due_ns = NEVER;
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
        (void)self;
        refiner->stages = refiner->report.stages = stages;
        refiner->timer_due_ns = NEVER;
        scope_gate_init(&refiner->gate,
                &(struct scope_gate_options){ .concurrency = (uint32_t)teacher->concurrency,
                        .failures_max = (uint32_t)teacher->circuit_failures,
                        .calls_max = (uint64_t)teacher->calls_max,
                        .reset_ns = (uint64_t)teacher->circuit_reset,
                        .backoff_ns = (uint64_t)teacher->backoff,
                        .retry_after_max_ns = (uint64_t)teacher->retry_after_max });
        size_t bytes = strlen(teacher->url);
        while (bytes > 0 && teacher->url[bytes - 1] == '/')
                bytes--;
        scope_text_add(&refiner->url, teacher->url, bytes);
        scope_text_string(&refiner->url, "/chat/completions");
        refiner->jobs = calloc(JOBS_MAX, sizeof *refiner->jobs);
        if (refiner->jobs == NULL || refiner->url.failed)
                return SCOPE_ERR_MEMORY;
        for (uint32_t i = 0; i < JOBS_MAX; i++)
                refiner->jobs[i].index = i;
        return SCOPE_OK;
}

/* What is being repaired now would never be trained: everybody is answered at once. */
static void refiner_drain(struct scope_actor *self, void *state)
{
        struct refiner *refiner = state;
        for (uint32_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &refiner->jobs[i];
                if (job->stage == CALLING) {
                        scope_http_cancel(self, job->http);
                        scope_gate_cancel(&refiner->gate, scope_now_ns(self), job->probe);
                }
                if (job->probe)
                        release(job);
                else if (job->stage != FREE)
                        answer(self, refiner, job, last_word(job), NULL);
        }
        set_timer(self, refiner, NEVER);
}

static bool refiner_idle(const void *state)
{
        const struct refiner *refiner = state;
        for (uint32_t i = 0; i < JOBS_MAX; i++)
                if (refiner->jobs[i].stage != FREE)
                        return false;
        return refiner->report.outbox.count == 0;
}

static void refiner_fini(struct scope_actor *self, void *state)
{
        struct refiner *refiner = state;
        (void)self;
        for (uint32_t i = 0; i < JOBS_MAX && refiner->jobs != NULL; i++)
                release(&refiner->jobs[i]);
        free(refiner->jobs);
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
