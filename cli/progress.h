/* One line on the terminal for work that takes long; nothing elsewhere. */
#ifndef BERTH_CLI_PROGRESS_H
#define BERTH_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on_terminal, shown;
    int64_t begun_ms, last_ms;
};

void progress_begin(struct progress *progress);
/* `ctx` is a struct progress; redraws at most ten times a second, and not in the first half second. */
void progress_show(void *ctx, const char *what, int64_t done, int64_t total);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
