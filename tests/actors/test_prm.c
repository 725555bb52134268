/* The PRM's three back ends against what they stand for. */
#include "tests/actors/world.h"
#include "tests/models/byte_tokenizer.h"

#include <math.h>

#include "algorithm/equations.h"
#include "algorithm/localise.h"
#include "algorithm/steps.h"
#include "base/buffer.h"
#include "base/text.h"
#include "models/engine.h"
#include "models/prm_input.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"
#include "tasks/chain.h"

extern const struct scope_actor_class scope_prm_class;

enum { ITEMS = 3, TOKENS = 256, STEPS = 32, CONTEXT = 300 };

/* A problem and three answers to it: the solution, a wrong end, a wrong beginning. */
struct item {
        struct scope_text text;
        uint32_t tokens[TOKENS], step_ends[STEPS], step_token_ends[STEPS], bytes[TOKENS];
        struct scope_score_item item;
};
struct question {
        struct scope_text problem, gold;
        uint32_t prompt[TOKENS];
        size_t prompt_count;
        struct item items[ITEMS];
        struct scope_layout *layout;
        struct scope_engine *engine, *twin;
        float expected[ITEMS][STEPS];
        uint32_t answers, errors, recorded;
};

static void question_init(struct question *question, struct scope_tokenizer *tokenizer)
{
        for (uint32_t i = 0; i < ITEMS; i++) {
                struct item *item = &question->items[i];
                size_t count;
                question->problem.count = question->gold.count = 0;
                world_problem(3, &question->problem, &item->text, &question->gold);
                char *digit = i == 1 ? strstr(item->text.bytes, "\\boxed{") + 7
                                     : strchr(item->text.bytes, '=') + 1;
                if (i > 0)
                        *digit = *digit == '9' ? '8' : '9';
                assert_ok(scope_tokenizer_encode(tokenizer, item->text.bytes, item->text.count,
                        item->tokens, TOKENS, &count));
                struct scope_string text = { item->text.bytes, (uint32_t)item->text.count };
                for (size_t t = 0; t < count; t++)
                        item->bytes[t] = scope_tokenizer_token_bytes(tokenizer, item->tokens[t]);
                uint32_t steps = scope_steps_split(text, item->step_ends, STEPS);
                assert_true(steps > 1);
                assert_ok(scope_steps_token_ends(item->step_ends, steps, item->bytes,
                        (uint32_t)count, item->step_token_ends));
                item->item = (struct scope_score_item){ .sample = 2 * i,
                        .text = text,
                        .step_ends = item->step_ends,
                        .step_count = steps,
                        .prompt = question->prompt,
                        .tokens = item->tokens,
                        .token_count = (uint32_t)count,
                        .step_token_ends = item->step_token_ends };
        }
        assert_ok(scope_tokenizer_encode(tokenizer, question->problem.bytes,
                question->problem.count, question->prompt, TOKENS, &question->prompt_count));
        for (uint32_t i = 0; i < ITEMS; i++)
                question->items[i].item.prompt_count = (uint32_t)question->prompt_count;
}

static void question_fini(struct question *question)
{
        for (uint32_t i = 0; i < ITEMS; i++)
                scope_text_fini(&question->items[i].text);
        scope_text_fini(&question->problem);
        scope_text_fini(&question->gold);
        scope_engine_destroy(question->engine);
        scope_engine_destroy(question->twin);
        scope_layout_destroy(question->layout);
}

static void begin(struct scope_actor *peer, struct station *station)
{
        struct question *question = station->test;
        struct scope_score_item items[ITEMS];
        struct scope_message *good = NULL, *bad = NULL;
        for (uint32_t i = 0; i < ITEMS; i++)
                items[i] = question->items[i].item;
        struct scope_score_request request = { .group = 5,
                .problem = { question->problem.bytes, (uint32_t)question->problem.count },
                .items = items,
                .item_count = ITEMS };
        assert_ok(scope_message_create(peer, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, 16, &bad));
        memset(bad->payload, 0, 16);
        station_ask(peer, station, bad, 9);
        for (uint64_t tag = 0; tag < 2; tag++) { /* one waits for the other */
                assert_ok(scope_message_of_score_request(
                        peer, SCOPE_KIND_SCORE, SCOPE_LANE_DATA, &request, &good));
                station_ask(peer, station, good, tag);
        }
}

