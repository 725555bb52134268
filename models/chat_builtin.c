#include "models/chat_builtin.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "models/jinja_parts.h"

enum style {
        STYLE_CHATML,
        STYLE_QWEN3, /* ChatML; thoughts of earlier turns are left out */
        STYLE_LLAMA3,
        STYLE_LLAMA31, /* a system turn with dates comes first */
};

struct scope_chat_builtin {
        const char *name;
        enum style style;
        const char *system; /* where the messages have none; NULL = then there is none */
        bool no_thought;    /* opens with an empty thought */
};

static const struct scope_chat_builtin builtins[] = {
        { "chatml", STYLE_CHATML, NULL, false },
        { "qwen2", STYLE_CHATML, "You are a helpful assistant.", false },
        { "qwen2.5", STYLE_CHATML,
                "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", false },
        { "qwen2.5-math", STYLE_CHATML,
                "Please reason step by step, and put your final answer within \\boxed{}.", false },
        { "qwen3", STYLE_QWEN3, NULL, false },
        { "qwen3-nothink", STYLE_QWEN3, NULL, true },
        { "smollm2", STYLE_CHATML,
                "You are a helpful AI assistant named SmolLM, trained by Hugging Face", false },
        { "llama3", STYLE_LLAMA3, NULL, false },
        { "llama3.1", STYLE_LLAMA31, NULL, false },
};
enum { BUILTINS = sizeof builtins / sizeof builtins[0] };

/* FNV-1a of the whole text of templates that we have seen, and compared with what they give. */
static const struct {
        uint64_t hash;
        const char *name;
} known[] = {
        { 0xc2b27ee60f1b8775u, "qwen2.5" },
        { 0xe642ce246d7f2e3du, "qwen2.5" }, /* without its last newline */
        { 0x959a4551391a6549u, "qwen3" },
        { 0x2bfdb7aa9754484eu, "qwen3" },
        { 0x45ec583d4d25bc3au, "smollm2" },
        { 0x0e60067a5537498eu, "llama3" },
        { 0x60848a05837ce656u, "llama3.1" },
        { 0xcc0368e1ffb6b958u, "llama3.1" },
};

static uint64_t hash_of(const char *source, size_t bytes)
{
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < bytes; i++)
                hash = (hash ^ (unsigned char)source[i]) * 0x100000001b3u;
        return hash;
}

const struct scope_chat_builtin *scope_chat_builtin_named(const char *name)
{
        for (size_t i = 0; i < BUILTINS; i++)
                if (strcmp(builtins[i].name, name) == 0)
                        return &builtins[i];
        return NULL;
}

const struct scope_chat_builtin *scope_chat_builtin_of_source(const char *source, size_t bytes)
{
        uint64_t hash = hash_of(source, bytes);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (known[i].hash == hash)
                        return scope_chat_builtin_named(known[i].name);
        return NULL;
}

const char *scope_chat_builtin_bos(const struct scope_chat_builtin *builtin)
{
        bool llama = builtin->style == STYLE_LLAMA3 || builtin->style == STYLE_LLAMA31;
        return llama ? "<|begin_of_text|>" : NULL;
}

const char *scope_chat_builtin_name(const struct scope_chat_builtin *builtin)
{
        return builtin->name;
}

void scope_chat_builtin_names(struct scope_text *text)
{
        for (size_t i = 0; i < BUILTINS; i++)
                scope_text_format(text, "%s%s", i > 0 ? ", " : "", builtins[i].name);
}

/* ---- what fits ---- */

static const char *role_of(const json_t *message)
{
        return json_string_value(json_object_get(message, "role"));
}

static bool message_fits(const json_t *message)
{
        const char *role = role_of(message);
        return json_object_size(message) == 2 && role != NULL &&
               json_is_string(json_object_get(message, "content")) &&
               (strcmp(role, "system") == 0 || strcmp(role, "user") == 0 ||
                       strcmp(role, "assistant") == 0);
}

bool scope_chat_builtin_fits(
        const struct scope_chat_builtin *builtin, const json_t *messages, const json_t *variables)
{
        const char *key = builtin->style == STYLE_QWEN3     ? "enable_thinking"
                          : builtin->style == STYLE_LLAMA31 ? "date_string"
                                                            : "";
        const json_t *value = json_object_get(variables, key);
        bool text = builtin->style == STYLE_LLAMA31;
        if (json_array_size(messages) == 0)
                return false;
        if (json_object_size(variables) != (value != NULL ? 1u : 0u))
                return false;
        if (value != NULL && (text ? !json_is_string(value) : !json_is_boolean(value)))
                return false;
        for (size_t i = 0; i < json_array_size(messages); i++)
                if (!message_fits(json_array_get(messages, i)))
                        return false;
        return true;
}

/* ---- pieces of text ---- */

struct piece {
        const char *at;
        size_t bytes;
};

static struct piece content_of(const json_t *message)
{
        const json_t *content = json_object_get(message, "content");
        return (struct piece){ json_string_value(content), json_string_length(content) };
}

static struct piece strip(struct piece text, const char *set, bool left, bool right)
{
        while (left && text.bytes > 0 && text.at[0] != 0 && strchr(set, text.at[0]) != NULL)
                text.at++, text.bytes--;
        while (right && text.bytes > 0 && text.at[text.bytes - 1] != 0 &&
                strchr(set, text.at[text.bytes - 1]) != NULL)
                text.bytes--;
        return text;
}

