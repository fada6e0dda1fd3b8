/* Which of a job's outputs are wanted: by path, by directory, or by pattern. */
#ifndef BERTH_CLI_OUTPUTS_SELECT_H
#define BERTH_CLI_OUTPUTS_SELECT_H

#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether the text is a pattern: it has *, ? or [. */
bool outputs_is_pattern(const char *text);
/* Takes from a listing's files, links and directories what none of the patterns names: the path, a directory
 * above it, or a pattern as ignore files have them ("**" is any number of directories). Returns how many are
 * left. */
size_t outputs_select(cJSON *listing, char *const *patterns, size_t count);

#endif
