#include "cli/version.h"

#include <cblas.h>
#include <curl/curl.h>
#include <hwloc.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cli/config_toml.h"
#include "cli/version_git.h"

enum { LINES = 9 };

struct line {
        const char *name;
        char text[96];
};

static void fill(struct line lines[LINES])
{
        unsigned hwloc = hwloc_get_api_version();
        int i = 0;
#define LINE(title, ...)                                                                           \
        do {                                                                                       \
                lines[i].name = title;                                                             \
                (void)snprintf(lines[i].text, sizeof lines[i].text, __VA_ARGS__);                  \
                i++;                                                                               \
        } while (0)
#ifdef __clang__
        LINE("compiler", "%s", __VERSION__);
#else
        LINE("compiler", "gcc %s", __VERSION__);
#endif
        LINE("libuv", "%s", uv_version_string());
        LINE("libcurl", "%s", curl_version_info(CURLVERSION_NOW)->version);
        LINE("jansson", "%s", JANSSON_VERSION);
        LINE("flatbuffers", "%s", SCOPE_FLATBUFFERS_VERSION);
        LINE("toml++", "%s", scope_toml_library_version());
        LINE("openblas", "%s", openblas_get_config());
        LINE("hwloc", "%u.%u.%u", hwloc >> 16, hwloc >> 8 & 0xff, hwloc & 0xff);
        LINE("microhttpd", "%s", MHD_get_version());
#undef LINE
}

void scope_version_print(struct scope_text *text)
{
        struct line lines[LINES];
        fill(lines);
        scope_text_format(text, "scope-runtime %s (%s)\n", SCOPE_VERSION, SCOPE_GIT);
        for (int i = 0; i < LINES; i++)
                scope_text_format(text, "  %-12s %s\n", lines[i].name, lines[i].text);
}

void scope_version_json(struct scope_text *text)
{
        struct line lines[LINES];
        fill(lines);
        scope_json_text(text, "version", SCOPE_VERSION);
        scope_json_text(text, "git", SCOPE_GIT);
        scope_json_open(text, "libraries", '{');
        for (int i = 0; i < LINES; i++)
                scope_json_text(text, lines[i].name, lines[i].text);
        scope_json_close(text, '}');
}
