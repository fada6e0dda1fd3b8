/* What befalls a job while it is followed (its log's disk is full, ...), said on standard error as it comes.
 */
#ifndef BERTH_CLI_NOTES_H
#define BERTH_CLI_NOTES_H

#include "cli/client.h"

#include <stdint.h>

struct notes {
    struct client *client;
    const char *job;
    struct http_easy_call *call; /* NULL: none is under way */
    int64_t due_ms;              /* boot clock: when to ask next */
    int interval_ms;
    int64_t seen_ms; /* of the newest note that was seen */
};

void notes_begin(struct notes *notes, struct client *client, const char *job);
/* `timeout_ms` (-1: no limit), or less where it is to ask earlier. */
int notes_timeout(const struct notes *notes, int timeout_ms);
void notes_turn(struct notes *notes);
/* Those of the job, as it is now, that were not shown yet; of the ones that were there before it was first
 * asked the last alone, unless `all`. Those of its end are for the one who reports that. */
void notes_show(struct notes *notes, const cJSON *job, bool all);
void notes_finish(struct notes *notes);

#endif
