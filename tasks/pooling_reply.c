#include "tasks/pooling_reply.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>

/* Sums of two half-precision probabilities are this near to 1. */
static const double SUM_TOLERANCE = 0.02;

static bool is_probability(const json_t *value)
{
        double p = json_number_value(value);
        return json_is_number(value) && p >= 0 && p <= 1;
}

/* NULL, or what is wrong with one step's row. */
static const char *read_row(const json_t *row, double *ret_p)
{
        const json_t *right = row;
        size_t count = json_array_size(row);
        if (json_is_array(row)) {
                if (count != 1 && count != 2)
                        return "a step has neither one class nor two";
                right = json_array_get(row, count - 1);
        }
        if (!is_probability(right))
                return "a step's score is no probability; the server must apply its activation";
        *ret_p = json_number_value(right);
        if (count != 2)
                return NULL;
        const json_t *wrong = json_array_get(row, 0);
        if (!is_probability(wrong) || fabs(json_number_value(wrong) + *ret_p - 1) > SUM_TOLERANCE)
                return "a step's two scores are no probabilities; the server must apply softmax";
        return NULL;
}

/* The rows of text `index`; NULL where they are missing, or twice. */
static const json_t *rows_of(const json_t *data, uint32_t index)
{
        const json_t *object, *found = NULL;
        size_t i;
        json_array_foreach(data, i, object)
        {
                const json_t *at = json_object_get(object, "index");
                if (!json_is_integer(at) || json_integer_value(at) != index)
                        continue;
                if (found != NULL)
                        return NULL;
                found = json_object_get(object, "data");
        }
        return found;
}

static const char *read_texts(const json_t *data, const uint32_t *step_counts, uint32_t text_count,
        float *ret_p)
{
        if (!json_is_array(data))
                return "it has no list \"data\"";
        if (json_array_size(data) != text_count)
                return "it has not as many answers as texts were asked";
        for (uint32_t text = 0; text < text_count; text++) {
                const json_t *rows = rows_of(data, text);
                if (!json_is_array(rows))
                        return "a text has no scores";
                if (json_array_size(rows) != step_counts[text])
                        return "a text has not as many scores as steps";
                for (uint32_t step = 0; step < step_counts[text]; step++) {
                        double p;
                        const char *wrong = read_row(json_array_get(rows, step), &p);
                        if (wrong != NULL)
                                return wrong;
                        if (ret_p != NULL)
                                *ret_p++ = (float)p;
                }
        }
        return NULL;
}

const char *scope_pooling_read(const void *body, size_t bytes, const uint32_t *step_counts,
        uint32_t text_count, float *ret_p)
{
        json_t *root = bytes > 0 ? json_loadb(body, bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;
        if (root == NULL)
                return "it is not JSON";
        const json_t *data = json_object_get(root, "data");
        const char *wrong = read_texts(data, step_counts, text_count, NULL);
        if (wrong == NULL)
                (void)read_texts(data, step_counts, text_count, ret_p);
        json_decref(root);
        return wrong;
}
