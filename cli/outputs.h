/* What a job left, and bringing it here. For `outputs` and `job download`. */
#ifndef BERTH_CLI_OUTPUTS_H
#define BERTH_CLI_OUTPUTS_H

#include "cli/client.h"

struct outputs_options {
    const char *folder; /* NULL: list alone */
    bool work;          /* what the job made outside ./outputs */
    bool force;         /* overwrite files that are there */
    bool json;
    bool running; /* it was listed as it stands while the job runs */
    int64_t rank;
    char *const *patterns; /* of what is wanted (cli/outputs_select.h); none: all */
    size_t pattern_count;
};

/* Of an array: of all its elements, each into a directory of its index. Returns the exit code. */
int outputs_of(struct client *client, const char *job, const struct outputs_options *options);

#endif
