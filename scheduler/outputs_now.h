/*
 * The outputs of a task that runs, as they stand: its node is asked, and brings the listing or the file to
 * ".now-ASK" in the task's directory of outputs, from where it is sent and removed.
 */
#ifndef BERTH_SCHEDULER_OUTPUTS_NOW_H
#define BERTH_SCHEDULER_OUTPUTS_NOW_H

#include "scheduler/daemon.h"

#define OUTPUTS_NOW_ASKS_MAX 4       /* of one user at a time */
#define OUTPUTS_NOW_LIMIT_MS 3600000 /* for one answer; the node gives up a file that does not grow */

/* The task whose outputs stand on its node now; NULL: what is stored is all. */
const struct task *outputs_now_task(const struct job *job, uint32_t rank);
/* Answers the request, later. `path`: of a file; NULL: the listing. */
void outputs_now_ask(struct daemon *d, struct http_request *req, const struct job *job,
                     const struct task *task, const char *path);
/* POST of the node: it has brought what was asked, or says why not. */
void node_post_outputs(struct http_request *req, void *context);
/* Of a node whose session has ended; NULL: those that are over their time. */
void outputs_now_fail(struct daemon *d, const struct node *node);
/* "bytes=A-B" and the like of the request are honoured. Takes fd. */
void api_send_output_file(struct http_request *req, int fd, uint64_t size);

#endif
