/* Pages of listings other than jobs: bounded in objects and bytes. Owns the text of the page. */
#include "scheduler/api_page.h"

#include "scheduler/api.h"
#include "scheduler/engine.h"

#include <stdlib.h>

bool api_page_begin(struct api_page *page, struct http_request *req, const char *field)
{
    struct error err = {0};
    int64_t from;
    *page = (struct api_page){.req = req};
    if (!http_request_query_int(req, "limit", 1, API_PAGE_MAX, API_PAGE_MAX, &page->limit, &err) ||
        !http_request_query_int(req, "from", 0, UINT32_MAX, 0, &from, &err)) {
        http_respond_error(req, &err);
        return false;
    }
    page->from = (uint32_t)from;
    buf_printf(&page->text, "{\"%s\":[", field);
    return true;
}

bool api_page_takes(struct api_page *page, uint32_t at)
{
    if (page->count < page->limit && (!page->count || page->text.len <= API_PAGE_MAX_BYTES))
        return true;
    page->next = at;
    page->more = true;
    return false;
}

void api_page_add(struct api_page *page, cJSON *object)
{
    if (page->count++)
        buf_add_char(&page->text, ',');
    json_write(object, &page->text);
    cJSON_Delete(object);
}

void api_page_answer(struct api_page *page, struct daemon *d)
{
    if (page->more)
        buf_printf(&page->text, "],\"next\":%u}", page->next);
    else
        buf_add_str(&page->text, "],\"next\":null}");
    engine_answer_view(d, page->req, buf_take(&page->text));
}
