#include "cli/trail_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "actors/idle.h"
#include "base/file.h"
#include "base/text.h"

enum { FIELDS = 8, LINE_MAX_BYTES = 1 << 14 };

/* --- writing -------------------------------------------------------------------------------- */

static void put(FILE *file, struct scope_text *text)
{
        if (!text->failed)
                (void)fprintf(file, "%s\n", text->bytes); /* failures show in ferror */
        scope_text_fini(text);
}

void scope_trail_write_begin(
        FILE *file, const struct scope_overlap_setting *setting, uint64_t repeat)
{
        struct scope_text text = { 0 };
        scope_json_open(&text, NULL, '{');
        scope_json_int(&text, "trail", SCOPE_TRAIL_SCHEMA);
        scope_json_text(&text, "strategy", setting->strategy);
        scope_json_uint(&text, "eta", setting->eta);
        scope_json_uint(&text, "prompts_per_step", setting->prompts_per_step);
        scope_json_uint(&text, "group_size", setting->group_size);
        scope_json_uint(&text, "slots", setting->slots);
        scope_json_uint(&text, "teacher_concurrency", setting->teacher_concurrency);
        scope_json_uint(&text, "queue_groups", setting->queue_groups);
        scope_json_uint(&text, "teacher_groups", setting->teacher_groups);
        scope_json_bool(&text, "drain", setting->drain);
        scope_json_double(&text, "partial", setting->partial);
        scope_json_double(&text, "swap_s", setting->swap_s);
        scope_json_double(&text, "cores", setting->cores);
        if (setting->teacher_rate > 0)
                scope_json_double(&text, "teacher_rate", setting->teacher_rate);
        if (scope_step_law_is(&setting->step)) {
                scope_json_open(&text, "step", '{');
                scope_json_double(&text, "least_s", setting->step.least_s);
                scope_json_double(&text, "base_s", setting->step.base_s);
                scope_json_double(&text, "each_s", setting->step.each_s);
                scope_json_double(&text, "engines", setting->step.engines);
                scope_json_close(&text, '}');
        }
        scope_json_text(&text, "about", setting->about);
        scope_json_uint(&text, "repeat", repeat);
        scope_json_close(&text, '}');
        put(file, &text);
}

static char *put_number(char *at, uint64_t value)
{
        char digits[20];
        int count = 0;
        do {
                digits[count++] = (char)('0' + value % 10);
                value /= 10;
        } while (value > 0);
        while (count > 0)
                *at++ = digits[--count];
        return at;
}

/* Within an actor's turn, some thousand times a step: no printf. */
void scope_trail_write_event(FILE *file, const struct scope_audit *event)
{
        char line[FIELDS * 21 + 2], *at = line;
        const uint64_t fields[FIELDS] = { (uint64_t)event->kind, event->now_ns, event->group,
                event->sample, event->value, event->version, event->since_ns, event->service_ns };
        int count = FIELDS;
        while (count > 2 && fields[count - 1] == 0)
                count--;
        for (int i = 0; i < count; i++) {
                *at++ = i == 0 ? '[' : ',';
                at = put_number(at, fields[i]);
        }
        *at++ = ']';
        *at++ = '\n';
        (void)fwrite(line, 1, (size_t)(at - line), file); /* failures show in ferror */
}

static void write_usage(FILE *file, const struct scope_actor_usage *usage)
{
        struct scope_text text = { 0 };
        scope_json_open(&text, NULL, '{');
        scope_json_text(&text, "actor", usage->name);
        scope_json_uint(&text, "busy_ns", usage->busy_ns);
        scope_json_uint(&text, "alive_ns", usage->alive_ns);
        scope_json_open(&text, "idle", '{');
        for (int i = 0; i < SCOPE_IDLE_CAUSES; i++)
                if (usage->idle[i].cause != NULL)
                        scope_json_uint(&text, usage->idle[i].cause, usage->idle[i].ns);
        scope_json_close(&text, '}');
        scope_json_close(&text, '}');
        put(file, &text);
}

