/* One file a verb; each offers its row of the table. */
#ifndef BERTH_CLI_VERBS_H
#define BERTH_CLI_VERBS_H

#include "cli/cli.h"

extern const struct verb verb_run;
extern const struct verb verb_submit;
extern const struct verb verb_ps;
extern const struct verb verb_show;
extern const struct verb verb_logs;
extern const struct verb verb_wait;
extern const struct verb verb_cancel;
extern const struct verb verb_why;
extern const struct verb verb_outputs;
extern const struct verb verb_node;
extern const struct verb verb_up;
extern const struct verb verb_down;
extern const struct verb verb_doctor;
extern const struct verb verb_validate;
extern const struct verb verb_job;
extern const struct verb verb_complete;
extern const struct verb verb_hold;
extern const struct verb verb_release;
extern const struct verb verb_update;
extern const struct verb verb_policy;
extern const struct verb verb_quota;
extern const struct verb verb_licence;
extern const struct verb verb_reserve;
extern const struct verb verb_replay;
extern const struct verb verb_size;
extern const struct verb verb_workspace;
extern const struct verb verb_df;
extern const struct verb verb_family;
extern const struct verb verb_log;
extern const struct verb verb_share;

#endif
