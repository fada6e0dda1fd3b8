/* How the CLI tells what went wrong: what, why, and the next step. */
#include "cli/cli.h"

#include "cli/term.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cli_fail(const struct error *err)
{
    _cleanup_buf_ struct buf text = {0}; /* names and words of other people may be in it */
    buf_add_str(&text, "berth: ");
    term_add_safe(&text, err->message[0] ? err->message : error_code_name(err->code), true);
    if (err->hint[0]) {
        buf_add_str(&text, "\ntry: ");
        term_add_safe(&text, err->hint, true);
    }
    fflush(stdout);
    fprintf(stderr, "%s\n", text.data);
    return EXIT_REFUSED;
}

int cli_usage(const char *verb, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("berth: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\ntry: berth help%s%s\n", verb ? " " : "", verb ? verb : "");
    return EXIT_USAGE;
}

void cli_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("berth: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

bool cli_wants_json(const struct args_base *base, bool *usage_error)
{
    *usage_error = base->output && strcmp(base->output, "json") != 0 && strcmp(base->output, "table") != 0;
    return base->output && strcmp(base->output, "json") == 0;
}
