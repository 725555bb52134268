/* fixture.h - what oracle_torch.py recorded, and models with the weights it used. */
#pragma once

#include <jansson.h>
#include <math.h>
#include <stdbool.h>

#include "models/config.h"
#include "models/trainer.h"
#include "tests/test.h"

enum { FIXTURE_ROWS_MAX = 8, FIXTURE_LENGTH_MAX = 16 };

struct fixture {
        json_t *root;
        struct scope_layout *layout;
        float *parameters; /* [float_count] */
        struct scope_row rows[FIXTURE_ROWS_MAX];
        uint32_t row_count;
        uint32_t tokens[FIXTURE_ROWS_MAX][FIXTURE_LENGTH_MAX];
        float logp[FIXTURE_ROWS_MAX][FIXTURE_LENGTH_MAX];
        float entropy[FIXTURE_ROWS_MAX][FIXTURE_LENGTH_MAX];
        float coef[FIXTURE_ROWS_MAX][FIXTURE_LENGTH_MAX];
};

static inline uint32_t fixture_uint(const json_t *object, const char *key)
{
        const json_t *value = json_object_get(object, key);
        assert_true(json_is_integer(value));
        return (uint32_t)json_integer_value(value);
}

static inline double fixture_double(const json_t *object, const char *key)
{
        const json_t *value = json_object_get(object, key);
        assert_true(json_is_number(value));
        return json_number_value(value);
}

static inline double fixture_at(const json_t *object, const char *key, size_t index)
{
        const json_t *value = json_array_get(json_object_get(object, key), index);
        assert_true(json_is_number(value));
        return json_number_value(value);
}

/* The oracle's numbers(): FNV-1a of the name, then a linear congruential generator. */
static inline void fixture_weights(const struct scope_layout *layout, float *parameters)
{
        for (uint32_t i = 0; i < layout->tensor_count; i++) {
                const struct scope_tensor *t = &layout->tensors[i];
                uint32_t state = 2166136261u;
                for (const char *at = t->name; *at != '\0'; at++)
                        state = (state ^ (uint8_t)*at) * 16777619u;
                for (size_t j = 0; j < (size_t)t->rows * t->columns; j++) {
                        state = state * 1664525u + 1013904223u;
                        float u = (float)(state >> 8) / 16777216.0f - 0.5f;
                        float norm = strstr(t->name, "norm") != NULL ? 1.0f : 0.0f;
                        parameters[t->offset + j] = t->rank == 2 ? u * 0.8f : norm + u * 0.5f;
                }
        }
}

static inline void fixture_rows(struct fixture *fixture)
{
        size_t i, j;
        json_t *row, *token;
        json_array_foreach(json_object_get(fixture->root, "rows"), i, row)
        {
                json_array_foreach(json_object_get(row, "tokens"), j, token)
                {
                        fixture->tokens[i][j] = (uint32_t)json_integer_value(token);
                        fixture->coef[i][j] = (float)fixture_at(row, "coef", j);
                }
                fixture->rows[i] = (struct scope_row){ .tokens = fixture->tokens[i],
                        .count = (uint32_t)j,
                        .first = fixture_uint(row, "first"),
                        .temperature = (float)fixture_double(row, "temperature"),
                        .entropy_coef = (float)fixture_double(row, "entropy_coef"),
                        .logp = fixture->logp[i],
                        .entropy = fixture->entropy[i],
                        .coef = fixture->coef[i] };
                fixture->row_count++;
        }
}

static inline struct fixture *fixture_load(const char *name)
{
        char path[128];
        json_error_t error;
        struct fixture *fixture = calloc(1, sizeof *fixture);
        assert_non_null(fixture);
        (void)snprintf(path, sizeof path, "tests/fixtures/torch_%s.json", name);
        fixture->root = json_load_file(test_source(path), 0, &error);
        assert_non_null(fixture->root);
        const json_t *c = json_object_get(fixture->root, "config");
        const bool qwen = strcmp(json_string_value(json_object_get(c, "model_type")), "qwen2") == 0;
        struct scope_model_config config = { .layers = fixture_uint(c, "layers"),
                .hidden = fixture_uint(c, "hidden"),
                .heads = fixture_uint(c, "heads"),
                .kv_heads = fixture_uint(c, "kv_heads"),
                .ffn = fixture_uint(c, "ffn"),
                .vocab = fixture_uint(c, "vocab"),
                .positions_max = 64,
                .rope_theta = (float)fixture_double(c, "rope_theta"),
                .rms_eps = (float)fixture_double(c, "rms_eps"),
                .tied = json_is_true(json_object_get(c, "tied")),
                .qkv_bias = qwen,
                .head = json_is_true(json_object_get(c, "reward")) ? SCOPE_HEAD_REWARD
                                                                   : SCOPE_HEAD_LANGUAGE };
        config.head_dim = config.hidden / config.heads;
        assert_ok(scope_layout_create(&config, &fixture->layout));
        fixture->parameters = calloc(fixture->layout->float_count, sizeof(float));
        assert_non_null(fixture->parameters);
        fixture_weights(fixture->layout, fixture->parameters);
        fixture_rows(fixture);
        return fixture;
}

static inline void fixture_destroy(struct fixture *fixture)
{
        scope_layout_destroy(fixture->layout);
        free(fixture->parameters);
        json_decref(fixture->root);
        free(fixture);
}

/* The largest |got - recorded| of a tensor list such as "gradients", a tensor's own scale being 1.
 * */
static inline double fixture_gap(
        const struct fixture *fixture, const json_t *recorded, const float *got, double sign)
{
        double worst = 0.0;
        for (uint32_t i = 0; i < fixture->layout->tensor_count; i++) {
                const struct scope_tensor *t = &fixture->layout->tensors[i];
                double gap = 0.0, scale = 1e-3;
                size_t count = (size_t)t->rows * t->columns;
                assert_int_equal(json_array_size(json_object_get(recorded, t->name)), count);
                for (size_t j = 0; j < count; j++) {
                        double want = fixture_at(recorded, t->name, j);
                        gap = fmax(gap, fabs(sign * got[t->offset + j] - want));
                        scale = fmax(scale, fabs(want));
                }
                worst = fmax(worst, gap / scale);
        }
        return worst;
}
