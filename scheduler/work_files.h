/*
 * What jobs made beside their outputs (`work/` of each attempt and rank): which of it stays. Each principal
 * has a share of its own, so that no user's files push out another's. A job's work files are kept
 * WORK_KEEP_MS; past the share the oldest go, WORK_NOTICE_MS after that was announced, or at once past twice
 * the share. The newest of each principal and those of unfinished jobs always stay.
 *
 * Two files in the job's directory of outputs carry that: WORK_GOES, whose time is when its work files go,
 * and WORK_REMOVED, whose text says when and why they went.
 */
#ifndef BERTH_SCHEDULER_WORK_FILES_H
#define BERTH_SCHEDULER_WORK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORK_KEEP_MS (7LL * 24 * 3600 * 1000)
#define WORK_NOTICE_MS (24LL * 3600 * 1000)
/* bytes; a share is a tenth of the file system, and no less than this */
#define WORK_SHARE_MIN (50ULL << 30)
#define WORK_GOES ".work-goes"
#define WORK_REMOVED ".work-removed"
#define WORK_DATE_BYTES 11 /* "2026-12-07" and its end */
#define WORK_TEXT_BYTES 64

enum work_fate { WORK_STAYS, WORK_GOES_LATER, WORK_TOO_OLD, WORK_MAKES_ROOM };

/* Of one job. */
struct work_files {
    uint64_t job;
    uint32_t principal; /* 0: the journal has no such job; those share one share */
    int64_t at_ms;      /* when the last of them was stored, wall clock */
    int64_t goes_ms;    /* as announced, wall clock; 0: it was not */
    uint64_t bytes;     /* of blocks */
    enum work_fate fate;
    bool live;  /* the job has not ended */
    bool begun; /* their removal has begun */
    bool news;  /* work_files_apply has announced it, or taken that back */
};

struct work_list {
    struct work_files *items; /* owned */
    size_t count;
};

/* The share of a principal for whom nothing else is set, in bytes. */
uint64_t work_files_default_share(const char *outputs_dir);
/* Fills `out`; principals and `live` are the caller's to fill in. */
void work_files_find(const char *outputs_dir, struct work_list *out);
void work_files_finish(struct work_list *l);
/* Sets each fate. share[principal] are the shares in bytes, for every principal of the list. Sorts the list.
 */
void work_files_judge(struct work_list *l, const uint64_t *share, int64_t now_ms);
/* Announces and removes what was judged so. What can't be removed is logged, and tried again next time. */
void work_files_apply(const char *outputs_dir, const struct work_list *l, int64_t now_ms);

/* The day of that moment, in UTC. Returns out. */
char *work_files_date(int64_t wall_ms, char out[WORK_DATE_BYTES]);
/* What there is to say of the job's work files, after "the work files "; "" where there is nothing. `stored`:
 * some are there. */
void work_files_tell(const char *outputs_dir, uint64_t job, bool stored, char out[WORK_TEXT_BYTES]);

#endif
