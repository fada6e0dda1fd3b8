/* What of the nodes is kept for somebody, in words. */
#ifndef BERTH_CLI_CLAIMS_H
#define BERTH_CLI_CLAIMS_H

#include "cli/client.h"

/* "reserved from 2026-12-01 18:00:00 until 2026-12-01 20:00:00 (maint)". out is emptied first. */
void claims_describe(const cJSON *claim, struct buf *out);
/* The claims on all nodes, a line each; nothing where there are none, or nobody tells. */
void claims_print(struct client *client);

#endif
