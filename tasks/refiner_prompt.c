#include "tasks/refiner_prompt.h"

#include <string.h>

#include "base/text.h"

static const char system_words[] =
        "You continue unfinished math solutions. You never restate or change text that is already "
        "written.";

/* Where the parts of the user's message begin and end. The reader looks for the same. */
static const char problem_open[] = "Problem:\n";
static const char prefix_open[] = "\n\nSolution so far (checked, correct, frozen):\n<<<\n";
static const char prefix_close[] = "\n>>>";
static const char whole_words[] = "\n\nWrite a complete solution.";
static const char message_words[] =
        "\n\nThe assistant's message below is frozen text: continue it.";
static const char gold_open[] = "\n\nKnown final answer: ";
static const char gold_close[] = "\n\n";

static void add(struct scope_text *text, struct scope_string string)
{
        scope_text_add(text, string.at, string.bytes);
}

static void write_rules(const struct scope_refiner_prompt *prompt, struct scope_text *text)
{
        bool frozen = prompt->prefix.bytes > 0;
        scope_text_string(text, frozen ? "Write only what comes next. Rules:\n" : "Rules:\n");
        scope_text_string(
                text, frozen ? "1. Begin directly with the step that follows the frozen text. "
                               "Do not repeat, summarise, correct or comment on it.\n"
                               "2. Keep its notation, tone and step size. "
                             : "1. Begin directly with the first step.\n"
                               "2. Keep the steps small. ");
        scope_text_string(text,
                "Put a blank line between steps.\n"
                "3. Derive the result; never mention that an answer was supplied to "
                "you.\n"
                "4. Finish with exactly one \\boxed{} whose content is exactly: ");
        add(text, prompt->gold);
        scope_text_string(text, "\n5. No headings, no preamble, nothing after the box.\n");
        if (frozen)
                scope_text_string(text, "6. If a step of the frozen text is wrong after all, write "
                                        "exactly " SCOPE_REFUSAL_MARKER " and nothing else.\n");
}

static void write_user(const struct scope_refiner_prompt *prompt, struct scope_text *text)
{
        scope_text_string(text, problem_open);
        add(text, prompt->problem);
        if (prompt->prefix.bytes == 0)
                scope_text_string(text, whole_words);
        else if (prompt->form == SCOPE_REFINER_INSTRUCT) {
                scope_text_string(text, prefix_open);
                add(text, prompt->prefix);
                scope_text_string(text, prefix_close);
        } else
                scope_text_string(text, message_words);
        scope_text_string(text, gold_open);
        add(text, prompt->gold);
        scope_text_string(text, gold_close);
        write_rules(prompt, text);
}

static void write_message(
        struct scope_text *text, const char *role, struct scope_string content, bool prefix)
{
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "role", role);
        scope_json_bytes(text, "content", content.at, content.bytes);
        if (prefix)
                scope_json_bool(text, "prefix", true);
        scope_json_close(text, '}');
}

void scope_refiner_prompt_write(const struct scope_refiner_prompt *prompt, struct scope_text *text)
{
        struct scope_text user = { 0 };
        bool message = prompt->prefix.bytes > 0 && prompt->form != SCOPE_REFINER_INSTRUCT;
        write_user(prompt, &user);
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "model", prompt->model);
        scope_json_open(text, "messages", '[');
        write_message(text, "system",
                (struct scope_string){ system_words, sizeof system_words - 1 }, false);
        write_message(
                text, "user", (struct scope_string){ user.bytes, (uint32_t)user.count }, false);
        if (message)
                write_message(
                        text, "assistant", prompt->prefix, prompt->form == SCOPE_REFINER_PREFIX);
        scope_json_close(text, ']');
        scope_json_double(text, "temperature", prompt->temperature);
        scope_json_uint(text, "max_tokens", prompt->max_tokens);
        if (message && prompt->form == SCOPE_REFINER_CONTINUE) {
                scope_json_bool(text, "continue_final_message", true);
                scope_json_bool(text, "add_generation_prompt", false);
        }
        scope_json_bool(text, "stream", prompt->stream);
        if (prompt->stream) {
                scope_json_open(text, "stream_options", '{');
                scope_json_bool(text, "include_usage", true);
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
        text->failed = text->failed || user.failed;
        scope_text_fini(&user);
}

/* ---- reading ---- */

/* Cuts `text` at the last `mark`: before it and after it. False, changing nothing: not there. A
 * student may write our marks into the prefix, but not behind it. */
static bool cut_last(struct scope_string *text, const char *mark, struct scope_string *ret_after)
{
        uint32_t bytes = (uint32_t)strlen(mark);
        for (uint32_t at = text->bytes; at >= bytes; at--)
                if (memcmp(text->at + at - bytes, mark, bytes) == 0) {
                        *ret_after = (struct scope_string){ text->at + at, text->bytes - at };
                        text->bytes = at - bytes;
                        return true;
                }
        return false;
}

static bool cut_first(struct scope_string *text, const char *mark, struct scope_string *ret_after)
{
        const char *found = memmem(text->at, text->bytes, mark, strlen(mark));
        if (found == NULL)
                return false;
        uint32_t begin = (uint32_t)(found - text->at), end = begin + (uint32_t)strlen(mark);
        *ret_after = (struct scope_string){ text->at + end, text->bytes - end };
        text->bytes = begin;
        return true;
}

static bool drop_end(struct scope_string *text, const char *end)
{
        size_t bytes = strlen(end);
        if (text->bytes < bytes || memcmp(text->at + text->bytes - bytes, end, bytes) != 0)
                return false;
        text->bytes -= (uint32_t)bytes;
        return true;
}

void scope_refiner_prompt_read(struct scope_string user, struct scope_refiner_prompt *ret_parts)
{
        struct scope_refiner_prompt parts = { 0 };
        struct scope_string rest, rules;
        parts.gold = parts.prefix = (struct scope_string){ "", 0 };
        if (cut_first(&user, problem_open, &rest))
                user = rest;
        if (cut_last(&user, gold_open, &parts.gold))
                (void)cut_first(&parts.gold, gold_close, &rules);
        if (drop_end(&user, prefix_close))
                (void)cut_first(&user, prefix_open, &parts.prefix);
        else if (!drop_end(&user, whole_words))
                (void)drop_end(&user, message_words);
        parts.problem = user;
        *ret_parts = parts;
}
