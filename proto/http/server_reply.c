/* Answers: JSON, the error object, files by sendfile, and streams that are pulled as the reader takes them.
 */
#include "proto/http/peers.h"

#include "base/alloc.h"
#include "proto/json.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const unsigned short status_of[ERROR_CODE_COUNT] = {
    [ERROR_NONE] = 500,        [ERROR_INVALID] = 400,  [ERROR_NOT_FOUND] = 404, [ERROR_EXISTS] = 409,
    [ERROR_DENIED] = 403,      [ERROR_CONFLICT] = 409, [ERROR_LIMIT] = 400,     [ERROR_UNSUPPORTED] = 400,
    [ERROR_UNAVAILABLE] = 503, [ERROR_VERSION] = 426,  [ERROR_NO_SPACE] = 507,  [ERROR_TIMEOUT] = 504,
    [ERROR_IO] = 500,          [ERROR_INTERNAL] = 500,
};

unsigned http_status_of(enum error_code code)
{
    return (unsigned)code < ERROR_CODE_COUNT ? status_of[code] : 500;
}

void http_respond_header(struct http_request *req, const char *name, const char *fmt, ...)
{
    if (req->header_count == HTTP_HEADERS_OUT_MAX || req->answered)
        return;
    struct buf value = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&value, fmt, ap);
    va_end(ap);
    req->headers[req->header_count].name = xstrdup(name);
    req->headers[req->header_count++].value = buf_take(&value);
}

void http_respond_empty(struct http_request *req, unsigned status)
{
    http_request_answer(req, status, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

void http_respond_text(struct http_request *req, unsigned status, const char *content_type, char *bytes,
                       size_t n)
{
    struct error err = {0};
    unsigned refused = 0;
    if (!http_load_reply(req, n, &refused, &err)) {
        free(bytes);
        http_respond_errors(req, refused, &err, NULL);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    http_request_answer(req, status, response);
}

void http_respond_json(struct http_request *req, unsigned status, cJSON *value)
{
    char *text = json_text(value);
    cJSON_Delete(value);
    http_respond_text(req, status, "application/json", text, strlen(text));
}

char *http_error_text(const struct error *err, cJSON *errors)
{
    cJSON *root = cJSON_CreateObject(), *object = cJSON_AddObjectToObject(root, "error");
    cJSON_AddStringToObject(object, "code", error_code_name(err->code));
    cJSON_AddStringToObject(object, "message", err->message);
    if (err->field[0])
        cJSON_AddStringToObject(object, "field", err->field);
    if (err->hint[0])
        cJSON_AddStringToObject(object, "hint", err->hint);
    if (errors)
        cJSON_AddItemToObject(object, "errors", errors);
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text ? text : xstrdup("{}");
}

void http_respond_errors(struct http_request *req, unsigned status, const struct error *err, cJSON *errors)
{
    char *text = http_error_text(err, errors);
    http_respond_text(req, status ? status : http_status_of(err->code), "application/json", text,
                      strlen(text));
}

void http_respond_error(struct http_request *req, const struct error *err)
{
    http_respond_errors(req, 0, err, NULL);
}

void http_respond_file(struct http_request *req, unsigned status, const char *content_type, int fd,
                       uint64_t offset, uint64_t n)
{
    struct MHD_Response *response =
        n ? MHD_create_response_from_fd_at_offset64(n, fd, offset)
          : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!n || !response)
        close(fd);
    if (!response) {
        struct error err;
        error_set(&err, ERROR_INTERNAL, "can't make an answer of %llu bytes", (unsigned long long)n);
        http_respond_error(req, &err);
        return;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    http_request_answer(req, status, response);
}

static ssize_t read_stream(void *cls, uint64_t pos, char *out, size_t max)
{
    (void)pos;
    struct http_request *req = cls;
    if (max > HTTP_PIECE_MAX_BYTES)
        max = HTTP_PIECE_MAX_BYTES;
    ssize_t n =
        req->server->closing || req->broken ? HTTP_PULL_BREAK : req->stream.pull(req->stream.data, out, max);
    switch (n) {
    case HTTP_PULL_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case HTTP_PULL_BREAK:
        return MHD_CONTENT_READER_END_WITH_ERROR;
    case HTTP_PULL_WAIT:
        req->starved = true;
        http_request_suspend(req);
        http_request_watch(req);
        return 0;
    default:
        return n;
    }
}

void http_respond_stream(struct http_request *req, unsigned status, const char *content_type,
                         const struct http_stream *stream)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_PIECE_MAX_BYTES, read_stream, req, NULL);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    req->streaming = true;
    req->stream = *stream;
    http_request_answer(req, status, response);
}

void http_stream_wake(struct http_request *req)
{
    if (!req->starved)
        return;
    req->starved = false;
    http_request_resume(req);
}
