/* codec_flatbuffers.cc - the codec of codec.h on libflatbuffers, driven by the rows of
 * record_kind.h.
 * (1) Bytes are read only after flatc's verifier accepted them. (2) No exception passes the
 * `extern "C"` functions. (3) A failed decode leaves the arena and the record as they were. */
#include "schemas/codec.h"

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/limits.h"
#include "messages_generated.h"
#include "schemas/record_kind.h"

static_assert(FLATBUFFERS_LITTLEENDIAN, "arrays are handed out in place");
static_assert(sizeof(bool) == 1, "bools are one byte here and on the wire");

namespace
{

enum {
        DEPTH_MAX = 16,
        TABLES_MAX = 10000,
};

using field = scope_record_field;
using record_kind = scope_record_kind;

/* ---- encode ---- */

using builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::uoffset_t;

template <class T> T load(const uint8_t *at)
{
        T value;
        std::memcpy(&value, at, sizeof value);
        return value;
}

struct too_big : std::exception {
};

/* One builder a thread, and a stack of the offsets of parts written but not yet listed. */
struct writer {
        builder bytes;
        std::vector<flatbuffers::Offset<void>> parts;

        uoffset_t record(const record_kind &kind, const uint8_t *from);
        uoffset_t array(const field &row, const uint8_t *from);
        uoffset_t list(const field &row, const uint8_t *items, uint32_t count);
        void scalar(const field &row, const uint8_t *from);
};

uoffset_t writer::list(const field &row, const uint8_t *items, uint32_t count)
{
        size_t first = parts.size();
        for (uint32_t i = 0; i < count; i++) {
                uoffset_t part = record(*row.part, items + size_t(i) * row.part->bytes);
                parts.push_back(flatbuffers::Offset<void>(part));
        }
        uoffset_t all = bytes.CreateVector(parts.data() + first, count).o;
        parts.resize(first);
        return all;
}

/* 0 = nothing to write: an absent array is an empty one. */
uoffset_t writer::array(const field &row, const uint8_t *from)
{
        if (row.type == SCOPE_FIELD_TEXT) {
                auto text = load<scope_string>(from + row.at);
                if (text.bytes > row.max)
                        throw too_big();
                return text.bytes == 0 ? 0 : bytes.CreateString(text.at, text.bytes).o;
        }
        const void *items = load<const void *>(from + row.at);
        uint32_t count = load<uint32_t>(from + row.count_at);
        if (count == 0 || (items == nullptr && row.length == SCOPE_LENGTH_SAME_OR_NONE))
                return 0;
        scope_assert(items != nullptr);
        if (count > row.max)
                throw too_big();
        switch (row.type) {
        case SCOPE_FIELD_U32S:
                return bytes.CreateVector(static_cast<const uint32_t *>(items), count).o;
        case SCOPE_FIELD_U64S:
                return bytes.CreateVector(static_cast<const uint64_t *>(items), count).o;
        case SCOPE_FIELD_F32S:
                return bytes.CreateVector(static_cast<const float *>(items), count).o;
        default:
                return list(row, static_cast<const uint8_t *>(items), count);
        }
}

void writer::scalar(const field &row, const uint8_t *from)
{
        const uint8_t *at = from + row.at;
        switch (row.type) {
        case SCOPE_FIELD_BOOL:
        case SCOPE_FIELD_U8:
                return bytes.AddElement<uint8_t>(row.slot, *at, 0);
        case SCOPE_FIELD_U32:
                return bytes.AddElement<uint32_t>(row.slot, load<uint32_t>(at), 0);
        case SCOPE_FIELD_U64:
                return bytes.AddElement<uint64_t>(row.slot, load<uint64_t>(at), 0);
        case SCOPE_FIELD_F32:
                return bytes.AddElement<float>(row.slot, load<float>(at), 0);
        default:
                return bytes.AddElement<double>(row.slot, load<double>(at), 0);
        }
}

uoffset_t writer::record(const record_kind &kind, const uint8_t *from)
{
        uoffset_t arrays[SCOPE_RECORD_FIELDS_MAX];
        for (uint32_t i = 0; i < kind.field_count; i++)
                arrays[i] =
                        kind.fields[i].type >= SCOPE_FIELD_TEXT ? array(kind.fields[i], from) : 0;
        uoffset_t start = bytes.StartTable();
        for (uint32_t i = 0; i < kind.field_count; i++) {
                const field &row = kind.fields[i];
                if (row.type < SCOPE_FIELD_TEXT)
                        scalar(row, from);
                else if (arrays[i] != 0)
                        bytes.AddOffset(row.slot, flatbuffers::Offset<void>(arrays[i]));
        }
        return bytes.EndTable(start);
}

/* ---- decode ---- */

struct reader {
        const scope_codec_limits &limits;
        scope_arena *arena;

