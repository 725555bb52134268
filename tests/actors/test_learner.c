/* A learner with a real trainer of the tiny model; queue, groups, weights, evaluator and recorder
 * are scripted. What it publishes is compared with the same steps made by hand. */
#include "tests/actors/world.h"

#include "algorithm/advantage.h"
#include "algorithm/correction.h"
#include "algorithm/objective.h"
#include "base/buffer.h"
#include "base/rng.h"
#include "models/comm.h"
#include "models/engine.h"
#include "models/tokenizer_tiny.h"
#include "models/trainer.h"

extern const struct scope_actor_class scope_learner_class;

enum { BATCH = 2, SAMPLES = 3, ROWS = BATCH * SAMPLES, STEPS_MAX = 4, LONG = 128 };
#define SIZES "[rollout]\nprompts_per_step = 2\ngroup_size = 3\n[eval]\nevery = 0\n"
#define LEARN "[learner]\nranks = 1\nmicrobatch_tokens = 1024\nlr = 1e-3\n"
/* The behaviour log-probabilities are made up: no correction by them. */
#define LOSS "[loss]\ntis = \"off\"\nseq_mask = \"off\"\n"

struct model {
        struct scope_layout *layout;
        struct scope_comm *comm;
        struct scope_trainer *trainer;
};
struct seen {
        struct model actor;
        uint32_t groups, crash_after, trained, saves, finished;
        uint64_t saved[STEPS_MAX + 1], asked[STEPS_MAX + 1];
        uint32_t evaluations;
        struct scope_buffer *published[STEPS_MAX + 1]; /* by version */
        double lr[STEPS_MAX + 1], kl[STEPS_MAX + 1];
        bool hashes_hold, has_kl;
};

/* --- what it learns from ---------------------------------------------------------------------- */

static const char *const texts[] = { "1+6=7\n\n\\boxed{7}", "1+6=8\n\n\\boxed{8}",
        "1+6=\\boxed{9}" };

static void sample(
        const struct station *station, uint64_t group, uint32_t index, struct station_sample *ret)
{
        station_sample(station, group, index, texts[(group + index) % 3], group / BATCH, ret);
        ret->trajectory.graded = true;
        ret->trajectory.reward = (group + index) % 3 == 0 ? 1 : 0;
}

static void hand_over(struct scope_actor *peer, struct station *station, uint64_t id)
{
        struct station_sample samples[SAMPLES];
        struct scope_trajectory rows[SAMPLES];
        struct scope_message *message = NULL;
        for (uint32_t i = 0; i < SAMPLES; i++) {
                sample(station, id, i, &samples[i]);
                rows[i] = samples[i].trajectory;
        }
        struct scope_group group = { .group = id,
                .version_oldest = station->progress.step,
                .repaired = SCOPE_NO_PARENT,
                .trajectories = rows,
                .trajectory_count = SAMPLES };
        assert_ok(scope_ledger_admit(station->ledger, id));
        assert_ok(scope_ledger_set(station->ledger, id, SCOPE_SLOT_QUEUED, 1, NULL));
        assert_ok(scope_ledger_set(station->ledger, id, SCOPE_SLOT_CLAIMED, 1, NULL));
        assert_ok(
                scope_message_of_group(peer, SCOPE_KIND_BATCH, SCOPE_LANE_DATA, &group, &message));
        station_tell(peer, station, message);
}

/* --- the peers -------------------------------------------------------------------------------- */

static void pulled(
        struct scope_actor *peer, struct station *station, const struct scope_message *message)
{
        struct seen *seen = station->test;
        struct scope_control control;
        assert_ok(scope_message_read_control(peer, message, &station->stages.limits, &control));
        assert_int_equal(control.version, station->progress.step);
        for (uint64_t i = 0; i < control.value; i++) {
                hand_over(peer, station, seen->groups++);
                if (seen->crash_after > 0 && seen->groups == seen->crash_after) {
                        station_timer(peer, 0, REFINER_MS(1)); /* one group is waiting then */
                        return;
                }
        }
}

