/* Claims as lines, for a node and for a whole pool. */
#include "cli/claims.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/show.h"

#include <string.h>

#define CLAIMS_SHOWN 8 /* lines under a list of jobs */

void claims_describe(const cJSON *claim, struct buf *out)
{
    char from[32], until[32];
    const char *kind = json_str(claim, "kind", ""), *name = json_str(claim, "name", "?");
    show_time(json_int(claim, "from_ms", 0), from);
    show_time(json_int(claim, "until_ms", 0), until);
    buf_clear(out);
    if (strcmp(kind, "reservation") == 0)
        buf_printf(out, "reserved from %s until %s (%s)", from, until, name);
    else if (strcmp(kind, "promise") == 0)
        buf_printf(out, "promised to %s from %s", name, from);
    else if (strcmp(kind, "plan") == 0)
        buf_printf(out, "free capacity is kept by the plan of the queue until %s (%s waits)", until, name);
    else
        buf_printf(out, "free capacity is kept for short jobs until %s (%s waits)", until, name);
}

void claims_print(struct client *client)
{
    struct error err = {0};
    _cleanup_json_ cJSON *answer = client_call(client, "GET", "/v1/claims", NULL, 0, &err);
    const cJSON *claim, *claims = json_get(answer, "claims");
    _cleanup_buf_ struct buf words = {0};
    int shown = 0, count = cJSON_GetArraySize(claims);
    cJSON_ArrayForEach(claim, claims)
    {
        long long nodes = (long long)json_int(claim, "nodes", 0);
        if (!shown)
            print_out("\n");
        if (shown++ == CLAIMS_SHOWN) {
            print_line(PRINT_OUT, "… and %d more of them (berth node list)", count - CLAIMS_SHOWN);
            return;
        }
        claims_describe(claim, &words);
        print_line(PRINT_OUT, "%lld node%s: %s", nodes, nodes == 1 ? "" : "s", words.data);
    }
}
