/* run_signals.h - the first Ctrl-C drains and saves, the second aborts.
 * Why: a handler, not a thread that waits: libraries start threads of their own before main, and a
 * signal that one of them has open would end the process. */
#pragma once

struct scope_system;

/* From here on SIGINT and SIGTERM go to `system`. One at a time.          thread  setup */
void scope_signals_start(struct scope_system *system);

/* How many came; they end the process again as usual.                     thread  setup */
int scope_signals_stop(void);
