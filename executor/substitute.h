/* `${{inputs.NAME}}` and `${{outputs.NAME}}` in commands and variables, as the service's job files have them.
 */
#ifndef BERTH_EXECUTOR_SUBSTITUTE_H
#define BERTH_EXECUTOR_SUBSTITUTE_H

#include "base/error.h"

#include <stddef.h>

#define SUBSTITUTE_RESULT_MAX (16u << 20)

struct substitute_value {
    const char *name;  /* "inputs.data" */
    const char *value; /* put in as it is: no quoting, as the service does */
};

/* The text with every binding replaced; what a binding brings in is not looked at again. Spaces inside the
 * braces are allowed. NULL where a binding names nothing that is there, or is not closed. The caller frees
 * it. */
char *substitute(const char *text, const struct substitute_value *values, size_t count, struct error *err);

#endif
