/* Values of variables that people take for secrets, by the variable's name: they are never shown. */
#ifndef BERTH_SCHEDULER_SECRET_VALUES_H
#define BERTH_SCHEDULER_SECRET_VALUES_H

#include "proto/json.h"

#define SECRET_VALUE_SHOWN "***"

/* Replaces the value of each member whose name holds TOKEN, KEY, SECRET or PASSWORD, in any case, and is not
 * empty. */
void secret_values_mask(cJSON *variables);
/* The same in a job file: its own variables, and those of the submitting shell. */
void secret_values_mask_file(cJSON *file);

#endif
