#include "base/yield.h"

_Thread_local struct scope_yield scope_yield_here;