void scope_trail_write_end(FILE *file, const struct scope_trail_end *end)
{
        struct scope_text text = { 0 };
        for (unsigned i = 0; i < end->usage_count; i++)
                write_usage(file, &end->usage[i]);
        scope_json_open(&text, NULL, '{');
        scope_json_bool(&text, "end", true);
        scope_json_double(&text, "wall_s", end->wall_s);
        scope_json_double(&text, "cpu_s_per_group", end->cpu_s_per_group);
        scope_json_double(&text, "cores_taken", end->cores_taken);
        if (end->has_alone) {
                scope_json_open(&text, "alone", '{');
                scope_json_double(&text, "decode", end->alone.decode);
                scope_json_double(&text, "prm", end->alone.prm);
                scope_json_double(&text, "teacher", end->alone.teacher);
                scope_json_double(&text, "learn", end->alone.learn);
                scope_json_double(&text, "publish", end->alone.publish);
                scope_json_double(&text, "streamed", end->alone.streamed);
                scope_json_close(&text, '}');
        }
        scope_json_close(&text, '}');
        put(file, &text);
}

enum scope_err scope_trail_end_usage(
        struct scope_trail_end *end, const struct scope_actor_usage *usage, unsigned count)
{
        struct scope_actor_usage *copy = malloc((count + 1) * sizeof *copy);
        if (copy == NULL)
                return SCOPE_ERR_MEMORY;
        memcpy(copy, usage, count * sizeof *copy);
        free(end->usage);
        end->usage = copy;
        end->usage_count = count;
        return SCOPE_OK;
}

void scope_trail_end_fini(struct scope_trail_end *end)
{
        free(end->usage);
        *end = (struct scope_trail_end){ 0 };
}

/* --- reading -------------------------------------------------------------------------------- */

struct reader {
        const char *path;
        uint64_t line;
        struct scope_overlap_trail *trail; /* NULL: events go to `event` */
        void (*event)(void *context, const struct scope_audit *event);
        void *context;
        struct scope_overlap_setting *setting;
        struct scope_trail_end *end;
        uint64_t *repeat;
        bool begun, ended;
        struct scope_diag *diag;
};

static enum scope_err wrong(struct reader *reader, const char *what)
{
        return scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "%s:%" PRIu64 ": %s", reader->path,
                reader->line, what);
}

static bool take_count(const json_t *object, const char *key, uint64_t most, uint64_t *ret)
{
        const json_t *value = json_object_get(object, key);
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
                (uint64_t)json_integer_value(value) > most)
                return false;
        *ret = (uint64_t)json_integer_value(value);
        return true;
}

static double number(const json_t *object, const char *key)
{
        double value = json_number_value(json_object_get(object, key));
        return value > 0 ? value : 0;
}

static enum scope_err read_setting(struct reader *reader, const json_t *object)
{
        struct scope_overlap_setting *setting = reader->setting;
        const char *strategy = json_string_value(json_object_get(object, "strategy"));
        const char *about = json_string_value(json_object_get(object, "about"));
        uint64_t schema, prompts, samples, slots, concurrency, queue;
        char words[160];
        if (!take_count(object, "trail", UINT32_MAX, &schema))
                return wrong(reader, "this is no audit trail: the first line has no \"trail\"");
        if (schema != SCOPE_TRAIL_SCHEMA) {
                (void)snprintf(words, sizeof words,
                        "this trail has schema %" PRIu64 "; this version reads schema %d", schema,
                        SCOPE_TRAIL_SCHEMA);
                return wrong(reader, words);
        }
        if (strategy == NULL || scope_strategy_find(strategy) == NULL)
                return wrong(reader, "\"strategy\" is not one that this version knows");
        if (!take_count(object, "eta", 1024, &setting->eta) ||
                !take_count(object, "prompts_per_step", 4096, &prompts) || prompts == 0 ||
                !take_count(object, "group_size", 64, &samples) || samples == 0 ||
                !take_count(object, "slots", 1 << 26, &slots) || slots == 0 ||
                !take_count(object, "teacher_concurrency", 1 << 20, &concurrency) ||
                !take_count(object, "queue_groups", 4096, &queue) ||
                !take_count(object, "repeat", UINT32_MAX, reader->repeat))
                return wrong(reader,
                        "eta, prompts_per_step, group_size, slots, teacher_concurrency, "
                        "queue_groups or repeat is missing or out of range");
        (void)snprintf(setting->strategy, sizeof setting->strategy, "%s", strategy);
        (void)snprintf(setting->about, sizeof setting->about, "%s", about != NULL ? about : "");
        setting->prompts_per_step = (uint32_t)prompts;
        setting->group_size = (uint32_t)samples;
        setting->slots = (uint32_t)slots;
        setting->teacher_concurrency = (uint32_t)concurrency;
        setting->queue_groups = (uint32_t)queue;
        setting->teacher_groups = (uint32_t)number(object, "teacher_groups");
        setting->drain = json_is_true(json_object_get(object, "drain"));
        setting->partial = number(object, "partial");
        setting->swap_s = number(object, "swap_s");
        setting->cores = number(object, "cores");
        setting->teacher_rate = number(object, "teacher_rate");
        const json_t *step = json_object_get(object, "step");
        setting->step = (struct scope_step_law){ .least_s = number(step, "least_s"),
                .base_s = number(step, "base_s"),
                .each_s = number(step, "each_s"),
                .engines = number(step, "engines") };
        if (scope_step_law_is(&setting->step) && setting->step.engines < 1)
                return wrong(reader, "\"step\" needs \"engines\", 1 or more");
        reader->begun = true;
        return SCOPE_OK;
}

