/* The CLI's HTTP client. Owns the curl handles; every call is an easy handle in one multi handle. */
#include "proto/http/easy.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

struct http_easy {
    CURLM *multi;
    CURL *spare; /* an easy handle to use again: a new one costs more than a small request */
    char *socket_path;
    int folder_fd; /* >= 0 where the path is too long for an address and goes through /proc/self/fd */
};

struct http_easy_call {
    struct http_easy *easy;
    CURL *curl;
    struct http_easy_request request;
    struct http_easy_answer answer;
    struct curl_slist *header_list;
    struct error err;
    int64_t sent_bytes;
    bool done, failed, refused_data, read_failed;
};

struct http_easy *http_easy_create(const char *unix_socket, struct error *err)
{
    static bool initialised;
    if (!initialised && curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
        error_set(err, ERROR_INTERNAL, "libcurl does not start");
        return NULL;
    }
    initialised = true;
    struct http_easy *easy = xcalloc(1, sizeof *easy);
    easy->folder_fd = -1;
    easy->socket_path = xstrdup(unix_socket);
    easy->multi = curl_multi_init();
    if (!easy->multi) {
        error_set(err, ERROR_INTERNAL, "libcurl does not start");
        http_easy_destroy(easy);
        return NULL;
    }
    return easy;
}

void http_easy_destroy(struct http_easy *easy)
{
    if (!easy)
        return;
    if (easy->spare)
        curl_easy_cleanup(easy->spare);
    if (easy->multi)
        curl_multi_cleanup(easy->multi);
    if (easy->folder_fd >= 0)
        close(easy->folder_fd);
    free(easy->socket_path);
    free(easy);
}

void http_easy_answer_finish(struct http_easy_answer *answer)
{
    buf_finish(&answer->body);
    buf_finish(&answer->headers);
    answer->status = 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_easy_call *call = ctx;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    if (call->request.on_data && status >= 200 && status < 300) {
        if (call->request.on_data(call->request.ctx, bytes, n))
            return n;
        call->refused_data = true;
        return 0;
    }
    if (call->answer.body.len + n > HTTP_EASY_ANSWER_MAX)
        return 0;
    buf_add(&call->answer.body, bytes, n);
    return n;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_easy_call *call = ctx;
    size_t n = size * count;
    if (n >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        buf_clear(&call->answer.headers); /* a 100 came first */
        return n;
    }
    if (call->answer.headers.len + n > HTTP_EASY_HEADERS_MAX)
        return 0;
    buf_add(&call->answer.headers, bytes, n);
    return n;
}

static size_t give_body(char *out, size_t size, size_t count, void *ctx)
{
    struct http_easy_call *call = ctx;
    int64_t room = (int64_t)(size * count), left = call->request.body_fd_len - call->sent_bytes;
    if (room > left)
        room = left;
    if (room == 0)
        return 0;
    ssize_t n;
    do
        n = read(call->request.body_fd, out, (size_t)room);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        call->read_failed = true;
        return CURL_READFUNC_ABORT;
    }
    call->sent_bytes += n;
    return (size_t)n;
}

static void set_body(struct http_easy_call *call)
{
    const struct http_easy_request *r = &call->request;
    CURL *curl = call->curl;
    if (!r->body && r->body_fd_len > 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, call);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_fd_len);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1048576L);
    } else if (r->body || strcmp(r->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body ? r->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(r->body ? r->body_len : 0));
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

/* A path that is too long for an address goes through /proc/self/fd, once its folder is there. */
static void shorten_path(struct http_easy *easy)
{
    struct sockaddr_un address;
    const char *slash = strrchr(easy->socket_path, '/');
    if (easy->folder_fd >= 0 || !slash || strlen(easy->socket_path) < sizeof address.sun_path)
        return;
    _cleanup_free_ char *folder = xstrndup(easy->socket_path, (size_t)(slash - easy->socket_path));
    easy->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (easy->folder_fd < 0)
        return;
    char *path = xasprintf("/proc/self/fd/%d%s", easy->folder_fd, slash);
    free(easy->socket_path);
    easy->socket_path = path;
}

struct http_easy_call *http_easy_start(struct http_easy *easy, const struct http_easy_request *request)
{
    struct http_easy_call *call = xcalloc(1, sizeof *call);
    call->easy = easy;
    shorten_path(easy);
    call->request = *request;
    call->curl = easy->spare ? take_ptr(easy->spare) : curl_easy_init();
    if (!call->curl)
        abort(); /* out of memory */
    CURL *curl = call->curl;
    _cleanup_free_ char *url = xasprintf("http://berth%s", request->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, easy->socket_path);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_EASY_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 524288L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    if (request->range)
        curl_easy_setopt(curl, CURLOPT_RANGE, request->range);
    set_body(call);
    call->header_list = curl_slist_append(NULL, "Expect:"); /* no round trip before a body */
    call->header_list =
        curl_slist_append(call->header_list, request->body ? "Content-Type: application/json"
                                                           : "Content-Type: application/octet-stream");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->header_list);
    curl_multi_add_handle(easy->multi, curl);
    return call;
}