static void published(
        struct scope_actor *peer, struct station *station, struct scope_message *message)
{
        struct seen *seen = station->test;
        struct scope_weights weights;
        assert_ok(scope_message_read_weights(peer, message, &station->stages.limits, &weights));
        const uint8_t *bytes = scope_buffer_data(message->attachment);
        size_t count = scope_buffer_bytes(message->attachment);
        assert_true(weights.version <= STEPS_MAX && weights.version == station->progress.step);
        assert_int_equal(weights.layout_hash, seen->actor.layout->hash);
        assert_int_equal(weights.bytes, count);
        for (size_t at = 0, i = 0; at < count; at += 1 << 20, i++) {
                size_t left = count - at;
                assert_true(i < weights.chunk_count);
                seen->hashes_hold = scope_hash_words(bytes + at, left < 1 << 20 ? left : 1 << 20) ==
                                    weights.chunk_hashes[i];
        }
        scope_buffer_drop(seen->published[weights.version]);
        seen->published[weights.version] = scope_buffer_keep(message->attachment);
        scope_reply_taken(peer, message);
}

static void stepped(
        struct scope_actor *peer, struct station *station, const struct scope_message *message)
{
        struct seen *seen = station->test;
        struct scope_control control;
        assert_ok(scope_message_read_control(peer, message, &station->stages.limits, &control));
        for (uint32_t i = 0; i < control.metric_count; i++) {
                const struct scope_metric *metric = &control.metrics[i];
                if (memcmp(metric->name.at, "optim/lr", 8) == 0)
                        seen->lr[control.step] = metric->value;
                if (memcmp(metric->name.at, "kl/ref", 6) == 0) {
                        seen->kl[control.step] = metric->value;
                        seen->has_kl = true;
                }
        }
}

static void evaluate(
        struct scope_actor *peer, struct station *station, struct scope_message *message)
{
        struct seen *seen = station->test;
        struct scope_control control = { .step = station->progress.step };
        struct scope_message *answer = NULL;
        seen->asked[seen->evaluations++] = station->progress.step;
        assert_ok(scope_message_of_control(
                peer, SCOPE_KIND_EVALUATED, SCOPE_LANE_CONTROL, &control, &answer));
        scope_reply(peer, message, &answer);
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        switch ((*message)->kind) {
        case SCOPE_KIND_PULL:
                pulled(peer, station, *message);
                break;
        case SCOPE_KIND_WEIGHTS:
                published(peer, station, *message);
                break;
        case SCOPE_KIND_STEP:
                stepped(peer, station, *message);
                break;
        case SCOPE_KIND_EVALUATE:
                evaluate(peer, station, *message);
                break;
        case SCOPE_KIND_FINISHED:
                if (((*message)->flags & SCOPE_MESSAGE_REQUEST) != 0)
                        scope_reply_taken(peer, *message);
                break;
        case SCOPE_KIND_TIMER:
                station_crash(peer, station);
                break;
        default:
                break;
        }
}

/* Terminal and version change in one turn: whoever sees one sees the other. */
static void audited(void *context, const struct scope_audit *event)
{
        struct station *station = context;
        struct seen *seen = station->test;
        if (event->kind == SCOPE_AUDIT_TRAINED)
                assert_int_equal(event->value + 1, station->progress.step);
        if (event->kind == SCOPE_AUDIT_ENDED && event->value == SCOPE_TRAINED) {
                assert_false(scope_ledger_live(station->ledger, event->group));
                assert_int_equal(seen->trained++ / BATCH + 1, station->progress.step);
        }
}

static enum scope_err save(void *context, const struct scope_checkpoint_state *state)
{
        struct seen *seen = context;
        assert_int_equal(state->group_cursor, state->step * BATCH + (seen->crash_after > 0));
        seen->saved[seen->saves++] = state->step;
        return SCOPE_OK;
}

/* --- models ----------------------------------------------------------------------------------- */

