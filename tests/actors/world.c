#include "tests/actors/world.h"

#include "base/text.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "tasks/chain.h"

extern const struct scope_actor_class scope_refiner_class;

/* Problem i and its solution; the tests' script solves the same ones. */
void world_problem(uint32_t index, struct scope_text *ret_problem, struct scope_text *ret_solution,
        struct scope_text *ret_gold)
{
        struct scope_chain_options options;
        struct scope_chain chain;
        assert_ok(scope_chain_options_parse("builtin:chain?level=easy&seed=7", &options, NULL));
        scope_chain_make(&options, index, &chain);
        scope_chain_write_problem(&chain, ret_problem);
        scope_chain_write_solution(&chain, ret_solution);
        scope_chain_write_answer(&chain, ret_gold);
}

double world_gauge(const struct world *world, const char *name)
{
        for (uint32_t i = 0; i < world->gauge_count; i++)
                if (strcmp(world->gauges[i], name) == 0)
                        return world->values[i];
        fail_msg("no gauge %s", name);
        return 0;
}

struct world_peer {
        struct world *world;
        struct scope_outbox outbox;
        uint64_t began_ns;
        uint32_t asked;
};

static void world_ask(struct scope_actor *self, struct world_peer *peer, uint32_t index)
{
        struct asked *asked = &peer->world->asked[index];
        struct scope_text problem = { 0 }, solution = { 0 }, gold = { 0 };
        struct scope_message *message = NULL;
        world_problem(index, &problem, &solution, &gold);
        const char *end = solution.bytes;
        for (uint32_t k = 0; k < asked->kept; k++)
                end = strstr(end, "\n\n") + 2;
        struct scope_refine_request request = { .group = index,
                .sample = 1,
                .problem = { problem.bytes, (uint32_t)problem.count },
                .gold = { gold.bytes, (uint32_t)gold.count },
                .prefix = { solution.bytes, (uint32_t)(end - solution.bytes) },
                .kept_steps = asked->kept,
                .suffix_max = asked->suffix_max,
                .timeout_ns = asked->timeout_ns };
        assert_ok(scope_message_of_refine_request(
                self, SCOPE_KIND_REFINE, SCOPE_LANE_DATA, &request, &message));
        message->tag = index;
        asked->took_ns = scope_now_ns(self);
        scope_outbox_request(self, &peer->outbox, peer->world->stages.refiner, &message,
                asked->timeout_ns + REFINER_MS(1000), "the refiner");
        scope_text_fini(&problem);
        scope_text_fini(&solution);
        scope_text_fini(&gold);
}

static void world_answer(
        struct scope_actor *self, struct world *world, const struct scope_message *message)
{
        struct asked *asked = &world->asked[message->tag];
        struct scope_refine_answer answer;
        assert_false(asked->answered); /* exactly one */
        asked->answered = true;
        asked->took_ns = scope_now_ns(self) - asked->took_ns;
        world->answered++;
        asked->error = message->kind == SCOPE_KIND_ERROR;
        asked->err = message->err;
        if (asked->error)
                return;
        assert_ok(scope_message_read_refine_answer(self, message, &world->stages.limits, &answer));
        assert_int_equal(answer.group, message->tag);
        assert_int_equal(answer.sample, 1);
        asked->verdict = answer.verdict;
        asked->calls = answer.calls;
        asked->token_count = answer.token_count;
        asked->last_token = answer.token_count > 0 ? answer.tokens[answer.token_count - 1] : 0;
        (void)snprintf(
                asked->text, sizeof asked->text, "%.*s", (int)answer.text.bytes, answer.text.at);
}

static void world_told(
        struct scope_actor *self, struct world *world, const struct scope_message *message)
{
        struct scope_control control;
        assert_ok(scope_message_read_control(self, message, &world->stages.limits, &control));
        if (message->kind == SCOPE_KIND_TEACHER) {
                assert_true(world->states < 64);
                world->up_ns[world->states] = scope_now_ns(self);
                world->up[world->states++] = control.value == 1;
                return;
        }
        assert_true(control.metric_count <= 48);
        for (uint32_t i = 0; i < control.metric_count; i++) {
                (void)snprintf(world->gauges[i], sizeof world->gauges[i], "%.*s",
                        (int)control.metrics[i].name.bytes, control.metrics[i].name.at);
                world->values[i] = control.metrics[i].value;
                world->gauge_count = control.metric_count;
        }
        if (control.text.bytes > 0) {
                size_t used = strlen(world->words);
                world->events++;
                (void)snprintf(world->words + used, sizeof world->words - used, "%.*s\n",
                        (int)control.text.bytes, control.text.at);
        }
}

