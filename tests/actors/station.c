#include "tests/actors/world.h"

#include "actors/pipeline.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "runtime/simulation.h"
#include "tests/algorithm/defaults.h"
#include "tests/cli/load_options.h"

enum { CRASH = SCOPE_KIND_PIPELINE_END + 1 };
static const uint64_t END = UINT64_MAX;
static const struct scope_actor_class *real; /* the subject's; simulations have one thread */

/* --- the peer --------------------------------------------------------------------------------- */

static enum scope_err peer_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        *(struct station **)state = args;
        return SCOPE_OK;
}

static void peer_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct station *station = *(struct station **)state;
        bool timer = message->kind == SCOPE_KIND_TIMER;
        if (message->kind == SCOPE_KIND_START) {
                station_timer(self, END, station->stay_ns);
                if (station->begin != NULL)
                        station->begin(self, station);
        } else if (timer && message->tag == END) {
                scope_system_drain(station->system, REFINER_MS(600000));
        } else if (!timer || !scope_outbox_timer(self, &station->outbox, message)) {
                if (message->kind >= SCOPE_KIND_USER && message->kind < SCOPE_KIND_PIPELINE_END)
                        station->heard[message->kind - SCOPE_KIND_USER]++;
                station->hear(self, station, &message);
        }
        scope_message_free(message);
}

static void peer_fini(struct scope_actor *self, void *state)
{
        (void)self;
        scope_outbox_fini(&(*(struct station **)state)->outbox);
}

static const struct scope_actor_class peer_class = { .name = "peer",
        .state_bytes = sizeof(struct station *),
        .scratch_bytes = 4 << 20,
        .init = peer_init,
        .receive = peer_receive,
        .fini = peer_fini };

static void subject_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        if (message->kind != CRASH) {
                real->receive(self, state, message);
                return;
        }
        scope_fail(self, SCOPE_ERR_INTERNAL, "as the test wants");
        scope_message_free(message);
}

static void noticed(void *context, const struct scope_notice *notice)
{
        (void)notice;
        ((struct station *)context)->notices++;
}

/* --- setup ------------------------------------------------------------------------------------ */

static void audited(void *context, const struct scope_audit *event)
{
        struct station *station = context;
        if (event->kind != SCOPE_AUDIT_ENDED)
                return;
        station->ended[event->value]++;
        station->detail[event->value] = event->version;
}

void station_init(struct station *station, const char *toml)
{
        struct scope_stages *stages = &station->stages;
        load_options(&station->options, toml, NULL, 0);
        station->stay_ns = station->stay_ns != 0 ? station->stay_ns : REFINER_MS(60000);
        assert_ok(scope_tokenizer_tiny_create(&station->tokenizer));
        assert_ok(scope_arena_init(&station->arena, 1 << 16));
        assert_ok(scope_length_window_init(&station->window, &station->arena, 64));
        stages->options = &station->options;
        stages->strategy = scope_strategy_find(station->options.pipeline.strategy);
        assert_non_null(stages->strategy);
        stages->admission = station->options.pipeline.admission;
        if (stages->strategy->eta >= 0)
                stages->admission.eta = stages->strategy->eta;
        stages->limits = (struct scope_codec_limits){ .version_newest = UINT64_MAX };
        stages->resources.tokenizer = station->tokenizer;
        stages->resources.progress = &station->progress;
        stages->resources.window = &station->window;
        stages->resources.rollout_count = 1;
        stages->audit = audited;
        stages->audit_context = station;
}

