/* What git knows about a code folder, for the job's record. */
#ifndef BERTH_CLI_GIT_H
#define BERTH_CLI_GIT_H

#include "base/buf.h"

#include <stdbool.h>

#define GIT_TIMEOUT_MS 10000          /* of all calls for one folder together */
#define GIT_DIFF_MAX_BYTES (64 << 20) /* a larger diff is not kept */

struct git_facts {
    char *commit; /* NULL: no git folder, no git, or no commit yet */
    char *remote; /* of "origin", without credentials; NULL */
    bool dirty;
    struct buf diff; /* of tracked files against the commit, binary ones too; empty where it is too large */
};

/* Never fails: what git does not say in time is not in the record. */
void git_read(const char *folder, struct git_facts *out);
void git_finish(struct git_facts *facts);
/* Takes user, password, query and fragment out of a URL, in place; "git@host:path" stays. */
void git_strip_credentials(char *url);

#endif
