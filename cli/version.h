/* version.h - which program this is, and on what it stands.
 * Why: a result without the versions behind it cannot be repeated; --version, env.json and bug
 * reports say the same. */
#pragma once

#include "base/text.h"

/* A line each for people; members of an open JSON object.       thread  any */
void scope_version_print(struct scope_text *text);
void scope_version_json(struct scope_text *text);
