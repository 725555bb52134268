#include "algorithm/statistics.h"

#include <string.h>

#include "base/arena.h"
#include "base/check.h"

static const char *const stats_scope_names[] = { "batch", "window", "group", NULL };
static const char *const stats_members_names[] = { "all", "failed", NULL };

const struct scope_option scope_statistics_option_table[] = {
        SCOPE_ENUM_OPTION(scope_statistics_options, stats_scope, "\"window\"", stats_scope_names,
                "rollouts that say which lengths are typical: the batch (needs a barrier), a "
                "window, the group"),
        SCOPE_INT_OPTION(scope_statistics_options, stats_window, "0", 0, 1 << 20,
                "rollouts in the window; 0 = prompts_per_step * group_size"),
        SCOPE_ENUM_OPTION(scope_statistics_options, stats_members, "\"all\"", stats_members_names,
                "rollouts that count: all, or failed ones"),
        SCOPE_OPTION_END,
};

uint32_t scope_statistics_capacity(const struct scope_statistics_options *options,
        uint32_t rollouts)
{
        bool whole = options->stats_scope == SCOPE_STATS_BATCH || options->stats_window == 0;
        return whole ? rollouts : (uint32_t)options->stats_window;
}

enum scope_err scope_length_window_init(struct scope_length_window *window,
        struct scope_arena *arena, uint32_t capacity)
{
        if (capacity == 0)
                return SCOPE_ERR_ARGUMENT;
        uint32_t *steps = scope_arena_take(arena, capacity * sizeof *steps);
        uint32_t *tokens = scope_arena_take(arena, capacity * sizeof *tokens);
        if (steps == NULL || tokens == NULL)
                return SCOPE_ERR_MEMORY;
        *window = (struct scope_length_window){
                .steps = steps, .tokens = tokens, .capacity = capacity
        };
        return SCOPE_OK;
}

void scope_length_window_push(struct scope_length_window *window, uint32_t steps, uint32_t tokens)
{
        scope_assert(window->next < window->capacity);
        window->steps[window->next] = steps;
        window->tokens[window->next] = tokens;
        window->next = (window->next + 1) % window->capacity;
        if (window->count < window->capacity)
                window->count++;
}

void scope_length_window_clear(struct scope_length_window *window)
{
        window->count = 0;
        window->next = 0;
}

/* Saved form, u32 little-endian each: capacity, count, then (K, T) oldest first, zeros behind. */
enum { HEADER_BYTES = 8, MEMBER_BYTES = 8 };

size_t scope_length_window_bytes(uint32_t capacity)
{
        return HEADER_BYTES + (size_t)capacity * MEMBER_BYTES;
}

static void put_u32(uint8_t *at, uint32_t value)
{
        for (int i = 0; i < 4; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
        return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void scope_length_window_save(const struct scope_length_window *window, uint8_t *ret_bytes)
{
        memset(ret_bytes, 0, scope_length_window_bytes(window->capacity));
        put_u32(ret_bytes, window->capacity);
        put_u32(ret_bytes + 4, window->count);
        uint32_t oldest = window->count < window->capacity ? 0 : window->next;
        for (uint32_t i = 0; i < window->count; i++) {
                uint32_t from = (oldest + i) % window->capacity;
                uint8_t *to = ret_bytes + HEADER_BYTES + (size_t)i * MEMBER_BYTES;
                put_u32(to, window->steps[from]);
                put_u32(to + 4, window->tokens[from]);
        }
}

enum scope_err scope_length_window_load(struct scope_length_window *window, const uint8_t *bytes,
        size_t count)
{
        if (count < HEADER_BYTES)
                return SCOPE_ERR_FORMAT;
        uint32_t saved_capacity = get_u32(bytes), saved_count = get_u32(bytes + 4);
        if (saved_count > saved_capacity || count != scope_length_window_bytes(saved_capacity))
                return SCOPE_ERR_FORMAT;
        scope_length_window_clear(window);
        uint32_t skip = saved_count > window->capacity ? saved_count - window->capacity : 0;
        for (uint32_t i = skip; i < saved_count; i++) {
                const uint8_t *from = bytes + HEADER_BYTES + (size_t)i * MEMBER_BYTES;
                scope_length_window_push(window, get_u32(from), get_u32(from + 4));
        }
        return SCOPE_OK;
}

uint32_t scope_statistics_filter(const struct scope_statistics_options *options,
        const uint32_t *steps, const uint32_t *tokens, const bool *failed, uint32_t count,
        uint32_t *ret_steps, uint32_t *ret_tokens)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++) {
                if (options->stats_members == SCOPE_STATS_FAILED && !failed[i])
                        continue;
                ret_steps[kept] = steps[i];
                ret_tokens[kept] = tokens[i];
                kept++;
        }
        return kept;
}

struct scope_length_members scope_statistics_members(const struct scope_statistics_options *options,
        const struct scope_length_window *window, struct scope_length_members group)
{
        if (options->stats_scope == SCOPE_STATS_GROUP)
                return group;
        uint32_t warm = SCOPE_STATS_WARM_COUNT;
        if (warm > window->capacity)
                warm = window->capacity;
        if (options->stats_scope == SCOPE_STATS_WINDOW && window->count < warm)
                return group;
        return (struct scope_length_members){ window->steps, window->tokens, window->count };
}

/* Mean and population variance from integer sums: one rounding each, in any order of members. */
static void moments_of(const uint32_t *values, uint32_t count, double *ret_mean,
        double *ret_variance)
{
        __extension__ unsigned __int128 square = 0;
        uint64_t sum = 0;
        for (uint32_t i = 0; i < count; i++) {
                sum += values[i];
                square += (uint64_t)values[i] * values[i];
        }
        __extension__ unsigned __int128 spread =
                square * count - (__extension__ (unsigned __int128)sum) * sum;
        *ret_mean = (double)sum / count;
        *ret_variance = (double)spread / ((double)count * count);
}

struct scope_length_moments scope_length_moments(struct scope_length_members members)
{
        struct scope_length_moments moments = { .count = members.count };
        if (members.count == 0)
                return moments;
        moments_of(members.steps, members.count, &moments.step_mean, &moments.step_variance);
        moments_of(members.tokens, members.count, &moments.token_mean, &moments.token_variance);
        return moments;
}
