#include "runtime/timer_heap.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"

static bool before(const struct scope_timer_node *a, const struct scope_timer_node *b)
{
        if (a->at_ns != b->at_ns)
                return a->at_ns < b->at_ns;
        if (a->tie != b->tie)
                return a->tie < b->tie;
        return a->sequence < b->sequence;
}

static void place(struct scope_timer_heap *heap, uint32_t index, struct scope_timer_node *node)
{
        heap->nodes[index] = node;
        node->position = index + 1;
}

static void sift_up(struct scope_timer_heap *heap, uint32_t index, struct scope_timer_node *node)
{
        while (index > 0) {
                uint32_t parent = (index - 1) / 2;
                if (!before(node, heap->nodes[parent]))
                        break;
                place(heap, index, heap->nodes[parent]);
                index = parent;
        }
        place(heap, index, node);
}

static void sift_down(struct scope_timer_heap *heap, uint32_t index, struct scope_timer_node *node)
{
        for (;;) {
                uint32_t child = 2 * index + 1;
                if (child >= heap->count)
                        break;
                if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
                        child++;
                if (!before(heap->nodes[child], node))
                        break;
                place(heap, index, heap->nodes[child]);
                index = child;
        }
        place(heap, index, node);
}

enum scope_err scope_timer_heap_add(struct scope_timer_heap *heap, struct scope_timer_node *node)
{
        scope_assert(node->position == 0 && node->fire != NULL);
        if (heap->count == heap->capacity) {
                uint32_t capacity = heap->capacity == 0 ? 64 : 2 * heap->capacity;
                struct scope_timer_node **nodes =
                        realloc(heap->nodes, capacity * sizeof(*nodes));
                if (nodes == NULL)
                        return SCOPE_ERR_MEMORY;
                heap->nodes = nodes;
                heap->capacity = capacity;
        }
        node->sequence = ++heap->sequence;
        sift_up(heap, heap->count++, node);
        return SCOPE_OK;
}

void scope_timer_heap_remove(struct scope_timer_heap *heap, struct scope_timer_node *node)
{
        if (node->position == 0)
                return;
        uint32_t index = node->position - 1;
        scope_assert(index < heap->count && heap->nodes[index] == node);
        node->position = 0;
        struct scope_timer_node *last = heap->nodes[--heap->count];
        if (last == node)
                return;
        if (index > 0 && before(last, heap->nodes[(index - 1) / 2]))
                sift_up(heap, index, last);
        else
                sift_down(heap, index, last);
}

struct scope_timer_node *scope_timer_heap_take(struct scope_timer_heap *heap, uint64_t now_ns)
{
        if (heap->count == 0 || heap->nodes[0]->at_ns > now_ns)
                return NULL;
        struct scope_timer_node *node = heap->nodes[0];
        scope_timer_heap_remove(heap, node);
        return node;
}

uint64_t scope_timer_heap_next_ns(const struct scope_timer_heap *heap)
{
        return heap->count == 0 ? UINT64_MAX : heap->nodes[0]->at_ns;
}

void scope_timer_heap_fini(struct scope_timer_heap *heap)
{
        free(heap->nodes);
        *heap = (struct scope_timer_heap){ 0 };
}
