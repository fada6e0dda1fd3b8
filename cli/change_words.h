/* A line of the audit in words: what of a thing was changed, from what to what. */
#ifndef BERTH_CLI_CHANGE_WORDS_H
#define BERTH_CLI_CHANGE_WORDS_H

#include "base/buf.h"
#include "proto/json.h"

/* "priority: medium -> high, time limit: none -> 2h"; of what is new or gone "cpus 2, memory 1G". Nothing for
 * a line without fields. */
void change_add_words(const cJSON *line, struct buf *out);

#endif