static enum scope_err read_event(struct reader *reader, const char *line)
{
        uint64_t fields[FIELDS] = { 0 };
        const char *at = line + 1;
        int count = 0;
        for (;;) {
                char *end;
                if (*at < '0' || *at > '9' || count == FIELDS)
                        return wrong(reader, "an event is at most eight whole numbers in brackets");
                errno = 0;
                fields[count++] = strtoull(at, &end, 10);
                if (errno != 0)
                        return wrong(reader, "a number is too large");
                at = end + 1;
                if (*end == ']')
                        break;
                if (*end != ',')
                        return wrong(reader, "an event is at most eight whole numbers in brackets");
        }
        if (count < 2 || (*at != '\n' && *at != 0) || fields[0] >= SCOPE_AUDIT_KINDS ||
                fields[3] > UINT32_MAX)
                return wrong(reader, "an event of an unknown kind");
        struct scope_audit event = { .kind = (enum scope_audit_kind)fields[0],
                .now_ns = fields[1],
                .group = fields[2],
                .sample = (uint32_t)fields[3],
                .value = fields[4],
                .version = fields[5],
                .since_ns = fields[6],
                .service_ns = fields[7] };
        reader->event(reader->context, &event);
        return SCOPE_OK;
}

/* Causes are static text elsewhere: here they are matched with those that actors say. */
static const char *known_cause(const char *name)
{
        for (int i = 0; i < SCOPE_IDLE_COUNT; i++)
                if (strcmp(scope_idle_words[i], name) == 0)
                        return scope_idle_words[i];
        return "other";
}

static enum scope_err read_usage(struct reader *reader, json_t *object)
{
        struct scope_trail_end *end = reader->end;
        const char *name = json_string_value(json_object_get(object, "actor"));
        const char *cause;
        json_t *value;
        int i = 0;
        if (name == NULL || end->usage_count == SCOPE_TRAIL_USAGE_MAX)
                return wrong(reader, "no actor's name, or too many actors");
        struct scope_actor_usage *grown =
                realloc(end->usage, (end->usage_count + 1) * sizeof *grown);
        if (grown == NULL)
                return SCOPE_ERR_MEMORY;
        end->usage = grown;
        struct scope_actor_usage *usage = &end->usage[end->usage_count++];
        *usage = (struct scope_actor_usage){ .busy_ns = 0 };
        (void)snprintf(usage->name, sizeof usage->name, "%s", name);
        if (!take_count(object, "busy_ns", INT64_MAX, &usage->busy_ns) ||
                !take_count(object, "alive_ns", INT64_MAX, &usage->alive_ns))
                return wrong(reader, "busy_ns or alive_ns is missing");
        json_object_foreach(json_object_get(object, "idle"), cause, value)
        {
                if (i == SCOPE_IDLE_CAUSES || !json_is_integer(value) ||
                        json_integer_value(value) < 0)
                        return wrong(reader, "\"idle\" has at most sixteen causes, in nanoseconds");
                usage->idle[i].cause = known_cause(cause);
                usage->idle[i++].ns = (uint64_t)json_integer_value(value);
        }
        return SCOPE_OK;
}

