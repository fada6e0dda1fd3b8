/* What each user uses and has used, as the fair share counts it (docs/POLICY.md "Fair share"). */
#ifndef BERTH_SCHEDULER_SHARES_VIEW_H
#define BERTH_SCHEDULER_SHARES_VIEW_H

#include "scheduler/api.h"

/* Says where the fair share puts a job behind others: its user has used more than they. Nothing where it
 * does not. `o` gets `share`: null, or the user's entry of GET /v1/shares. */
void shares_explain(const struct daemon *d, const struct core_job_view *view, cJSON *o, cJSON *text);

#endif