static void set_failure(struct http_easy_call *call, CURLcode code)
{
    long os_error = 0;
    curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &os_error);
    struct error *err = &call->err;
    call->failed = true;
    if (call->refused_data)
        error_set(err, ERROR_IO, "given up");
    else if (call->read_failed)
        error_set(err, ERROR_CONFLICT, "the file became shorter while it was sent");
    else if (code == CURLE_COULDNT_CONNECT && os_error == EACCES)
        error_set(err, ERROR_DENIED, "the socket may not be used by you");
    else if (code == CURLE_COULDNT_CONNECT)
        error_set(err, ERROR_UNAVAILABLE, "nobody answers there%s%s", os_error ? ": " : "",
                  os_error ? strerror((int)os_error) : "");
    else if (code == CURLE_OPERATION_TIMEDOUT)
        error_set(err, ERROR_TIMEOUT, "no answer in time");
    else if (code == CURLE_WRITE_ERROR)
        error_set(err, ERROR_LIMIT, "the answer is larger than %u bytes", HTTP_EASY_ANSWER_MAX);
    else
        error_set(err, ERROR_UNAVAILABLE, "the connection broke: %s", curl_easy_strerror(code));
    err->sys_errno = code == CURLE_COULDNT_CONNECT ? (int)os_error : 0;
}

static bool take_finished(struct http_easy *easy)
{
    bool any = false;
    int left;
    for (CURLMsg *msg; (msg = curl_multi_info_read(easy->multi, &left));) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        struct http_easy_call *call;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        long status = 0;
        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
        call->answer.status = (int)status;
        call->done = true;
        if (msg->data.result != CURLE_OK)
            set_failure(call, msg->data.result);
        any = true;
    }
    return any;
}

void http_easy_wait(struct http_easy *easy, struct pollfd *fds, size_t n, int timeout_ms)
{
    struct curl_waitfd extra[HTTP_EASY_WAIT_FDS_MAX];
    if (n > HTTP_EASY_WAIT_FDS_MAX)
        n = HTTP_EASY_WAIT_FDS_MAX;
    int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : clock_boot_ms() + timeout_ms;
    for (;;) {
        int running = 0;
        curl_multi_perform(easy->multi, &running);
        bool ended = take_finished(easy);
        for (size_t i = 0; i < n; i++)
            extra[i] =
                (struct curl_waitfd){.fd = fds[i].fd,
                                     .events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                                       (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
        int ready = 0;
        int64_t left_ms = ended ? 0 : timeout_ms < 0 ? 3600000 : deadline_ms - clock_boot_ms();
        int limit = left_ms > 0 ? (int)left_ms : 0;
        curl_multi_poll(easy->multi, n ? extra : NULL, (unsigned)n, limit, &ready);
        bool mine = false;
        if (n) { /* curl's own revents miss POLLHUP and POLLERR */
            for (size_t i = 0; i < n; i++)
                fds[i].revents = 0;
            mine = poll(fds, n, 0) > 0;
        }
        if (ended || mine)
            return;
        if (timeout_ms >= 0 && clock_boot_ms() >= deadline_ms) {
            curl_multi_perform(easy->multi, &running);
            take_finished(easy);
            return;
        }
    }
}

bool http_easy_call_done(struct http_easy_call *call, const struct http_easy_answer **answer,
                         struct error *err)
{
    if (!call->done)
        return false;
    *answer = call->failed ? NULL : &call->answer;
    if (call->failed && err)
        *err = call->err;
    return true;
}

void http_easy_call_destroy(struct http_easy_call *call)
{
    if (!call)
        return;
    curl_multi_remove_handle(call->easy->multi, call->curl);
    if (call->easy->spare) {
        curl_easy_cleanup(call->curl);
    } else {
        curl_easy_reset(call->curl);
        call->easy->spare = call->curl;
    }
    curl_slist_free_all(call->header_list);
    http_easy_answer_finish(&call->answer);
    free(call);
}

bool http_easy_perform(struct http_easy *easy, const struct http_easy_request *request,
                       struct http_easy_answer *answer, struct error *err)
{
    struct http_easy_call *call = http_easy_start(easy, request);
    const struct http_easy_answer *got = NULL;
    while (!http_easy_call_done(call, &got, err))
        http_easy_wait(easy, NULL, 0, -1);
    *answer = call->answer;
    call->answer = (struct http_easy_answer){0};
    http_easy_call_destroy(call);
    return got != NULL;
}

bool http_easy_header(const struct http_easy_answer *answer, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    for (const char *p = answer->headers.data; p && *p;) {
        size_t line = strcspn(p, "\r\n");
        if (line > len && p[len] == ':' && strncasecmp(p, name, len) == 0) {
            const char *value = p + len + 1;
            value += strspn(value, " \t");
            size_t n = (size_t)(p + line - value);
            if (n >= size)
                return false;
            memcpy(out, value, n);
            out[n] = '\0';
            return true;
        }
        p += line;
        p += strspn(p, "\r\n");
    }
    return false;
}

char *http_easy_escape(const char *text)
{
    struct buf out = {0};
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     strchr("-._~", *p);
        if (plain)
            buf_add_char(&out, (char)*p);
        else
            buf_printf(&out, "%%%02X", *p);
    }
    return buf_take(&out);
}
