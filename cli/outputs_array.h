/* The outputs of all elements of an array. */
#ifndef BERTH_CLI_OUTPUTS_ARRAY_H
#define BERTH_CLI_OUTPUTS_ARRAY_H

#include "cli/client.h"

#include <stdint.h>

struct outputs_element {
    int64_t id, index;
};

/* Those that have begun, by index; NULL with err. The caller frees. *count may be 0 with a pointer. */
struct outputs_element *outputs_elements(struct client *client, int64_t array, size_t *count,
                                         struct error *err);

#endif
