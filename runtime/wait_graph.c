/* wait_graph.c - who waits for whom, for what, since when.
 * Why: a pipeline that stands still must say why by itself. Every request and every operation is
 * a named wait; one that lasts is reported once, as a notice "wait", and all can be listed at
 * any time. */
#include <stdio.h>

#include "base/check.h"
#include "base/text.h"
#include "runtime/core.h"

static void describe(const struct scope_actor *actor, const struct scope_wait_view *wait,
        uint64_t now_ns, char *text, size_t bytes)
{
        const struct scope_system *system = actor->system;
        uint64_t age_ms = now_ns > wait->since_ns ? (now_ns - wait->since_ns) / 1000000 : 0;
        const char *target = wait->target < system->actor_count
                                     ? system->actors[wait->target]->name
                                     : NULL;
        (void)snprintf(text, bytes, "%s waits for %s%s%s since %llu.%llu s", actor->name,
                target != NULL ? target : "", target != NULL ? ": " : "",
                wait->what != NULL ? wait->what : "an answer",
                (unsigned long long)(age_ms / 1000), (unsigned long long)(age_ms % 1000 / 100));
}

static void report(struct scope_actor *actor, struct scope_pending *slot, uint64_t now_ns)
{
        struct scope_wait_view wait;
        uint64_t limit_ns = actor->system->options.wait_report_ns;
        if (slot->reported || !scope_wait_read(slot, &wait) || now_ns - wait.since_ns < limit_ns)
                return;
        slot->reported = true;
        char text[256];
        describe(actor, &wait, now_ns, text, sizeof text);
        scope_system_notice(actor, "wait", text);
}

/* Looks through the loop's waits; comes again while there are any. */
static void look(void *owner, struct scope_timer_node *node)
{
        (void)node;
        struct scope_loop *loop = owner;
        bool any = false;
        for (uint32_t i = 0; i < loop->system->actor_count; i++) {
                struct scope_actor *actor = loop->system->actors[i];
                if (actor->loop != loop)
                        continue;
                for (uint32_t s = 0; s < actor->pending.slots; s++) {
                        struct scope_pending *slot = scope_pending_at(&actor->pending, s);
                        any = any || atomic_load_explicit(&slot->wait.id,
                                             memory_order_relaxed) != 0;
                        report(actor, slot, loop->now_ns);
                }
        }
        if (any)
                scope_wait_graph_arm(loop);
}

void scope_wait_graph_arm(struct scope_loop *loop)
{
        uint64_t period_ns = loop->system->options.wait_report_ns / 4;
        if (loop->wait_node.position != 0 || period_ns == 0)
                return;
        loop->wait_node.at_ns = loop->now_ns + period_ns;
        loop->wait_node.fire = look;
        /* Without memory the next wait tries again: only the report is late. */
        (void)scope_timer_heap_add(&loop->timers, &loop->wait_node);
}

unsigned scope_system_waits(struct scope_system *system, uint64_t min_age_ns,
        struct scope_text *text)
{
        uint64_t now_ns = system->ops->now_ns(&system->loops[0]);
        unsigned count = 0;
        for (uint32_t i = 0; i < system->actor_count; i++) {
                const struct scope_actor *actor = system->actors[i];
                struct scope_pending *slot = NULL;
                for (uint32_t s = 0; (slot = scope_pending_at(&actor->pending, s)) != NULL; s++) {
                        struct scope_wait_view wait;
                        if (!scope_wait_read(slot, &wait) || wait.since_ns > now_ns ||
                                now_ns - wait.since_ns < min_age_ns)
                                continue;
                        char line[256];
                        describe(actor, &wait, now_ns, line, sizeof line);
                        scope_text_format(text, "%s\n", line);
                        count++;
                }
        }
        return count;
}