void station_run(struct station *station, const char *name)
{
        struct scope_system_options options = { .seed = 1 + station->seed,
                .loops = 1,
                .compute_threads = 1,
                .restarts_max = 3,
                .restart_window_ns = REFINER_MS(60000),
                .wait_report_ns = REFINER_MS(1000000),
                .notice = noticed,
                .notice_context = station };
        struct scope_sim_options sim = {
                .seed = 1 + station->seed,
                .faults = station->faults,
                .heal_ns = station->stay_ns,
                .stop_ns = REFINER_MS(9000000),
                .events_max = 1000000,
                .http = station->http,
                .context = station
        };
        struct scope_stages *stages = &station->stages;
        struct scope_actor_class *subject = &station->wrapped;
        struct scope_address peer;
        real = station->class_;
        *subject = *real;
        subject->receive = subject_receive;
        assert_ok(scope_simulation_create(&options, &sim, &station->system));
        station->ledger = scope_system_ledger(station->system);
        assert_ok(scope_system_add(station->system,
                &(struct scope_actor_options){
                        .name = name, .class_ = subject, .args = stages, .essential = true },
                &station->subject));
        assert_ok(scope_system_add(station->system,
                &(struct scope_actor_options){
                        .name = "peer", .class_ = &peer_class, .args = station, .essential = true },
                &peer));
        station->subject.incarnation = peer.incarnation = 0;
        stages->prompts = stages->rollout[0] = stages->rollout[1] = stages->reward = peer;
        stages->groups = stages->prm = stages->selector = stages->refiner = stages->queue = peer;
        stages->learner = stages->weights = stages->evaluator = stages->recorder = peer;
        if (scope_system_run(station->system) != SCOPE_OK)
                fail_msg("%s", scope_system_cause(station->system));
}

void station_fini(struct station *station)
{
        scope_system_destroy(station->system);
        scope_tokenizer_destroy(station->tokenizer);
        scope_arena_fini(&station->arena);
}

/* --- what a script says ----------------------------------------------------------------------- */

void station_tell(struct scope_actor *peer, struct station *station, struct scope_message *message)
{
        scope_outbox_send(peer, &station->outbox, station->subject, &message);
}

void station_ask(struct scope_actor *peer, struct station *station, struct scope_message *message,
        uint64_t tag)
{
        message->tag = tag;
        scope_outbox_request(peer, &station->outbox, station->subject, &message,
                REFINER_MS(1000000), "the station");
}

void station_control(struct scope_actor *peer, struct station *station, uint16_t kind,
        struct scope_control control)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_of_control(peer, kind, SCOPE_LANE_CONTROL, &control, &message));
        station_tell(peer, station, message);
}

void station_crash(struct scope_actor *peer, struct station *station)
{
        struct scope_message *message = NULL;
        assert_ok(scope_message_create(peer, CRASH, SCOPE_LANE_CONTROL, 0, &message));
        station_tell(peer, station, message);
}

void station_timer(struct scope_actor *peer, uint64_t tag, uint64_t after_ns)
{
        uint64_t timer;
        assert_ok(scope_timer_start(peer, tag, after_ns, &timer));
}

uint32_t station_heard(const struct station *station, uint16_t kind)
{
        return station->heard[kind - SCOPE_KIND_USER];
}

void station_sample(const struct station *station, uint64_t group, uint32_t sample,
        const char *text, uint64_t version, struct station_sample *ret)
{
        size_t prompt_count, count;
        assert_ok(scope_tokenizer_encode(
                station->tokenizer, "1+6=", 4, ret->prompt, 8, &prompt_count));
        assert_ok(scope_tokenizer_encode(
                station->tokenizer, text, strlen(text), ret->tokens, STATION_TOKENS - 1, &count));
        ret->tokens[count++] = SCOPE_TINY_EOS;
        for (size_t i = 0; i < count; i++)
                ret->logp[i] = -0.5f - (float)i / 64;
        ret->segment = (struct scope_segment){ 0, (uint32_t)count, SCOPE_SOURCE_POLICY,
                SCOPE_LOSS_POLICY, 1 };
        ret->span = (struct scope_version_span){ 0, (uint32_t)count, version, 1, 1 };
        ret->trajectory = (struct scope_trajectory){ .group = group,
                .sample = sample,
                .parent = SCOPE_NO_PARENT,
                .finish = SCOPE_FINISH_STOP,
                .prompt = ret->prompt,
                .prompt_count = (uint32_t)prompt_count,
                .tokens = ret->tokens,
                .logp = ret->logp,
                .token_count = (uint32_t)count,
                .segments = &ret->segment,
                .segment_count = 1,
                .spans = &ret->span,
                .span_count = 1,
                .text = string_from(text),
                .gold = string_from("7") };
}