/* Up to the first `mark` (the whole where there is none), and behind the last one. */
static struct piece before_first(struct piece text, const char *mark)
{
        const char *found = memmem(text.at, text.bytes, mark, strlen(mark));
        if (found != NULL)
                text.bytes = (size_t)(found - text.at);
        return text;
}
static struct piece after_last(struct piece text, const char *mark)
{
        size_t bytes = strlen(mark);
        const char *found;
        while ((found = memmem(text.at, text.bytes, mark, bytes)) != NULL) {
                text.bytes -= (size_t)(found + bytes - text.at);
                text.at = found + bytes;
        }
        return text;
}

static bool has_affixes(struct piece text, const char *begin, const char *end)
{
        size_t first = strlen(begin), last = strlen(end);
        return text.bytes >= first && text.bytes >= last && memcmp(text.at, begin, first) == 0 &&
               memcmp(text.at + text.bytes - last, end, last) == 0;
}

/* ---- ChatML ---- */

static void chatml_turn(struct scope_text *text, const char *role, struct piece content)
{
        scope_text_format(text, "<|im_start|>%s\n", role);
        scope_text_add(text, content.at, content.bytes);
        scope_text_string(text, "<|im_end|>\n");
}

/* The last message of the user that is no answer of a tool; the last of all where none is. */
static size_t last_query(const json_t *messages)
{
        size_t count = json_array_size(messages);
        for (size_t i = count; i > 0; i--) {
                const json_t *message = json_array_get(messages, i - 1);
                if (strcmp(role_of(message), "user") == 0 &&
                        !has_affixes(content_of(message), "<tool_response>", "</tool_response>"))
                        return i - 1;
        }
        return count - 1;
}

/* An assistant's turn of Qwen3: the thought is shown behind the last question only. */
static void qwen3_answer(
        struct scope_text *text, struct piece content, bool behind_query, bool last)
{
        struct piece thought = { "", 0 };
        if (memmem(content.at, content.bytes, "</think>", 8) != NULL) {
                thought = strip(before_first(content, "</think>"), "\n", false, true);
                thought = strip(after_last(thought, "<think>"), "\n", true, false);
                content = strip(after_last(content, "</think>"), "\n", true, false);
        }
        scope_text_string(text, "<|im_start|>assistant\n");
        if (behind_query && (last || thought.bytes > 0)) {
                thought = strip(thought, "\n", true, true);
                content = strip(content, "\n", true, false);
                scope_text_string(text, "<think>\n");
                scope_text_add(text, thought.at, thought.bytes);
                scope_text_string(text, "\n</think>\n\n");
        }
        scope_text_add(text, content.at, content.bytes);
        scope_text_string(text, "<|im_end|>\n");
}

static void render_chatml(
        const struct scope_chat_builtin *builtin, const json_t *messages, struct scope_text *text)
{
        size_t count = json_array_size(messages), query = last_query(messages);
        bool has_system = strcmp(role_of(json_array_get(messages, 0)), "system") == 0;
        if (!has_system && builtin->system != NULL)
                chatml_turn(
                        text, "system", (struct piece){ builtin->system, strlen(builtin->system) });
        for (size_t i = 0; i < count; i++) {
                const json_t *message = json_array_get(messages, i);
                if (builtin->style == STYLE_QWEN3 && strcmp(role_of(message), "assistant") == 0)
                        qwen3_answer(text, content_of(message), i > query, i + 1 == count);
                else
                        chatml_turn(text, role_of(message), content_of(message));
        }
}

/* ---- Llama ---- */

static const char llama_head[] = "<|start_header_id|>%s<|end_header_id|>\n\n";

static struct piece trim(struct piece text)
{
        struct scope_jinja_string all = { text.at, text.bytes };
        all = scope_jinja_strip(all, NULL, true, true).as.string;
        return (struct piece){ all.at, all.bytes };
}

static void llama_turn(struct scope_text *text, const char *role, struct piece content)
{
        content = trim(content);
        scope_text_format(text, llama_head, role);
        scope_text_add(text, content.at, content.bytes);
        scope_text_string(text, "<|eot_id|>");
}

static void render_llama(const struct scope_chat_builtin *builtin, const json_t *messages,
        const json_t *variables, struct scope_text *text)
{
        size_t first = 0;
        scope_text_string(text, scope_chat_builtin_bos(builtin));
        if (builtin->style == STYLE_LLAMA31) {
                const char *date = json_string_value(json_object_get(variables, "date_string"));
                const json_t *message = json_array_get(messages, 0);
                scope_text_format(text, llama_head, "system");
                scope_text_format(text, "Cutting Knowledge Date: December 2023\nToday Date: %s\n\n",
                        date != NULL ? date : "26 Jul 2024");
                if (strcmp(role_of(message), "system") == 0) {
                        struct piece system = trim(content_of(message));
                        scope_text_add(text, system.at, system.bytes);
                        first = 1;
                }
                scope_text_string(text, "<|eot_id|>");
        }
        for (size_t i = first; i < json_array_size(messages); i++) {
                const json_t *message = json_array_get(messages, i);
                llama_turn(text, role_of(message), content_of(message));
        }
}

void scope_chat_builtin_render(const struct scope_chat_builtin *builtin, const json_t *messages,
        const json_t *variables, bool generation_prompt, struct scope_text *text)
{
        bool llama = builtin->style == STYLE_LLAMA3 || builtin->style == STYLE_LLAMA31;
        if (llama)
                render_llama(builtin, messages, variables, text);
        else
                render_chatml(builtin, messages, text);
        if (!generation_prompt)
                return;
        if (llama)
                scope_text_format(text, llama_head, "assistant");
        else
                scope_text_string(text, "<|im_start|>assistant\n");
        if (builtin->no_thought || json_is_false(json_object_get(variables, "enable_thinking")))
                scope_text_string(text, "<think>\n\n</think>\n\n");
}
