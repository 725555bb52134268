#include "models/engine.h"

void scope_engine_destroy(struct scope_engine *engine)
{
        if (engine != NULL)
                engine->class_->destroy(engine);
}
