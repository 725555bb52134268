/* selector.c - which failure to repair.
 * Why: eqs. 2 to 4 over one group's candidates. Keeps no state: the lengths that define mean and
 * variance come with the question, so any number of selectors answer alike. */
#include "actors/messages.h"
#include "actors/stages.h"
#include "algorithm/select.h"
#include "base/limits.h"

struct selector {
        const struct scope_stages *stages;
};

static enum scope_err selector_init(struct scope_actor *self, void *state, void *args)
{
        struct selector *selector = state;
        (void)self;
        selector->stages = args;
        return SCOPE_OK;
}

static void select_one(
        struct scope_actor *self, struct selector *selector, struct scope_message *message)
{
        const struct scope_stages *stages = selector->stages;
        struct scope_choice choices[SCOPE_GROUP_SAMPLES_MAX];
        struct scope_select_request request;
        struct scope_message *reply = NULL;
        enum scope_err err =
                scope_message_read_select_request(self, message, &stages->limits, &request);
        if (err == SCOPE_OK) {
                struct scope_select_answer answer = { .group = request.group, .choices = choices };
                answer.choice_count =
                        scope_select_rank(&stages->options->scope.select, &request, choices);
                err = scope_message_of_select_answer(
                        self, SCOPE_KIND_SELECTED, SCOPE_LANE_DATA, &answer, &reply);
        }
        if (err == SCOPE_OK)
                scope_reply(self, message, &reply);
        else
                scope_reply_error(self, message, err);
}

static void selector_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        switch (message->kind) {
        case SCOPE_KIND_SELECT:
                select_one(self, state, message);
                break;
        case SCOPE_KIND_START:
        default:
                break;
        }
        scope_message_free(message);
}

const struct scope_actor_class scope_selector_class = {
        .name = "selector",
        .state_bytes = sizeof(struct selector),
        .scratch_bytes = 4 << 20,
        .init = selector_init,
        .receive = selector_receive,
};
