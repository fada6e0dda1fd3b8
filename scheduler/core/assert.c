/*
 * What happens when the core finds itself in a state that must not be: it says where and stops the process,
 * since every decision after that would be wrong. Recovery is from the journal.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scheduler/core/arena.h"

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nothing can be done about it, and abort follows */
}

_Noreturn void core_assert_failed(const char *what, const char *file)
{
    say("berth core: ");
    say(file);
    say(": does not hold: ");
    say(what);
    say("\n");
    abort();
}
