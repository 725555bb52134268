/* fuzz_jinja.c - any bytes as a chat template, run over a conversation. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/text.h"
#include "models/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
        static json_t *variables;
        static const struct tm now = { .tm_year = 124, .tm_mon = 6, .tm_mday = 26 };
        struct scope_jinja *jinja = NULL;
        struct scope_text out = { 0 };
        struct scope_diag diag;
        if (variables == NULL)
                variables = json_pack(
                        "{s:[{s:s,s:s},{s:s,s:[{s:s,s:s}]}],s:b,s:s,s:i,s:f,s:{s:[i,i]}}",
                        "messages", "role", "user", "content", " a\nb\xc3\xa9 ", "role", "tool",
                        "content", "type", "text", "text", "x", "add_generation_prompt", 1,
                        "bos_token", "<s>", "n", 3, "x", 0.5, "d", "a", 1, 2);
        if (scope_jinja_compile("f", (const char *)bytes, count, &jinja, &diag) == SCOPE_OK)
                (void)scope_jinja_render(jinja, variables, &now, &out, &diag);
        scope_text_fini(&out);
        scope_jinja_destroy(jinja);
        return 0;
}
