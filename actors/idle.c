#include "actors/idle.h"

#define X(name, word, help) word,
const char *const scope_idle_words[SCOPE_IDLE_COUNT] = { SCOPE_IDLE_MAP(X) };
#undef X

#define X(name, word, help) help,
const char *const scope_idle_help[SCOPE_IDLE_COUNT] = { SCOPE_IDLE_MAP(X) };
#undef X
