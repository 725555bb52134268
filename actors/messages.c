#include "actors/messages.h"

#include <string.h>

#include "base/check.h"

const char *scope_outcome_name(unsigned outcome)
{
        static const char *const names[SCOPE_OUTCOME_COUNT] = { "trained", "stale", "filtered",
                "failed" };
        scope_assert(outcome < SCOPE_OUTCOME_COUNT);
        return names[outcome];
}

static enum scope_err wrap(struct scope_actor *self, uint16_t kind, enum scope_lane lane,
        const uint8_t *bytes, uint32_t count, struct scope_message **ret_message)
{
        struct scope_message *message = NULL;
        enum scope_err err = scope_message_create(self, kind, lane, count, &message);
        if (err != SCOPE_OK)
                return err;
        memcpy(message->payload, bytes, count);
        *ret_message = message;
        return SCOPE_OK;
}

#define X(name)                                                                                    \
        enum scope_err scope_message_of_##name(struct scope_actor *self, uint16_t kind,            \
                enum scope_lane lane, const struct scope_##name *record,                           \
                struct scope_message **ret_message)                                                \
        {                                                                                          \
                const uint8_t *bytes;                                                              \
                uint32_t count;                                                                    \
                enum scope_err err = scope_encode_##name(record, &bytes, &count);                  \
                return err != SCOPE_OK ? err : wrap(self, kind, lane, bytes, count, ret_message);  \
        }                                                                                          \
        enum scope_err scope_message_read_##name(struct scope_actor *self,                         \
                const struct scope_message *message, const struct scope_codec_limits *limits,      \
                struct scope_##name *ret_record)                                                   \
        {                                                                                          \
                return scope_decode_##name(message->payload, message->bytes, limits,               \
                        scope_scratch(self), ret_record);                                          \
        }
SCOPE_RECORD_MAP(X)
#undef X

void scope_reply_taken(struct scope_actor *self, const struct scope_message *request)
{
        struct scope_message *answer = NULL;
        enum scope_err err =
                scope_message_create(self, SCOPE_KIND_TAKEN, SCOPE_LANE_CONTROL, 0, &answer);
        if (err == SCOPE_OK)
                scope_reply(self, request, &answer);
        else
                scope_reply_error(self, request, err);
}
