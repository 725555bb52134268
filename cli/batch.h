/* batch.h - the arithmetic of a configuration: what a step and a run amount to.
 * Why: most mistakes in a configuration are seen at once when the products are written out. */
#pragma once

#include "base/text.h"
#include "cli/config.h"

/* A table for people, or members for an open JSON object.       thread  any */
void scope_batch_print(const struct scope_config *config, struct scope_text *text);
void scope_batch_json(const struct scope_config *config, struct scope_text *text);
