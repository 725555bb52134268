/* Every family beside transformers: logits in float32 and from bfloat16 weights, through the
 * transformer and through the decoder; the hybrid objective's value, gradients and twenty AdamW
 * steps. tests/oracle/families.py recorded the other side. */
#include "tests/models/fixture.h"

#include "algorithm/objective.h"
#include "kernels/kernels.h"
#include "models/comm.h"
#include "models/hf_config.h"
#include "models/transformer_decode.h"
#include "models/transformer_state.h"
#include "tests/models/recorded.h"

enum { ROWS = 4, LENGTH = 32, VOCAB_MAX = 64 };

static const char *const names[] = { "llama_odd", "llama_heads", "smollm2", "llama31", "llama32",
        "llama_bias", "llama_padded", "qwen2_tied", "qwen2_untied", "qwen2_math", "qwen3_tied",
        "qwen3_untied", "qwen3_bias", "qwen2_prm", "qwen2_classes", "llama_classes" };
enum { NAMES = sizeof names / sizeof *names };

struct family {
        json_t *root;
        struct recorded *file;
        struct scope_layout *layout;
        float *parameters;
        uint32_t tokens[ROWS][LENGTH], count[ROWS], used;
};

static void family_open(struct family *family, const char *name)
{
        char path[128];
        json_error_t error;
        struct scope_diag diag = { "" };
        struct scope_model_config config;
        *family = (struct family){ 0 };
        (void)snprintf(path, sizeof path, "tests/fixtures/family_%s.json", name);
        family->root = json_load_file(test_source(path), 0, &error);
        assert_non_null(family->root);
        char *text = json_dumps(json_object_get(family->root, "config"), 0);
        if (scope_hf_config_parse(name, text, strlen(text), &config, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        free(text);
        family->used = fixture_uint(family->root, "used");
        config.tokens_used = family->used;
        assert_ok(scope_layout_create(&config, &family->layout));
        family->parameters = calloc(family->layout->float_count, sizeof(float));
        assert_non_null(family->parameters);
        fixture_weights(family->layout, family->parameters);
        (void)snprintf(path, sizeof path, "tests/fixtures/family_%s.safetensors", name);
        family->file = recorded_open(test_source(path));
        for (uint32_t i = 0; i < ROWS; i++) {
                const json_t *row = json_array_get(json_object_get(family->root, "rows"), i);
                family->count[i] = (uint32_t)json_array_size(json_object_get(row, "tokens"));
                assert_true(family->count[i] <= LENGTH);
                for (uint32_t t = 0; t < family->count[i]; t++)
                        family->tokens[i][t] = (uint32_t)fixture_at(row, "tokens", t);
        }
}

static void family_close(struct family *family)
{
        recorded_close(family->file);
        scope_layout_destroy(family->layout);
        free(family->parameters);
        json_decref(family->root);
}

static float *recorded(
        const struct family *family, const char *kind, const char *name, size_t count)
{
        char key[128];
        (void)snprintf(key, sizeof key, "%s.%s", kind, name);
        return recorded_read(family->file, key, count);
}

static uint32_t outputs_of(const struct family *family)
{
        const struct scope_model_config *config = &family->layout->config;
        return config->head == SCOPE_HEAD_LANGUAGE ? config->vocab : 2;
}

/* Logits of `row` by the transformer, [count, vocab]; a two-class head: its probability, [count].
 * */
static void by_transformer(const struct family *family, const struct scope_kernels *kernels,
        uint32_t row, float *ret_values)
{
        const uint32_t count = family->count[row], begin[2] = { 0, count };
        const uint32_t vocab = family->layout->config.vocab;
        uint32_t positions[LENGTH];
        struct scope_transformer *t = NULL;
        for (uint32_t i = 0; i < LENGTH; i++)
                positions[i] = i;
        assert_ok(scope_transformer_create(&(struct scope_transformer_options){ family->layout,
                                                   kernels, LENGTH, LENGTH, false, false },
                &t));
        assert_ok(scope_transformer_forward(t, family->parameters,
                &(struct scope_transformer_batch){
                        family->tokens[row], positions, begin, count, 1 }));
        if (outputs_of(family) == 2) {
                assert_ok(scope_transformer_reward(t, family->parameters, ret_values));
        } else {
                for (uint32_t i = 0; i < count; i++) {
                        scope_transformer_gather(t, &i, 1);
                        assert_ok(scope_transformer_logits(t, family->parameters, 1, 0, vocab));
                        memcpy(ret_values + (size_t)i * vocab, t->head.logits,
                                vocab * sizeof(float));
                }
        }
        scope_transformer_destroy(t);
}

/* The same by the decoder, in two forwards: as log-probabilities, which is what it has. */
static void by_decoder(
        const struct family *family, enum scope_form form, uint32_t row, float *ret_values)
{
        const uint32_t count = family->count[row], vocab = family->layout->config.vocab;
        struct scope_decoder_row rows[LENGTH];
        struct scope_kv_cache cache = { 0 };
        uint32_t blocks[LENGTH];
        struct scope_kv_run run = { .blocks = blocks };
        struct scope_decoder *decoder;
        assert_ok(scope_kv_cache_init(
                &cache, &family->layout->config, scope_kv_blocks(LENGTH)));
        scope_kv_run_reserve(&cache, &run, count);
        struct scope_decoder_options options = { .layout = family->layout, .context_max = LENGTH,
                .tokens_used = family->used, .ranks = 1, .weights = form };
        assert_ok(scope_decoder_create(&options, &decoder));
        scope_decoder_pack(decoder, family->parameters, 0, 1);
        scope_decoder_use(decoder, family->parameters);
        for (uint32_t i = 0; i < count; i++)
                rows[i] = (struct scope_decoder_row){ family->tokens[row][i], i,
                        { .own = blocks, .own_count = i + 1 } };
        for (uint32_t first = 0, step; first < count; first += step) {
                step = first == 0 ? count / 2 : count - first;
                scope_decoder_forward(decoder, &cache, 0, rows + first, step);
                if (outputs_of(family) == 2) {
                        scope_decoder_reward(decoder, 0, step, ret_values + first);
                        continue;
                }
                for (uint32_t id = 0; id < family->used; id++) {
                        uint32_t targets[LENGTH];
                        float logp[LENGTH];
                        for (uint32_t i = 0; i < step; i++)
                                targets[i] = id;
                        scope_decoder_logp(decoder, 0, targets, step, logp);
                        for (uint32_t i = 0; i < step; i++)
                                ret_values[(size_t)(first + i) * vocab + id] = logp[i];
                }
        }
        scope_decoder_destroy(decoder);
        scope_kv_run_release(&cache, &run);
        scope_kv_cache_fini(&cache);
}

static void log_softmax(float *values, uint32_t count)
{
        double largest = -INFINITY, sum = 0;
        for (uint32_t i = 0; i < count; i++)
                largest = fmax(largest, values[i]);
        for (uint32_t i = 0; i < count; i++)
                sum += exp(values[i] - largest);
        for (uint32_t i = 0; i < count; i++)
                values[i] = (float)(values[i] - largest - log(sum));
}

static uint32_t argmax(const float *values, uint32_t count)
{
        uint32_t best = 0;
        for (uint32_t i = 1; i < count; i++)
                if (values[i] > values[best])
                        best = i;
        return best;
}

/* The largest gap to a recorded row; fails when a position's best token is another one. */
static double gap_of(const struct family *family, const char *name, const char *kind, uint32_t row,
        const float *got, bool normalised)
{
        const uint32_t count = family->count[row], outputs = outputs_of(family);
        char key[8];
        double worst = 0;
        (void)snprintf(key, sizeof key, "%u", row);
        float *want = recorded(family, kind, key, (size_t)count * outputs);
        for (uint32_t i = 0; i < count; i++) {
                float *line = want + (size_t)i * outputs;
                if (outputs == 2) {
                        double p = 1 / (1 + exp((double)line[0] - line[1]));
                        worst = fmax(worst, fabs(p - got[i]));
                        continue;
                }
                const float *mine = got + (size_t)i * outputs;
                if (strcmp(kind, "logits") == 0 &&
                        argmax(mine, family->used) != argmax(line, family->used))
                        fail_msg("%s row %u token %u: another argmax", name, row, i);
                if (normalised)
                        log_softmax(line, family->used);
                for (uint32_t id = 0; id < family->used; id++)
                        worst = fmax(worst, fabs((double)mine[id] - line[id]));
        }
        free(want);
        return worst;
}

/* The worst gap over rows, tables of kernels and both paths. */
static double worst_gap(const struct family *family, const char *name, const char *kind)
{
        float *values = calloc((size_t)LENGTH * VOCAB_MAX, sizeof *values);
        const struct scope_kernels *kernels;
        double worst = 0;
        assert_non_null(values);
        for (uint32_t row = 0; row < ROWS; row++) {
                for (size_t i = 0; (kernels = scope_kernels_at(i)) != NULL; i++) {
                        by_transformer(family, kernels, row, values);
                        worst = fmax(worst, gap_of(family, name, kind, row, values, false));
                }
                by_decoder(family, strcmp(kind, "bf16") == 0 ? SCOPE_FORM_BF16 : SCOPE_FORM_F32,
                        row, values);
                worst = fmax(worst, gap_of(family, name, kind, row, values, true));
        }
        free(values);
        return worst;
}

static void test_logits_equal_transformers(void **state)
{
        (void)state;
        double worst = 0;
        for (size_t i = 0; i < NAMES; i++) {
                struct family family;
                family_open(&family, names[i]);
                double gap = worst_gap(&family, names[i], "logits");
                if (!(gap <= 2e-4))
                        fail_msg("%s: logits are off by %g", names[i], gap);
                worst = fmax(worst, gap);
                family_close(&family);
        }
        print_message("# %d models: logits within %.2g\n", (int)NAMES, worst);
}

/* To the nearest, ties to even. */
static float rounded(float x)
{
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
        memcpy(&x, &bits, sizeof x);
        return x;
}

static void test_logits_of_bfloat16_weights_are_near_torch_in_bfloat16(void **state)
{
        (void)state;
        double worst = 0;
        for (size_t i = 0; i < NAMES; i++) {
                struct family family;
                family_open(&family, names[i]);
                for (uint32_t t = 0; t < family.layout->tensor_count; t++) {
                        const struct scope_tensor *tensor = &family.layout->tensors[t];
                        float *values = family.parameters + tensor->offset;
                        for (size_t j = 0; j < (size_t)tensor->rows * tensor->columns; j++)
                                values[j] = rounded(
                                        tensor->rank == 2 ? 0.25f * values[j] : values[j]);
                }
                double gap = worst_gap(&family, names[i], "bf16");
                if (!(gap <= 2e-2))
                        fail_msg("%s: logits are off by %g", names[i], gap);
                worst = fmax(worst, gap);
                family_close(&family);
        }
        print_message("# %d models: logits of bfloat16 weights within %.2g\n", (int)NAMES, worst);
}

/* --- the hybrid objective -------------------------------------------------------------------- */

/* A minibatch of mixed and plain rows: policy tokens up to `kept`, the teacher's from there. */
struct minibatch {
        struct scope_row rows[ROWS];
        struct scope_segment segments[ROWS][2];
        struct scope_objective_options options;
        float logp[ROWS][LENGTH], entropy[ROWS][LENGTH], coef[ROWS][LENGTH];
        float anchor[ROWS][LENGTH], reference[ROWS][LENGTH], advantage[ROWS];
        double scale[ROWS];
};

static void minibatch_init(struct minibatch *batch, const struct family *family)
{
        const json_t *loss = json_object_get(family->root, "loss");
        uint32_t tokens[ROWS];
        *batch = (struct minibatch){ .options = { .clip_enable = true,
                                             .clip_lo = fixture_double(loss, "clip_lo"),
                                             .clip_hi = fixture_double(loss, "clip_hi"),
                                             .clip_dual = fixture_double(loss, "clip_dual"),
                                             .suffix_form = SCOPE_SUFFIX_WLL_SG,
                                             .suffix_lambda = fixture_double(loss, "suffix_lambda"),
                                             .suffix_gamma = fixture_double(loss, "suffix_gamma"),
                                             .entropy_coef = fixture_double(loss, "entropy_coef"),
                                             .kl_beta = fixture_double(loss, "kl_beta") } };
        for (uint32_t i = 0; i < ROWS; i++) {
                const json_t *row = json_array_get(json_object_get(family->root, "rows"), i);
                uint32_t first = fixture_uint(row, "first"), kept = fixture_uint(row, "kept");
                batch->rows[i] = (struct scope_row){ .tokens = family->tokens[i],
                        .count = family->count[i],
                        .first = first,
                        .temperature = (float)fixture_double(row, "temperature"),
                        .logp = batch->logp[i],
                        .entropy = batch->entropy[i],
                        .coef = batch->coef[i] };
                tokens[i] = family->count[i] - first;
                batch->advantage[i] = (float)fixture_double(row, "advantage");
                batch->segments[i][0] = (struct scope_segment){ 0, kept, SCOPE_SOURCE_POLICY,
                        SCOPE_LOSS_POLICY, 1 };
                batch->segments[i][1] = (struct scope_segment){ kept, tokens[i] - kept,
                        SCOPE_SOURCE_TEACHER, SCOPE_LOSS_LIKELIHOOD, 1 };
                for (uint32_t t = 0; t < tokens[i]; t++) {
                        batch->anchor[i][t] = (float)fixture_at(row, "anchor", t);
                        batch->reference[i][t] = (float)fixture_at(row, "reference", t);
                }
        }
        scope_objective_scales(&batch->options, tokens, ROWS, batch->scale);
}

/* Fills row i's coefficients from its last forward; returns its part of the objective. */
static double coefficients(struct minibatch *batch, uint32_t i)
{
        struct scope_row *row = &batch->rows[i];
        struct scope_objective_sums sums = { 0 };
        const struct scope_objective_row objective = { .logp = row->logp + row->first,
                .entropy = row->entropy + row->first,
                .logp_anchor = batch->anchor[i],
                .logp_ref = batch->reference[i],
                .segments = batch->segments[i],
                .segment_count = 2,
                .count = row->count - row->first,
                .advantage = batch->advantage[i],
                .scale = batch->scale[i] };
        row->entropy_coef = scope_objective_coefficients(
                &batch->options, &objective, row->coef + row->first, &sums);
        return sums.objective;
}

/* gradient += of row i; returns its part of the objective. */
static double gradient_of_row(const struct family *family, struct scope_transformer *t,
        struct minibatch *batch, uint32_t i, float *gradient)
{
        struct scope_row *row = &batch->rows[i];
        const uint32_t begin[2] = { 0, row->count - 1 };
        uint32_t positions[LENGTH], rows[LENGTH];
        float temperature[LENGTH], entropy_coef[LENGTH];
        for (uint32_t j = 0; j < LENGTH; j++) {
                positions[j] = j;
                rows[j] = row->first - 1 + j;
                temperature[j] = row->temperature;
        }
        const struct scope_transformer_batch one = { row->tokens, positions, begin, row->count - 1,
                1 };
        const struct scope_transformer_wanted wanted = { rows, row->tokens + row->first,
                temperature, row->logp + row->first, row->entropy + row->first,
                row->coef + row->first, entropy_coef, row->count - row->first };
        assert_ok(scope_transformer_forward(t, family->parameters, &one));
        assert_ok(scope_transformer_logprob(t, family->parameters, &wanted));
        double value = coefficients(batch, i);
        for (uint32_t j = 0; j < LENGTH; j++)
                entropy_coef[j] = row->entropy_coef;
        assert_ok(scope_transformer_backward(t, family->parameters, &one, &wanted, gradient));
        return value;
}

/* The worst |got - want| / |want| (Euclidean) over tensors; a tensor that is all noise counts
 * against the largest one. */
static double relative_gap(const struct family *family, const char *kind, const float *got)
{
        double worst = 0;
        for (uint32_t i = 0; i < family->layout->tensor_count; i++) {
                const struct scope_tensor *tensor = &family->layout->tensors[i];
                size_t count = (size_t)tensor->rows * tensor->columns;
                float *want = recorded(family, kind, tensor->name, count);
                double gap = 0, size = 0;
                for (size_t j = 0; j < count; j++) {
                        gap += pow((double)got[tensor->offset + j] - want[j], 2);
                        size += pow(want[j], 2);
                }
                worst = fmax(worst, sqrt(gap) / fmax(sqrt(size), 1e-4));
                free(want);
        }
        return worst;
}

static void test_hybrid_objective_and_its_gradients_equal_torch(void **state)
{
        (void)state;
        const struct scope_kernels *kernels;
        double worst = 0;
        for (size_t n = 0; n < NAMES; n++) {
                struct family family;
                family_open(&family, names[n]);
                bool language = family.layout->config.head == SCOPE_HEAD_LANGUAGE;
                float *gradient = calloc(family.layout->float_count, sizeof *gradient);
                assert_non_null(gradient);
                for (size_t i = 0; language && (kernels = scope_kernels_at(i)) != NULL; i++) {
                        struct scope_transformer *t = NULL;
                        struct minibatch batch;
                        double value = 0;
                        minibatch_init(&batch, &family);
                        memset(gradient, 0, family.layout->float_count * sizeof *gradient);
                        assert_ok(scope_transformer_create(
                                &(struct scope_transformer_options){
                                        family.layout, kernels, LENGTH, LENGTH, true, false },
                                &t));
                        for (uint32_t row = 0; row < ROWS; row++)
                                value += gradient_of_row(&family, t, &batch, row, gradient);
                        assert_close(value, fixture_at(json_object_get(family.root, "adamw"),
                                                    "objectives", 0), 2e-6);
                        double gap = relative_gap(&family, "gradient", gradient);
                        if (!(gap <= 1e-4))
                                fail_msg("%s %s: gradients are off by %g", names[n], kernels->name,
                                        gap);
                        worst = fmax(worst, gap);
                        scope_transformer_destroy(t);
                }
                free(gradient);
                family_close(&family);
        }
        print_message("# gradients within %.2g of their tensor's norm\n", worst);
}

/* Twenty steps by the trainer; the largest difference of a parameter. */
static double train(const struct family *family, struct scope_trainer *trainer)
{
        const json_t *adamw = json_object_get(family->root, "adamw");
        struct minibatch batch;
        double worst = 0;
        minibatch_init(&batch, family);
        memcpy(scope_trainer_parameters(trainer), family->parameters,
                family->layout->float_count * sizeof(float));
        for (uint32_t step = 0; step < fixture_uint(adamw, "steps"); step++) {
                float norm;
                double value = 0, want = fixture_at(adamw, "norms", step);
                scope_trainer_zero(trainer, 0);
                assert_ok(scope_trainer_forward(trainer, 0, batch.rows, ROWS));
                for (uint32_t row = 0; row < ROWS; row++)
                        value += coefficients(&batch, row);
                assert_ok(scope_trainer_backward(trainer, 0, batch.rows, ROWS));
                assert_ok(scope_trainer_step(
                        trainer, 0, (float)fixture_double(adamw, "lr"), &norm));
                assert_close(value, fixture_at(adamw, "objectives", step), 5e-5);
                assert_close(norm, want, 1e-3 * want);
        }
        const float *after = scope_trainer_parameters(trainer);
        for (uint32_t i = 0; i < family->layout->tensor_count; i++) {
                const struct scope_tensor *tensor = &family->layout->tensors[i];
                size_t count = (size_t)tensor->rows * tensor->columns;
                float *want = recorded(family, "after", tensor->name, count);
                for (size_t j = 0; j < count; j++)
                        worst = fmax(worst, fabs((double)after[tensor->offset + j] - want[j]));
                free(want);
        }
        return worst;
}

static void test_twenty_adamw_steps_equal_torch(void **state)
{
        (void)state;
        double worst = 0;
        for (size_t n = 0; n < NAMES; n++) {
                struct family family;
                struct scope_comm *comm;
                struct scope_trainer *trainer;
                family_open(&family, names[n]);
                const json_t *adamw = json_object_get(family.root, "adamw");
                if (adamw == NULL) { /* a reward head */
                        family_close(&family);
                        continue;
                }
                assert_ok(scope_comm_one_create(&comm));
                const struct scope_trainer_options options = { .layout = family.layout,
                        .comm = comm,
                        .context_max = LENGTH,
                        .microbatch_tokens = ROWS * LENGTH,
                        .lr = (float)fixture_double(adamw, "lr"),
                        .beta1 = (float)fixture_double(adamw, "beta1"),
                        .beta2 = (float)fixture_double(adamw, "beta2"),
                        .eps = (float)fixture_double(adamw, "eps"),
                        .weight_decay = (float)fixture_double(adamw, "weight_decay"),
                        .grad_clip = (float)fixture_double(adamw, "grad_clip") };
                assert_ok(scope_trainer_create(&options, &trainer));
                double gap = train(&family, trainer);
                if (!(gap <= 1e-4))
                        fail_msg("%s: a parameter is off by %g", names[n], gap);
                worst = fmax(worst, gap);
                scope_trainer_destroy(trainer);
                scope_comm_destroy(comm);
                family_close(&family);
        }
        print_message("# parameters within %.2g after 20 steps\n", worst);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_logits_equal_transformers),
                cmocka_unit_test(test_logits_of_bfloat16_weights_are_near_torch_in_bfloat16),
                cmocka_unit_test(test_hybrid_objective_and_its_gradients_equal_torch),
                cmocka_unit_test(test_twenty_adamw_steps_equal_torch),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
