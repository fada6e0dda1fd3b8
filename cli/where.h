/* Which Berth a command talks to, and where one's own keeps its state (CLI.md "Which Berth"). */
#ifndef BERTH_CLI_WHERE_H
#define BERTH_CLI_WHERE_H

#include "base/error.h"
#include "cli/cli.h"

#include <stdbool.h>

#define WHERE_SYSTEM_SOCKET "/run/berth/berth.sock"

enum where_kind {
    WHERE_NAMED,  /* --host or $BERTH_HOST */
    WHERE_SYSTEM, /* the machine's service */
    WHERE_OWN,    /* STATE/berth.sock: the only one that is started when it isn't there */
};

struct where {
    enum where_kind kind;
    char *socket;    /* absolute path */
    char *state_dir; /* of one's own Berth, whatever kind is */
};

/* The first rule that applies. Says nothing about whether somebody answers there. */
bool where_resolve(const struct args_base *base, struct where *out, struct error *err);
void where_finish(struct where *where);
/* STATE as an absolute path, whether it exists or not: `option`, else /var/lib/berth for root, else
 * $XDG_STATE_HOME/berth, else ~/.local/state/berth. The caller frees. */
char *where_state_dir(const char *option, struct error *err);
/* Login folder of the user: $HOME, else the passwd entry's; NULL where there is neither. The caller frees. */
char *where_home(void);
/* `path` made absolute against the working folder, without resolving links. The caller frees. */
char *where_absolute(const char *path, struct error *err);

#define _cleanup_where_ __attribute__((cleanup(where_finish)))

#endif