static void hear(struct scope_actor *peer, struct station *station, struct scope_message **message)
{
        struct question *question = station->test;
        struct scope_score_answer answer;
        if ((*message)->kind == SCOPE_KIND_ERROR) {
                assert_int_equal((*message)->tag, 9);
                question->errors++;
                return;
        }
        if ((*message)->kind == SCOPE_KIND_REPLIED) { /* the same for the recorder, first */
                struct scope_control line;
                assert_ok(scope_message_read_control(
                        peer, *message, &station->stages.limits, &line));
                question->recorded++;
                assert_memory_equal(line.text.at, "{\"of\":\"prm\",\"group\":5,", 22);
                return;
        }
        assert_int_equal((*message)->kind, SCOPE_KIND_SCORED);
        assert_true(question->recorded > question->answers);
        assert_int_equal((*message)->tag, question->answers++);
        assert_ok(
                scope_message_read_score_answer(peer, *message, &station->stages.limits, &answer));
        assert_int_equal(answer.group, 5);
        assert_int_equal(answer.score_count, ITEMS);
        for (uint32_t i = 0; i < ITEMS; i++) {
                const struct scope_step_scores *scores = &answer.scores[i];
                assert_int_equal(scores->sample, 2 * i);
                assert_int_equal(scores->step_count, question->items[i].item.step_count);
                for (uint32_t step = 0; step < scores->step_count; step++)
                        assert_close(scores->p[step], question->expected[i][step], 1e-7);
                assert_int_equal(
                        scores->verified, scope_localise_verified(scores->p, scores->step_count,
                                                  station->options.prm.tau));
        }
}

static void score_ids(
        struct question *question, const uint32_t *ids, uint32_t count, float *ret_values)
{
        struct scope_engine_score ask = { ids, count, ret_values };
        struct scope_engine_job job;
        assert_ok(question->twin->class_->begin_score(question->twin, &ask, 1, &job));
        assert_ok(job.run(job.arg, 0, 1));
        question->twin->class_->end_step(question->twin, SCOPE_OK);
}

/* Scores of every item by the twin engine, without an actor. */
static void score(struct question *question, uint32_t index, float *ret_values)
{
        const struct scope_score_item *item = &question->items[index].item;
        uint32_t tokens[CONTEXT];
        memcpy(tokens, item->prompt, item->prompt_count * sizeof *tokens);
        memcpy(tokens + item->prompt_count, item->tokens, item->token_count * sizeof *tokens);
        score_ids(question, tokens, item->prompt_count + item->token_count, ret_values);
}

static void expect(struct question *question, int backend)
{
        for (uint32_t i = 0; i < ITEMS; i++) {
                const struct scope_score_item *item = &question->items[i].item;
                float values[CONTEXT];
                score(question, i, values);
                for (uint32_t step = 0, t = 0; step < item->step_count; step++) {
                        float least = 1;
                        for (; t < item->step_token_ends[step]; t++) {
                                float value = values[item->prompt_count + t];
                                least = fminf(least, expf(value));
                                if (backend == SCOPE_PRM_NATIVE)
                                        least = value; /* the last one stays */
                        }
                        question->expected[i][step] = least;
                }
        }
}

static void engines(struct question *question, enum scope_head head, uint32_t vocab)
{
        struct scope_model_config config = scope_model_config_tiny();
        struct scope_buffer *weights = NULL;
        config.head = head;
        config.vocab = vocab;
        assert_ok(scope_layout_create(&config, &question->layout));
        assert_ok(scope_buffer_create(question->layout->float_count * sizeof(float), &weights));
        scope_layout_randomise(question->layout, 11, scope_buffer_data(weights));
        struct scope_engine_options options = {
                .layout = question->layout, .slots = 4, .context_max = CONTEXT, .cores = 1
        };
        assert_ok(scope_engine_native_create(&options, &question->engine));
        assert_ok(scope_engine_native_create(&options, &question->twin));
        assert_ok(question->engine->class_->publish(question->engine, weights, 1, false));
        assert_ok(question->twin->class_->publish(question->twin, weights, 1, false));
        scope_buffer_drop(weights);
}

/* The problem is not of the built-in task: the arithmetic of the steps decides. */
static void foreign(struct question *question)
{
        scope_text_clear(&question->problem);
        scope_text_string(&question->problem, "How many eggs are left?");
        for (uint32_t i = 0; i < ITEMS; i++) {
                const struct scope_score_item *item = &question->items[i].item;
                scope_equations_judge(item->text, item->step_ends, item->step_count,
                        question->expected[i]);
                assert_close(question->expected[i][0], i == 2 ? 0 : 1, 0);
        }
}

