/*
 * What a node may lose and get back by itself (RESOURCE_ABILITIES), and jobs need: OCI runtimes. A node says
 * in its isolation which of them work; one that says nothing of them (an older Berth) counts as able.
 */
#ifndef BERTH_SCHEDULER_ABILITIES_H
#define BERTH_SCHEDULER_ABILITIES_H

#include "base/buf.h"
#include "proto/jobspec.h"
#include "proto/json.h"

#include <stdint.h>

struct node;

uint64_t abilities_of_node(const cJSON *isolation);
uint64_t abilities_of_job(const struct job_spec *spec);
/* "an OCI runtime (crun or runc)", "crun": what a request with these labels needs. */
const char *abilities_words(uint64_t labels);
/* "it has no OCI runtime that works (crun: not installed; runc: ...)" */
void abilities_lacking(const struct node *node, uint64_t labels, struct buf *line);

#endif
