/* Signals by name. The names are libc's; nothing is kept. */
#include "proto/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MAX 64 /* the last real-time signal */

static int usable(long number)
{
    return number > 0 && number <= NUMBER_MAX && number != SIGKILL && number != SIGSTOP ? (int)number : 0;
}

int signal_by_name(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end != text)
        return *end || *text < '0' || *text > '9' ? 0 : usable(number);
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int i = 1; i <= NUMBER_MAX; i++) {
        const char *known = sigabbrev_np(i);
        if (known && strcasecmp(known, name) == 0)
            return usable(i);
    }
    return 0;
}