static void model_init(struct model *model, const struct scope_pipeline_options *options)
{
        struct scope_model_config config = scope_model_config_tiny();
        const struct scope_learner_options *learner = &options->learner;
        config.layers = 1;
        assert_ok(scope_layout_create(&config, &model->layout));
        assert_ok(scope_comm_one_create(&model->comm));
        struct scope_trainer_options trainer = { .layout = model->layout,
                .comm = model->comm,
                .context_max = LONG,
                .microbatch_tokens = (uint32_t)learner->microbatch_tokens,
                .lr = (float)learner->lr,
                .beta1 = (float)learner->beta1,
                .beta2 = (float)learner->beta2,
                .eps = (float)learner->eps,
                .weight_decay = (float)learner->weight_decay,
                .grad_clip = (float)learner->grad_clip };
        assert_ok(scope_trainer_create(&trainer, &model->trainer));
        scope_layout_randomise(model->layout, 31, scope_trainer_parameters(model->trainer));
}

static void model_fini(struct model *model)
{
        scope_trainer_destroy(model->trainer);
        scope_comm_destroy(model->comm);
        scope_layout_destroy(model->layout);
}

static void run(const char *toml, struct seen *seen, struct scope_engine *reference)
{
        struct station station = { .class_ = &scope_learner_class,
                .hear = hear,
                .test = seen,
                .stay_ns = REFINER_MS(9000) };
        struct scope_resources *resources = &station.stages.resources;
        station_init(&station, toml);
        model_init(&seen->actor, &station.options);
        station.stages.audit = audited;
        resources->layout = seen->actor.layout;
        resources->trainer = seen->actor.trainer;
        resources->reference = reference;
        resources->checkpoint = save;
        resources->checkpoint_context = seen;
        if (station.options.eval.every > 0)
                resources->evaluator = (struct scope_engine *)seen; /* that there is one */
        station_run(&station, "learner");
        seen->finished = station_heard(&station, SCOPE_KIND_FINISHED);
        assert_true(seen->hashes_hold);
        station_fini(&station);
}

static void seen_fini(struct seen *seen)
{
        for (uint32_t i = 0; i <= STEPS_MAX; i++)
                scope_buffer_drop(seen->published[i]);
        model_fini(&seen->actor);
        *seen = (struct seen){ .groups = 0 };
}

/* --- the same by hand ------------------------------------------------------------------------- */

struct hand_row {
        struct station_sample sample;
        uint32_t tokens[LONG];
        float logp[LONG], entropy[LONG], coef[LONG], anchor[LONG], weight[LONG];
        float advantage;
        double scale;
};

static void coefficients(
        const struct scope_loss_options *loss, struct hand_row *detail, struct scope_row *row)
{
        const struct scope_trajectory *trajectory = &detail->sample.trajectory;
        struct scope_correction_sums correction = { 0 };
        struct scope_objective_sums sums = { 0 };
        struct scope_correction_row from = { .logp_behaviour = trajectory->logp,
                .logp_train = detail->anchor,
                .segments = trajectory->segments,
                .segment_count = 1,
                .count = trajectory->token_count };
        scope_correction_weights(&loss->correction, &from, detail->weight, &correction);
        struct scope_objective_row objective = { .logp = detail->logp + row->first,
                .entropy = detail->entropy + row->first,
                .logp_anchor = detail->anchor,
                .weight = detail->weight,
                .segments = trajectory->segments,
                .segment_count = 1,
                .count = trajectory->token_count,
                .advantage = detail->advantage,
                .scale = detail->scale };
        row->entropy_coef = scope_objective_coefficients(
                &loss->objective, &objective, detail->coef + row->first, &sums);
}

static void keep_anchor(struct hand_row *detail, const struct scope_row *row)
{
        memcpy(detail->anchor, detail->logp + row->first,
                (row->count - row->first) * sizeof *detail->anchor);
}

