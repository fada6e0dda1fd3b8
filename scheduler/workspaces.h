/*
 * Workspaces beyond the default one, by name. Their numbers are those of names.h; what is known of each
 * beside is kept in the journal. A deleted one keeps its number, so that what its jobs have used stays its
 * own.
 */
#ifndef BERTH_SCHEDULER_WORKSPACES_H
#define BERTH_SCHEDULER_WORKSPACES_H

#include "base/error.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKSPACE_NAME_MAX 64
#define WORKSPACE_TEXT_MAX 1024 /* bytes of a description */
#define WORKSPACES_MAX 4096     /* that there are at once */
#define WORKSPACE_MEMBERS_MAX 1024

struct workspace {
    uint32_t id;
    char name[WORKSPACE_NAME_MAX + 1];
    char *description;
    int64_t created_ms;
    char *created_by;
    uint32_t *members; /* principals; none: everybody */
    size_t member_count;
};

struct workspace_table {
    struct workspace *items; /* without the default one */
    size_t count;
};

struct daemon;

void workspaces_finish(struct workspace_table *t);
void workspaces_load(struct daemon *d, const char *key, const char *doc);
struct workspace *workspaces_get(struct workspace_table *t, const char *name); /* NULL; of "default" too */
/* The number of one that there is; the default one's for NULL. ERROR_NOT_FOUND of `workspace`, with the
 * nearest name and the command that makes it. */
bool workspace_need(const struct daemon *d, const char *name, uint32_t *id, struct error *err);
/* Whether that principal's jobs may be in it. ERROR_DENIED of `workspace`, with the next step. */
bool workspace_admits(const struct daemon *d, uint32_t id, uint32_t principal, struct error *err);
/* Takes the list, which may be empty: everybody then. */
void workspace_set_members(struct workspace *w, uint32_t *members, size_t count);
bool workspace_name_valid(const char *name, struct error *err);
/* Makes it (a deleted one of the name comes back, with its number). */
bool workspace_add(struct daemon *d, const char *name, const char *by, struct error *err);
void workspace_write(struct daemon *d, const struct workspace *w);
void workspace_drop(struct daemon *d, struct workspace *w);
/* Jobs of it that have not ended. */
uint32_t workspace_live_jobs(const struct daemon *d, uint32_t id);

#endif
