/* How the CLI tells what went wrong: what, why, and the next step. */
#include "cli/cli.h"

#include "base/print.h"

#include <stdarg.h>
#include <string.h>

#define USAGE_MESSAGE_MAX 1024 /* bytes: the word that is wrong may be as long as a command line */

int cli_fail(const struct error *err)
{
    print_line(PRINT_ERR, "berth: %s", err->message[0] ? err->message : error_code_name(err->code));
    if (err->hint[0])
        print_line(PRINT_ERR, "try: %s", err->hint);
    return EXIT_REFUSED;
}

int cli_usage(const char *verb, const char *fmt, ...)
{
    _cleanup_buf_ struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    print_line(PRINT_ERR, "berth: %.*s%s", USAGE_MESSAGE_MAX, text.data,
               text.len > USAGE_MESSAGE_MAX ? "..." : "");
    print_line(PRINT_ERR, "try: berth help%s%s", verb ? " " : "", verb ? verb : "");
    return EXIT_USAGE;
}

void cli_note(const char *fmt, ...)
{
    _cleanup_buf_ struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    print_line(PRINT_ERR, "berth: %s", text.data);
}

bool cli_wants_json(const struct args_base *base, bool *usage_error)
{
    *usage_error = base->output && strcmp(base->output, "json") != 0 && strcmp(base->output, "table") != 0;
    return base->output && strcmp(base->output, "json") == 0;
}
