/* The table of failures, and the one rule that reads it. No state. */
#include "executor/failure.h"

#include <errno.h>
#include <string.h>

#define ROW(failure, name, probe, alone, words)                                                              \
    [FAILURE_##failure] = {name, FAILURE_##probe, FAILURE_ALONE_##alone, words}

/* docs/ARCHITECTURE.md shows this table. */
static const struct failure_row rows[FAILURE_COUNT] = {
    /* name, where the probe meets it, where the probe passes, what it is */
    ROW(NONE, "none", IS_THE_JOBS, IS_THE_JOBS, "missing command, bad mount, bad image name"),
    ROW(DIRECTORY, "directory", DRAINS_AT_ONCE, COUNTS, "the directory of the tasks"),
    ROW(LOGS, "logs", DRAINS_AT_ONCE, COUNTS, "the directory of the logs"),
    ROW(BLOBS, "blobs", DRAINS_AT_ONCE, IS_THE_JOBS, "the cache of uploaded files"),
    ROW(DEVICE, "device", DRAINS_AT_ONCE, IS_THE_JOBS, "a GPU's device"),
    ROW(START, "start", DRAINS_AT_ONCE, IS_THE_JOBS, "cgroups, namespaces, mounts"),
    ROW(RUNTIME, "runtime", OFFERS_LESS, IS_THE_JOBS, "an OCI runtime"),
    ROW(DISK, "disk", DRAINS_AT_ONCE, COUNTS, "EIO, EROFS, ESTALE, ENODEV, ENXIO, EUCLEAN, ETIMEDOUT"),
    ROW(LIMITS, "limits", DRAINS_IN_A_ROW, COUNTS, "EAGAIN, ENOMEM, ENFILE, EMFILE"),
    ROW(FULL, "full", DRAINS_IN_A_ROW, REQUEUES, "ENOSPC, EDQUOT"),
    ROW(TIMEOUT, "timeout", DRAINS_IN_A_ROW, IS_THE_JOBS, "a task that does nothing does not end"),
};

static const struct {
    int sys_errno;
    enum failure failure;
} calls[] = {
    {EIO, FAILURE_DISK},      {EROFS, FAILURE_DISK},    {ESTALE, FAILURE_DISK},    {ENODEV, FAILURE_DISK},
    {ENXIO, FAILURE_DISK},    {EUCLEAN, FAILURE_DISK},  {ETIMEDOUT, FAILURE_DISK}, {EAGAIN, FAILURE_LIMITS},
    {ENOMEM, FAILURE_LIMITS}, {ENFILE, FAILURE_LIMITS}, {EMFILE, FAILURE_LIMITS},  {ENOSPC, FAILURE_FULL},
    {EDQUOT, FAILURE_FULL},
};

const struct failure_row *failure_row(enum failure failure)
{
    return &rows[failure];
}

enum failure failure_of_errno(int sys_errno)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].sys_errno == sys_errno)
            return calls[i].failure;
    return FAILURE_NONE;
}

enum failure failure_of_stage(enum failure stage, const struct error *err)
{
    enum failure call = err->code == ERROR_NO_SPACE ? FAILURE_FULL : failure_of_errno(err->sys_errno);
    if (err->code == ERROR_TIMEOUT)
        return FAILURE_TIMEOUT;
    return rows[call].effect == FAILURE_DRAINS_IN_A_ROW ? call : stage;
}

bool failure_may_be_the_nodes(const char *cause_kind)
{
    static const char *const kinds[] = {"start_error", "disk_full", "image_error"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], cause_kind) == 0)
            return true;
    return false;
}

static struct failure_answer judge_alone(const struct failure_seen *seen, int *in_row)
{
    enum failure_alone alone = seen->own ? FAILURE_ALONE_IS_THE_JOBS : rows[seen->call].alone;
    if (alone == FAILURE_ALONE_COUNTS)
        ++*in_row;
    else
        *in_row = 0; /* the probe has passed, and nothing speaks against the node now */
    return (struct failure_answer){.node = alone != FAILURE_ALONE_IS_THE_JOBS,
                                   .drains = *in_row >= FAILURE_ROW};
}

struct failure_answer failure_judge(const struct failure_seen *seen, int *in_row)
{
    enum failure_effect effect = rows[seen->probe].effect;
    if (effect == FAILURE_IS_THE_JOBS)
        return judge_alone(seen, in_row);
    if (effect == FAILURE_OFFERS_LESS)
        return (struct failure_answer){.node = true};
    if (!seen->counted)
        ++*in_row;
    bool drains = effect == FAILURE_DRAINS_AT_ONCE || *in_row >= FAILURE_ROW;
    return (struct failure_answer){.node = true, .drains = drains, .again = !drains};
}