static void by_hand(const struct station *station, struct model *model, uint64_t first, float lr)
{
        static struct hand_row details[ROWS];
        const struct scope_loss_options *loss = &station->options.loss;
        uint32_t mini = (uint32_t)station->options.learner.minibatch_prompts * SAMPLES;
        struct scope_row rows[ROWS];
        uint32_t size = mini != 0 ? mini : ROWS;
        int64_t passes = station->options.learner.passes;
        float norm;
        for (uint32_t i = 0; i < ROWS; i++) {
                struct hand_row *detail = &details[i];
                sample(station, first + i / SAMPLES, i % SAMPLES, &detail->sample);
                const struct scope_trajectory *trajectory = &detail->sample.trajectory;
                uint32_t prompt = trajectory->prompt_count;
                memcpy(detail->tokens, trajectory->prompt, prompt * 4);
                memcpy(detail->tokens + prompt, trajectory->tokens, trajectory->token_count * 4);
                rows[i] = (struct scope_row){ .tokens = detail->tokens,
                        .count = prompt + trajectory->token_count,
                        .first = prompt,
                        .temperature = 1,
                        .logp = detail->logp,
                        .entropy = detail->entropy,
                        .coef = detail->coef };
        }
        for (uint32_t g = 0; g < BATCH; g++) {
                float rewards[SAMPLES], advantages[SAMPLES];
                for (uint32_t i = 0; i < SAMPLES; i++)
                        rewards[i] = details[g * SAMPLES + i].sample.trajectory.reward;
                scope_advantage_group(&loss->advantage, rewards, NULL, NULL, SAMPLES, advantages);
                for (uint32_t i = 0; i < SAMPLES; i++)
                        details[g * SAMPLES + i].advantage = advantages[i];
        }
        bool proximal = size < ROWS || passes > 1;
        if (proximal) {
                assert_ok(scope_trainer_forward(model->trainer, 0, rows, ROWS));
                for (uint32_t i = 0; i < ROWS; i++)
                        keep_anchor(&details[i], &rows[i]);
        }
        for (uint32_t at = 0; at < (uint32_t)passes * ROWS; at += size) {
                uint32_t begin = at % ROWS, counts[ROWS];
                double scales[ROWS];
                for (uint32_t i = 0; i < size; i++)
                        counts[i] = details[begin + i].sample.trajectory.token_count;
                scope_objective_scales(&loss->objective, counts, size, scales);
                scope_trainer_zero(model->trainer, 0);
                assert_ok(scope_trainer_forward(model->trainer, 0, rows + begin, size));
                for (uint32_t i = 0; i < size; i++) {
                        details[begin + i].scale = scales[i];
                        if (!proximal)
                                keep_anchor(&details[begin + i], &rows[begin + i]);
                        coefficients(loss, &details[begin + i], &rows[begin + i]);
                }
                assert_ok(scope_trainer_backward(model->trainer, 0, rows + begin, size));
                assert_ok(scope_trainer_step(model->trainer, 0, lr, &norm));
        }
}

static const struct {
        const char *toml;
        uint32_t steps;
        float lr[STEPS_MAX];
} steps[] = {
        { SIZES LOSS LEARN "[run]\nsteps = 1\n", 1, { 1e-3f } },
        { SIZES LOSS LEARN "[run]\nsteps = 2\n", 2, { 1e-3f, 1e-3f } },
        { SIZES LOSS LEARN "minibatch_prompts = 1\n[run]\nsteps = 2\n", 2, { 1e-3f, 1e-3f } },
        { SIZES LOSS LEARN "passes = 3\n[run]\nsteps = 1\n", 1, { 1e-3f } },
        { SIZES LOSS LEARN "warmup = 3\n[run]\nsteps = 4\n", 4,
                { 1e-3f / 3, 2e-3f / 3, 1e-3f, 1e-3f } },
        { SIZES LOSS "entropy_coef = 0.01\n" LEARN "weight_decay = 0.5\n[run]\nsteps = 1\n", 1,
                { 1e-3f } },
};

