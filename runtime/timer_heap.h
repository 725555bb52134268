/* timer_heap.h - what happens at a time, soonest first.
 * Why: request deadlines, actors' timers, restarts and every event of the simulator are one heap
 * a loop.
 * (1) Ordered by (at_ns, tie, sequence): equal times fire in the order they were added unless
 * the simulator draws a tie. (2) A node is in one heap at most; position 0 = in none. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct scope_timer_node {
        uint64_t at_ns, tie, sequence;
        uint32_t position; /* 1 + index in the heap */
        void (*fire)(void *owner, struct scope_timer_node *node);
};

struct scope_timer_heap {
        struct scope_timer_node **nodes;
        uint32_t count, capacity;
        uint64_t sequence;
};

/* Adds a node that is in no heap; at_ns, tie and fire are set.
 * errors  SCOPE_ERR_MEMORY     owns  borrows the node until it fires or is removed */
enum scope_err scope_timer_heap_add(struct scope_timer_heap *heap, struct scope_timer_node *node);
/* Accepts a node that is in no heap. */
void scope_timer_heap_remove(struct scope_timer_heap *heap, struct scope_timer_node *node);
/* The soonest node, removed, when it is due at `now_ns`; else NULL. */
struct scope_timer_node *scope_timer_heap_take(struct scope_timer_heap *heap, uint64_t now_ns);
/* UINT64_MAX when empty. */
uint64_t scope_timer_heap_next_ns(const struct scope_timer_heap *heap);
void scope_timer_heap_fini(struct scope_timer_heap *heap);
