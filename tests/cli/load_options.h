/* load_options.h - options as a file and assignments on top of it have them. */
#pragma once

#include "cli/config.h"
#include "cli/load.h"
#include "tests/test.h"

static inline void load_options(struct scope_pipeline_options *options, const char *toml,
        const char *const *sets, size_t count)
{
        struct scope_config *config = NULL;
        assert_ok(scope_config_create(scope_load_sections(options), &config));
        if (scope_config_text(config, "test", toml, strlen(toml)) != SCOPE_OK)
                fail_msg("%s", scope_config_errors(config));
        for (size_t i = 0; i < count; i++)
                if (scope_config_set(config, sets[i]) != SCOPE_OK)
                        fail_msg("%s", scope_config_errors(config));
        scope_config_destroy(config);
}