/* Asks what is due, then waits for the next or for the end. */
static void world_go_on(struct scope_actor *self, struct world_peer *peer)
{
        struct world *world = peer->world;
        uint64_t timer, past_ns = scope_now_ns(self) - peer->began_ns;
        while (peer->asked < world->count && world->asked[peer->asked].at_ns <= past_ns)
                world_ask(self, peer, peer->asked++);
        if (peer->asked < world->count)
                assert_ok(scope_timer_start(
                        self, 1, world->asked[peer->asked].at_ns - past_ns, &timer));
        else if (past_ns < world->stay_ns)
                assert_ok(scope_timer_start(self, 1, world->stay_ns - past_ns, &timer));
        else if (world->answered == world->count)
                scope_system_drain(world->system, REFINER_MS(60000));
}

static enum scope_err world_peer_init(struct scope_actor *self, void *state, void *args)
{
        ((struct world_peer *)state)->world = args;
        ((struct world_peer *)state)->began_ns = scope_now_ns(self);
        return SCOPE_OK;
}

static void world_peer_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct world_peer *peer = state;
        switch (message->kind) {
        case SCOPE_KIND_START:
                peer->began_ns = scope_now_ns(self);
                world_go_on(self, peer);
                break;
        case SCOPE_KIND_TIMER:
                if (!scope_outbox_timer(self, &peer->outbox, message))
                        world_go_on(self, peer);
                break;
        case SCOPE_KIND_REFINED:
        case SCOPE_KIND_ERROR:
                world_answer(self, peer->world, message);
                if (peer->world->answered == peer->world->count)
                        world_go_on(self, peer);
                break;
        case SCOPE_KIND_NOTE:
        case SCOPE_KIND_TEACHER:
                world_told(self, peer->world, message);
                break;
        default:
                fail_msg("message kind %u", message->kind);
        }
        scope_message_free(message);
}

static void world_peer_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_outbox_fini(&((struct world_peer *)state)->outbox);
}

static const struct scope_actor_class world_peer_class = { .name = "peer",
        .state_bytes = sizeof(struct world_peer),
        .scratch_bytes = 1 << 20,
        .init = world_peer_init,
        .receive = world_peer_receive,
        .fini = world_peer_fini };

static void world_notice(void *context, const struct scope_notice *notice)
{
        (void)context;
        assert_null(strstr(notice->text, REFINER_KEY));
}

/* Sensible options, and `count` requests at time 0. */
void world_init(struct world *world, uint32_t count)
{
        struct scope_teacher_options *teacher = &world->options.teacher;
        *world = (struct world){ .count = count };
        (void)snprintf(teacher->url, sizeof teacher->url, "http://127.0.0.1:1/v1/");
        (void)snprintf(teacher->model, sizeof teacher->model, "solver");
        teacher->leak_filter = true;
        teacher->concurrency = 4;
        teacher->max_retries = 2;
        teacher->retry_temperature = 0.625;
        teacher->deadline = (int64_t)REFINER_MS(10000);
        teacher->connect_timeout = (int64_t)REFINER_MS(1000);
        teacher->idle_timeout = (int64_t)REFINER_MS(5000);
        teacher->backoff = (int64_t)REFINER_MS(100);
        teacher->retry_after_max = (int64_t)REFINER_MS(5000);
        teacher->circuit_failures = 5;
        teacher->circuit_reset = (int64_t)REFINER_MS(3000);
        teacher->response_max = 1 << 20;
        world->layout.config.eos[0] = EOS;
        world->layout.config.eos_count = 1;
        assert_ok(scope_tokenizer_tiny_create(&world->tokenizer));
        world->stages.options = &world->options;
        world->stages.limits.version_newest = UINT64_MAX;
        world->stages.resources.layout = &world->layout;
        world->stages.resources.tokenizer = world->tokenizer;
        world->stages.resources.teacher_key = REFINER_KEY;
        for (uint32_t i = 0; i < count; i++)
                world->asked[i] = (struct asked){
                        .timeout_ns = REFINER_MS(20000), .kept = i % 3, .suffix_max = 200
                };
}

struct scope_system_options world_options(struct world *world, uint64_t seed)
{
        return (struct scope_system_options){ .seed = seed,
                .loops = 1,
                .compute_threads = 1,
                .restarts_max = 3,
                .restart_window_ns = REFINER_MS(60000),
                .wait_report_ns = REFINER_MS(10000),
                .notice = world_notice,
                .notice_context = world };
}

void world_add(struct world *world)
{
        struct scope_actor_options peer = {
                .name = "peer", .class_ = &world_peer_class, .args = world, .essential = true
        };
        struct scope_actor_options refiner = { .name = "refiner",
                .class_ = &scope_refiner_class,
                .args = &world->stages,
                .essential = true };
        assert_ok(scope_system_add(world->system, &peer, &world->stages.groups));
        assert_ok(scope_system_add(world->system, &refiner, &world->stages.refiner));
        world->stages.groups.incarnation = world->stages.refiner.incarnation = 0;
        world->stages.recorder = world->stages.groups;
}

void world_fini(struct world *world)
{
        assert_null(strstr(world->words, REFINER_KEY));
        scope_system_destroy(world->system);
        scope_tokenizer_destroy(world->tokenizer);
}
