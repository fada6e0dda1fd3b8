/*
 * Collection: what a task leaves in its working folder, brought to the outputs folder after its last process
 * is gone. `outputs/` is kept; every other file that the job made or changed goes to `work/` beside it, up to
 * OUTPUTS_WORK_MAX_BYTES; ignored files (kept.h), which stay with the job, whatever their size.
 *
 * The tree was written by a user and is read as root: every folder and file is opened beneath it, without
 * links and without leaving its filesystem. Regular files, directories of outputs/ (others where the job made
 * them and they are empty), and links that stay inside by their text (fs_link_stays); an absolute one into
 * the task's own tree is made relative. Where the job put a link in the place of outputs/, the directory in
 * work/ that it leads to is taken. What is left behind is named with the reason, and so is a missing
 * outputs/.
 */
#ifndef BERTH_EXECUTOR_OUTPUTS_H
#define BERTH_EXECUTOR_OUTPUTS_H

#include "base/error.h"
#include "executor/outputs_seed.h"
#include "executor/kept.h"
#include "executor/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OUTPUTS_WORK_MAX_BYTES (INT64_C(10) << 30)
#define OUTPUTS_FILES_MAX 1000000 /* entries looked at */
#define OUTPUTS_DEPTH_MAX 128
#define OUTPUTS_SKIPPED_MAX 200 /* named; later ones are counted */

struct outputs_request {
    int work_fd;                     /* the task's work/ */
    const char *work_path;           /* where the task saw it; NULL: no link into it is made relative */
    const char *to;                  /* absolute; made where it is missing, 0700 */
    uid_t uid;                       /* the task's user: a hard link to somebody else's file is not taken */
    const struct snapshot *snapshot; /* NULL: there was no code, all files are the job's */
    const char *manifest_sha;
    const struct outputs_seeded *seeded; /* what other ranks are to keep; NULL: nothing */
    struct timespec made;                /* when the snapshot stood in work/: snapshot_unchanged */
    char *const
        *left_out; /* NULL-ended: places where live folders were bound; nothing of the task's lies there */
    const struct kept_files *ignored; /* how ignored files stood when the task began; NULL: there were none */
    const struct ignore *rules;       /* with `spec`: what else is ignored. NULL: nothing */
    const struct job_spec *spec;
    int64_t work_max_bytes; /* OUTPUTS_WORK_MAX_BYTES but for tests */
};

struct outputs_skipped {
    char *path, *why;
};

struct outputs_report {
    int64_t files, bytes;           /* in outputs/ */
    int64_t work_files, work_bytes; /* in work/ */
    struct outputs_skipped skipped[OUTPUTS_SKIPPED_MAX];
    size_t skipped_count, skipped_total;
    bool incomplete; /* something of outputs/ may be left behind: what earlier attempts left stays */
    bool disk_full;  /* something of outputs/ was skipped for lack of room: worth another try */
};

/* Moves (rename where it can, else copy) so that a second run after a kill goes on where the first one
 * stopped. Blocks. */
bool outputs_collect(const struct outputs_request *request, struct outputs_report *report, struct error *err);
void outputs_report_finish(struct outputs_report *report);

#endif
