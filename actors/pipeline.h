/* pipeline.h - the stations put together: who feeds whom, with how much credit.
 * Why: a strategy is a row of rules (algorithm/strategy.h) and nothing anywhere else; the program,
 * the simulator and the tests build the same pipeline. */
#pragma once

#include "actors/stages.h"

struct scope_system;

/* Adds every actor of a run to `system`. In `stages`: options and resources filled in by the
 * caller; the rest is filled here. Both outlive the system.
 * errors  SCOPE_ERR_ARGUMENT: an unknown strategy; what scope_system_add says     thread  setup */
enum scope_err scope_pipeline_add(struct scope_system *system, struct scope_stages *stages);