        scope_err record(const record_kind &kind, const flatbuffers::Table *table, uint8_t *to);
        scope_err scalar(const field &row, const flatbuffers::Table *table, uint8_t *to);
        scope_err array(const field &row, const flatbuffers::Table *table, uint8_t *to);
        scope_err list(const field &row, const uint8_t *vector, uint32_t count, void **ret_parts);
        bool whole_ok(const field &row, uint64_t value) const;
};

bool reader::whole_ok(const field &row, uint64_t value) const
{
        switch (row.rule) {
        case SCOPE_RULE_AT_MOST:
                return value <= row.max;
        case SCOPE_RULE_SAMPLE:
                return value < limits.group_samples_max;
        case SCOPE_RULE_VERSION:
                return value <= limits.version_newest;
        default:
                return true;
        }
}

bool real_ok(uint8_t rule, double value)
{
        if (!std::isfinite(value))
                return false;
        switch (rule) {
        case SCOPE_RULE_NOT_POSITIVE:
                return value <= 0;
        case SCOPE_RULE_NOT_NEGATIVE:
                return value >= 0;
        case SCOPE_RULE_PROBABILITY:
                return value >= 0 && value <= 1;
        default:
                return true;
        }
}

template <class T> T put(uint8_t *to, T value)
{
        std::memcpy(to, &value, sizeof value);
        return value;
}

scope_err reader::scalar(const field &row, const flatbuffers::Table *table, uint8_t *to)
{
        bool ok;
        to += row.at;
        switch (row.type) {
        case SCOPE_FIELD_BOOL:
                ok = put(to, table->GetField<uint8_t>(row.slot, 0)) <= 1;
                break;
        case SCOPE_FIELD_U8:
                ok = whole_ok(row, put(to, table->GetField<uint8_t>(row.slot, 0)));
                break;
        case SCOPE_FIELD_U32:
                ok = whole_ok(row, put(to, table->GetField<uint32_t>(row.slot, 0)));
                break;
        case SCOPE_FIELD_U64:
                ok = whole_ok(row, put(to, table->GetField<uint64_t>(row.slot, 0)));
                break;
        case SCOPE_FIELD_F32:
                ok = real_ok(row.rule, double(put(to, table->GetField<float>(row.slot, 0))));
                break;
        default:
                ok = real_ok(row.rule, put(to, table->GetField<double>(row.slot, 0)));
                break;
        }
        return ok ? SCOPE_OK : SCOPE_ERR_FORMAT;
}

/* One comparison an element, no early way out: compilers make vector code of it. */
bool all_below(const uint32_t *values, uint32_t count, uint32_t bound)
{
        uint32_t bad = 0;
        for (uint32_t i = 0; i < count; i++)
                bad |= uint32_t(values[i] >= bound);
        return bad == 0;
}

bool whole_array_ok(
        const field &row, const uint32_t *values, uint32_t count, const scope_codec_limits &limits)
{
        switch (row.rule) {
        case SCOPE_RULE_TOKEN:
                return all_below(values, count, limits.vocab);
        case SCOPE_RULE_SAMPLE:
                return all_below(values, count, limits.group_samples_max);
        case SCOPE_RULE_RISING:
        case SCOPE_RULE_NOT_FALLING:
                for (uint32_t i = 1; i < count; i++)
                        if (values[i] < values[i - 1] ||
                                (row.rule == SCOPE_RULE_RISING && values[i] == values[i - 1]))
                                return false;
                return true;
        default:
                return true;
        }
}

/* Comparisons are false for a NaN, so bounds do for finite as well. */
bool real_array_ok(const field &row, const float *values, uint32_t count)
{
        float low = row.rule == SCOPE_RULE_PROBABILITY ? 0.0f : -FLT_MAX;
        float high = row.rule == SCOPE_RULE_PROBABILITY    ? 1.0f
                     : row.rule == SCOPE_RULE_NOT_POSITIVE ? 0.0f
                                                           : FLT_MAX;
        uint32_t good = 1;
        for (uint32_t i = 0; i < count; i++)
                good &= uint32_t(values[i] >= low) & uint32_t(values[i] <= high);
        return good != 0;
}

scope_err reader::list(const field &row, const uint8_t *vector, uint32_t count, void **ret_parts)
{
        auto parts =
                static_cast<uint8_t *>(scope_arena_take(arena, size_t(count) * row.part->bytes));
        if (parts == nullptr)
                return SCOPE_ERR_MEMORY;
        auto tables = reinterpret_cast<
                const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::Table>> *>(vector);
        for (uint32_t i = 0; i < count; i++) {
                scope_err err =
                        record(*row.part, tables->Get(i), parts + size_t(i) * row.part->bytes);
                if (err != SCOPE_OK)
                        return err;
        }
        *ret_parts = parts;
        return SCOPE_OK;
}

scope_err reader::array(const field &row, const flatbuffers::Table *table, uint8_t *to)
{
        auto vector = table->GetPointer<const uint8_t *>(row.slot);
        uint32_t count = vector == nullptr ? 0 : flatbuffers::ReadScalar<uint32_t>(vector);
        const void *items = count == 0 ? nullptr : vector + sizeof(uint32_t);
        if (count > row.max)
                return SCOPE_ERR_FORMAT;
        if (row.type == SCOPE_FIELD_TEXT) {
                put(to + row.at,
                        scope_string{ count == 0 ? "" : static_cast<const char *>(items), count });
                return SCOPE_OK;
        }
        if (row.length == SCOPE_LENGTH_OWN)
                put(to + row.count_at, count);
        else if (count != load<uint32_t>(to + row.count_at) &&
                 !(count == 0 && row.length == SCOPE_LENGTH_SAME_OR_NONE))
                return SCOPE_ERR_FORMAT;
        if (count == 0)
                return SCOPE_OK;
        if (row.type == SCOPE_FIELD_PARTS) {
                void *parts;
                scope_err err = list(row, vector, count, &parts);
                if (err == SCOPE_OK)
                        put(to + row.at, static_cast<const void *>(parts));
                return err;
        }
        /* The verifier looks at the alignment of a vector's length only. */
        if (reinterpret_cast<uintptr_t>(items) % (row.type == SCOPE_FIELD_U64S ? 8 : 4) != 0)
                return SCOPE_ERR_VERIFY;
        if (row.type == SCOPE_FIELD_U32S &&
                !whole_array_ok(row, static_cast<const uint32_t *>(items), count, limits))
                return SCOPE_ERR_FORMAT;
        if (row.type == SCOPE_FIELD_F32S &&
                !real_array_ok(row, static_cast<const float *>(items), count))
                return SCOPE_ERR_FORMAT;
        put(to + row.at, items);
        return SCOPE_OK;
}

/* `to` is zeroed. */
scope_err reader::record(const record_kind &kind, const flatbuffers::Table *table, uint8_t *to)
{
        for (uint32_t i = 0; i < kind.field_count; i++) {
                const field &row = kind.fields[i];
                scope_err err = row.type < SCOPE_FIELD_TEXT ? scalar(row, table, to)
                                                            : array(row, table, to);
                if (err != SCOPE_OK)
                        return err;
        }
        return kind.meaning == nullptr || kind.meaning(to, &limits) ? SCOPE_OK : SCOPE_ERR_FORMAT;
}

/* ---- the edge to C ---- */

scope_err encode(const record_kind &kind, const void *record, const uint8_t **ret_bytes,
        uint32_t *ret_count) noexcept
{
        try {
                static thread_local writer out;
                out.bytes.Clear();
                out.parts.clear();
                uoffset_t root = out.record(kind, static_cast<const uint8_t *>(record));
                out.bytes.Align(8); /* so that the bytes may be decoded where they stand */
                out.bytes.Finish(flatbuffers::Offset<void>(root), kind.identifier);
                if (out.bytes.GetSize() > SCOPE_MESSAGE_BYTES_MAX)
                        return SCOPE_ERR_TOO_BIG;
                *ret_bytes = out.bytes.GetBufferPointer();
                *ret_count = out.bytes.GetSize();
                return SCOPE_OK;
        } catch (const too_big &) {
                return SCOPE_ERR_TOO_BIG;
        } catch (...) {
                return SCOPE_ERR_MEMORY;
        }
}

/* `ret_record` is written on success only, from `local`. */
template <class Wire>
scope_err decode(const record_kind &kind, const uint8_t *bytes, size_t count,
        const scope_codec_limits *given, scope_arena *arena, void *local, void *ret_record) noexcept
{
        scope_assert(given != nullptr && arena != nullptr);
        scope_codec_limits limits = *given;
        if (limits.vocab == 0)
                limits.vocab = SCOPE_VOCAB_MAX;
        if (limits.group_samples_max == 0 || limits.group_samples_max > SCOPE_GROUP_SAMPLES_MAX)
                limits.group_samples_max = SCOPE_GROUP_SAMPLES_MAX;
        if (bytes == nullptr || reinterpret_cast<uintptr_t>(bytes) % 8 != 0 ||
                count > SCOPE_MESSAGE_BYTES_MAX)
                return SCOPE_ERR_VERIFY;
        size_t arena_used = arena->used;
        try {
                flatbuffers::Verifier verifier(bytes, count, DEPTH_MAX, TABLES_MAX);
                if (!verifier.VerifyBuffer<Wire>(kind.identifier))
                        return SCOPE_ERR_VERIFY;
                reader in{ limits, arena };
                scope_err err = in.record(kind, flatbuffers::GetRoot<flatbuffers::Table>(bytes),
                        static_cast<uint8_t *>(local));
                if (err == SCOPE_OK)
                        std::memcpy(ret_record, local, kind.bytes);
                else
                        arena->used = arena_used;
                return err;
        } catch (...) {
                arena->used = arena_used;
                return SCOPE_ERR_MEMORY;
        }
}

} // namespace

#define X(name, Wire)                                                                              \
        scope_err scope_encode_##name(                                                             \
                const scope_##name *record, const uint8_t **ret_bytes, uint32_t *ret_count)        \
        {                                                                                          \
                return encode(scope_##name##_kind, record, ret_bytes, ret_count);                  \
        }                                                                                          \
        scope_err scope_decode_##name(const uint8_t *bytes, size_t count,                          \
                const scope_codec_limits *limits, scope_arena *arena, scope_##name *ret_record)    \
        {                                                                                          \
                scope_##name local = {};                                                           \
                return decode<wire::Wire>(                                                         \
                        scope_##name##_kind, bytes, count, limits, arena, &local, ret_record);     \
        }
X(prompt, Prompt)
X(lease, Lease)
X(trajectory, Trajectory)
X(score_request, ScoreRequest)
X(score_answer, ScoreAnswer)
X(select_request, SelectRequest)
X(select_answer, SelectAnswer)
X(refine_request, RefineRequest)
X(refine_answer, RefineAnswer)
X(group, Group)
X(weights, Weights)
X(control, Control)
#undef X