static enum scope_err read_end(struct reader *reader, const json_t *object)
{
        const json_t *alone = json_object_get(object, "alone");
        reader->ended = true;
        reader->end->wall_s = number(object, "wall_s");
        reader->end->cpu_s_per_group = number(object, "cpu_s_per_group");
        reader->end->cores_taken = number(object, "cores_taken");
        reader->end->has_alone = json_is_object(alone);
        reader->end->alone = (struct scope_batch_times){ .decode = number(alone, "decode"),
                .prm = number(alone, "prm"),
                .teacher = number(alone, "teacher"),
                .learn = number(alone, "learn"),
                .publish = number(alone, "publish"),
                .streamed = number(alone, "streamed") };
        return SCOPE_OK;
}

static enum scope_err read_line(struct reader *reader, const char *line)
{
        if (reader->ended)
                return wrong(reader, "something follows the end");
        if (reader->begun && line[0] == '[')
                return read_event(reader, line);
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        enum scope_err err;
        if (!json_is_object(object))
                err = wrong(reader, "not a JSON object");
        else if (!reader->begun)
                err = read_setting(reader, object);
        else if (json_object_get(object, "end") != NULL)
                err = read_end(reader, object);
        else
                err = read_usage(reader, object);
        json_decref(object);
        return err;
}

/* Every line of the file. */
static enum scope_err read_file(struct reader *reader)
{
        char *line = malloc(LINE_MAX_BYTES);
        enum scope_err err = SCOPE_OK;
        memset(reader->setting, 0, sizeof *reader->setting);
        memset(reader->end, 0, sizeof *reader->end);
        if (line == NULL)
                return SCOPE_ERR_MEMORY;
        FILE *file = fopen(reader->path, "re");
        if (file == NULL) {
                free(line);
                return scope_diag_set(reader->diag, scope_err_from_errno(errno), "%s: %s",
                        reader->path, strerror(errno));
        }
        while (err == SCOPE_OK && fgets(line, LINE_MAX_BYTES, file) != NULL) {
                if (strchr(line, '\n') == NULL && feof(file))
                        break; /* what writes it was cut off */
                bool first = !reader->begun;
                reader->line++;
                err = read_line(reader, line);
                if (err == SCOPE_OK && first && reader->event == NULL) {
                        err = scope_overlap_trail_create(reader->setting, &reader->trail);
                        reader->event = scope_overlap_trail_event;
                        reader->context = reader->trail;
                }
        }
        if (err == SCOPE_OK && ferror(file))
                err = scope_diag_set(
                        reader->diag, SCOPE_ERR_IO, "%s: cannot be read", reader->path);
        if (err == SCOPE_OK && !reader->begun)
                err = scope_diag_set(reader->diag, SCOPE_ERR_FORMAT, "%s: empty", reader->path);
        (void)fclose(file); /* only read from */
        free(line);
        return err;
}

enum scope_err scope_trail_read(const char *path, struct scope_overlap_trail **ret_trail,
        struct scope_overlap_setting *ret_setting, uint64_t *ret_repeat,
        struct scope_trail_end *ret_end, struct scope_diag *diag)
{
        struct reader reader = { .path = path,
                .setting = ret_setting,
                .end = ret_end,
                .repeat = ret_repeat,
                .diag = diag };
        enum scope_err err = read_file(&reader);
        if (err == SCOPE_OK && !reader.ended)
                err = wrong(&reader, "the trail ends before its end line: the run was cut off");
        if (err != SCOPE_OK) {
                scope_overlap_trail_destroy(reader.trail);
                scope_trail_end_fini(ret_end);
                reader.trail = NULL;
        }
        *ret_trail = reader.trail;
        return err;
}

enum scope_err scope_trail_scan(const char *path,
        void (*event)(void *context, const struct scope_audit *event), void *context,
        struct scope_overlap_setting *ret_setting, struct scope_diag *diag)
{
        struct scope_trail_end end;
        uint64_t repeat = 0;
        struct reader reader = { .path = path,
                .event = event,
                .context = context,
                .setting = ret_setting,
                .end = &end,
                .repeat = &repeat,
                .diag = diag };
        enum scope_err err = read_file(&reader);
        scope_trail_end_fini(&end);
        return err;
}
