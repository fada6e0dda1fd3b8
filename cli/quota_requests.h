/* Requests for quota in a family of sizes: the part of berth quota that asks and decides. */
#ifndef BERTH_CLI_QUOTA_REQUESTS_H
#define BERTH_CLI_QUOTA_REQUESTS_H

#include "cli/cli.h"
#include "proto/json.h"

struct quota_request_args {
    const struct args_base *base;
    const char *family;
    const char *cores, *gpus; /* as typed; NULL: not given */
    const char *reason;
    bool json;
};

/* Each returns the exit code. */
int quota_request(const struct quota_request_args *args);
int quota_requests_list(const struct quota_request_args *args);
/* verb: approve, deny or withdraw. */
int quota_decide(const struct quota_request_args *args, const char *verb, const char *id);

#endif
