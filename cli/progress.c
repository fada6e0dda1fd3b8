/* Progress on standard error. */
#include "cli/progress.h"

#include "base/clock.h"
#include "base/print.h"

#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 500
#define REDRAW_MS 100

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.on_terminal = isatty(STDERR_FILENO), .begun_ms = clock_boot_ms()};
}

void progress_show(void *ctx, const char *what, int64_t done, int64_t total)
{
    struct progress *p = ctx;
    if (!p->on_terminal)
        return;
    int64_t now = clock_boot_ms();
    if (now - p->begun_ms < PATIENCE_MS || now - p->last_ms < REDRAW_MS)
        return;
    p->last_ms = now;
    p->shown = true;
    char line[160];
    snprintf(line, sizeof line, "%s %lld of %lld files", what, (long long)done, (long long)total);
    print_progress(line);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        print_progress(NULL);
}