static void test_published_weights_are_those_of_steps_by_hand(void **state)
{
        (void)state;
        static struct seen seen;
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                struct station station = { .class_ = NULL };
                struct model model;
                print_message("# script %zu\n", i);
                run(steps[i].toml, &seen, NULL);
                station_init(&station, steps[i].toml);
                model_init(&model, &station.options);
                for (uint32_t step = 0; step <= steps[i].steps; step++) {
                        const float *hand = scope_trainer_parameters(model.trainer);
                        assert_non_null(seen.published[step]);
                        const float *actor = scope_buffer_data(seen.published[step]);
                        for (size_t at = 0; at < model.layout->float_count; at++)
                                assert_close(actor[at], hand[at], 1e-6);
                        if (step == steps[i].steps)
                                break;
                        assert_close(seen.lr[step + 1], steps[i].lr[step], 1e-9);
                        by_hand(&station, &model, (uint64_t)step * BATCH, steps[i].lr[step]);
                }
                assert_int_equal(seen.trained, steps[i].steps * BATCH);
                assert_int_equal(seen.finished, 2); /* groups and the recorder */
                station_fini(&station);
                model_fini(&model);
                seen_fini(&seen);
        }
}

static void test_kl_beta_pulls_towards_the_reference(void **state)
{
        (void)state;
        static struct seen plain, pulled_back;
        struct scope_engine *reference = NULL;
        struct scope_buffer *weights = NULL;
        run(SIZES LOSS LEARN "[run]\nsteps = 1\n", &plain, NULL);
        struct scope_engine_options options = {
                .layout = plain.actor.layout, .slots = 4, .context_max = LONG, .cores = 1
        };
        size_t bytes = plain.actor.layout->float_count * sizeof(float);
        assert_ok(scope_engine_native_create(&options, &reference));
        assert_ok(scope_buffer_create(bytes, &weights));
        scope_layout_randomise(plain.actor.layout, 77, scope_buffer_data(weights));
        assert_ok(reference->class_->publish(reference, weights, 0, false));
        scope_buffer_drop(weights);
        run(SIZES LOSS "kl_beta = 0.5\n" LEARN "[run]\nsteps = 1\n", &pulled_back, reference);
        assert_false(plain.has_kl);
        assert_true(pulled_back.has_kl && pulled_back.kl[1] > 0.01);
        assert_memory_not_equal(scope_buffer_data(plain.published[1]),
                scope_buffer_data(pulled_back.published[1]), bytes);
        scope_engine_destroy(reference);
        seen_fini(&plain);
        seen_fini(&pulled_back);
}

static void test_checkpoints_and_evaluations_come_when_due(void **state)
{
        (void)state;
        static struct seen seen;
        static const uint64_t saved[] = { 2, 3 }, asked[] = { 0, 2, 3 }; /* and at the last step */
        run("[run]\nsteps = 3\n[checkpoint]\nevery = 2\n" LOSS LEARN
            "[rollout]\nprompts_per_step = 2\ngroup_size = 3\n[eval]\nevery = 2\n",
                &seen, NULL);
        assert_int_equal(seen.saves, 2);
        assert_memory_equal(seen.saved, saved, sizeof saved);
        assert_int_equal(seen.evaluations, 3);
        assert_memory_equal(seen.asked, asked, sizeof asked);
        seen_fini(&seen);
}

static void test_a_new_life_fails_what_it_held_and_goes_on(void **state)
{
        (void)state;
        static struct seen seen;
        seen.crash_after = 3; /* one step, and one group of the second */
        run(SIZES LOSS LEARN "[run]\nsteps = 2\n", &seen, NULL);
        assert_int_equal(seen.trained, 2 * BATCH);
        assert_int_equal(seen.groups, 2 * BATCH + 1);
        assert_non_null(seen.published[2]);
        seen_fini(&seen);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_published_weights_are_those_of_steps_by_hand),
                cmocka_unit_test(test_kl_beta_pulls_towards_the_reference),
                cmocka_unit_test(test_checkpoints_and_evaluations_come_when_due),
                cmocka_unit_test(test_a_new_life_fails_what_it_held_and_goes_on),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
