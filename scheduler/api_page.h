/* A page of a listing: `limit` objects from the place `from`, and `next`, the place that the next page begins
 * at. Places don't move while there are pages: what is listed is never taken out, or leaves a gap. */
#ifndef BERTH_SCHEDULER_API_PAGE_H
#define BERTH_SCHEDULER_API_PAGE_H

#include "base/buf.h"
#include "scheduler/daemon.h"

#define API_PAGE_MAX 1000             /* objects in one answer */
#define API_PAGE_MAX_BYTES (1u << 20) /* of them; one object is always there */
#define API_PAGE_QUERY "limit from"

struct api_page {
    struct http_request *req;
    struct buf text;
    int64_t limit, count;
    uint32_t from, next;
    bool more;
};

/* False after an error answer. `field` names the list. */
bool api_page_begin(struct api_page *page, struct http_request *req, const char *field);
/* Whether the page has room for what is at the place `at`; if not, the next page begins there. */
bool api_page_takes(struct api_page *page, uint32_t at);
void api_page_add(struct api_page *page, cJSON *object); /* takes the object */
void api_page_answer(struct api_page *page, struct daemon *d);

#endif
