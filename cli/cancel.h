/* `berth cancel`, for `job cancel` too. */
#ifndef BERTH_CLI_CANCEL_H
#define BERTH_CLI_CANCEL_H

#include "cli/cli.h"

int cancel_named(const struct args_base *base, bool force, bool json, int count, char **names);

#endif