static void run(int backend, const char *toml, bool other_task)
{
        static struct question question;
        struct station station = {
                .class_ = &scope_prm_class, .begin = begin, .hear = hear, .test = &question
        };
        question = (struct question){ .answers = 0 };
        station_init(&station, toml);
        assert_int_equal(station.options.prm.backend, backend);
        question_init(&question, station.tokenizer);
        if (other_task) {
                foreign(&question);
        } else if (backend == SCOPE_PRM_ARITHMETIC) {
                static const float last[] = { 1, 0, 0 };
                struct scope_chain chain;
                assert_ok(scope_chain_parse((struct scope_string){ question.problem.bytes,
                                                    (uint32_t)question.problem.count },
                        &chain));
                for (uint32_t i = 0; i < ITEMS; i++) {
                        const struct scope_score_item *item = &question.items[i].item;
                        scope_chain_judge(&chain, item->text, item->step_ends, item->step_count,
                                question.expected[i]);
                        assert_close(question.expected[i][item->step_count - 1], last[i], 0);
                        assert_close(question.expected[i][0], i == 2 ? 0 : 1, 0);
                }
        } else {
                engines(&question,
                        backend == SCOPE_PRM_NATIVE ? SCOPE_HEAD_REWARD : SCOPE_HEAD_LANGUAGE,
                        SCOPE_TINY_VOCAB);
                expect(&question, backend);
                station.stages.resources.prm = question.engine;
        }
        station_run(&station, "prm");
        assert_int_equal(question.answers, 2);
        assert_int_equal(question.errors, 1);
        station_fini(&station);
        question_fini(&question);
}

static void test_arithmetic_is_the_exact_checker(void **state)
{
        (void)state;
        run(SCOPE_PRM_ARITHMETIC, "", false);
}

static void test_arithmetic_judges_the_equations_of_other_tasks(void **state)
{
        (void)state;
        run(SCOPE_PRM_ARITHMETIC, "", true);
}

static void test_likelihood_is_the_least_probable_token_of_a_step(void **state)
{
        (void)state;
        run(SCOPE_PRM_LIKELIHOOD, "[prm]\nbackend = \"likelihood\"\ntau = 0.01\n", false);
}

static void test_native_is_the_head_at_the_last_token_of_a_step(void **state)
{
        (void)state;
        run(SCOPE_PRM_NATIVE, "[prm]\nbackend = \"native\"\n", false);
}

/* With a tokenizer of its own the scorer reads texts; what is too long is unverified. */
static void run_marked(enum scope_head head, uint32_t context)
{
        static struct question question;
        struct station station = {
                .class_ = &scope_prm_class, .begin = begin, .hear = hear, .test = &question
        };
        struct scope_tokenizer *bytes = byte_tokenizer();
        enum scope_prm_form form = scope_prm_form_of(bytes, head);
        uint32_t lost = 0;
        question = (struct question){ .answers = 0 };
        station_init(&station, "[prm]\nbackend = \"native\"\n");
        question_init(&question, station.tokenizer);
        engines(&question, head, 259);
        for (uint32_t i = 0; i < ITEMS; i++) {
                const struct scope_score_item *item = &question.items[i].item;
                struct scope_string problem = { question.problem.bytes,
                        (uint32_t)question.problem.count }, steps[STEPS];
                uint32_t ids[CONTEXT], marks[STEPS];
                float values[CONTEXT];
                struct scope_prm_input input = { .ids = ids, .max = context, .marks = marks };
                for (uint32_t step = 0; step < item->step_count; step++)
                        steps[step] = scope_steps_text(item->text, item->step_ends, step);
                assert_ok(scope_prm_input_make(
                        bytes, form, problem, steps, item->step_count, &input));
                score_ids(&question, ids, input.count, values);
                for (uint32_t step = 0; step < item->step_count; step++) {
                        bool fits = marks[step] != UINT32_MAX;
                        question.expected[i][step] = fits ? values[marks[step]] : 0;
                        lost += !fits;
                }
        }
        assert_int_equal(lost > 0, context < CONTEXT);
        station.stages.resources.prm = question.engine;
        station.stages.resources.prm_tokenizer = bytes;
        station.stages.resources.prm_head = head;
        station.stages.resources.prm_context = context;
        station_run(&station, "prm");
        assert_int_equal(question.answers, 2);
        station_fini(&station);
        question_fini(&question);
        scope_tokenizer_destroy(bytes);
}

static void test_native_with_its_own_tokenizer_scores_at_marks(void **state)
{
        (void)state;
        run_marked(SCOPE_HEAD_REWARD, CONTEXT);
        run_marked(SCOPE_HEAD_REWARD, 130);
        run_marked(SCOPE_HEAD_CLASSES, CONTEXT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_arithmetic_is_the_exact_checker),
                cmocka_unit_test(test_arithmetic_judges_the_equations_of_other_tasks),
                cmocka_unit_test(test_likelihood_is_the_least_probable_token_of_a_step),
                cmocka_unit_test(test_native_is_the_head_at_the_last_token_of_a_step),
                cmocka_unit_test(test_native_with_its_own_tokenizer_scores_at_marks),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
