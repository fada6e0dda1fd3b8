/* What can be told about a job without a Berth: all of it in one refusal, with file and line. */
#include "cli/submission.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "cli/term.h"
#include "proto/jobspec.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static void tell_problem(const struct submission *s, const char *field, const char *message)
{
    _cleanup_buf_ struct buf text = {0};
    int line = s->source ? yaml_line(s->source, field) : 0;
    if (line)
        buf_printf(&text, "%s:%d: ", s->source_name, line);
    if (*field)
        buf_printf(&text, "%s: ", field);
    buf_add_str(&text, message);
    _cleanup_buf_ struct buf safe = {0};
    term_add_safe(&safe, text.data, true);
    print_err("  %s\n", safe.data);
}

static bool has_program_folder(const char *root)
{
    static const char *const folders[] = {"bin", "usr/bin", "sbin", "usr/local/bin", "nix/store"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", root, folders[i]);
        struct stat st;
        if (lstat(path, &st) == 0)
            return true;
    }
    return false;
}

static void add_problem(struct job_spec_problems *p, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void add_problem(struct job_spec_problems *p, const char *field, const char *fmt, ...)
{
    p->total++;
    if (p->count == JOB_ERRORS_MAX)
        return;
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    p->items[p->count++] = (struct job_spec_problem){.field = xstrdup(field), .message = buf_take(&text)};
}

static void check_image(const char *image, const char *field, struct job_spec_problems *p)
{
    struct stat st;
    if (!image || image[0] != '/')
        return;
    if (stat(image, &st) != 0)
        add_problem(p, field, "the image folder %s can't be used: %s", image, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        add_problem(p, field, "the image %s is not a folder", image);
    else if (!has_program_folder(image))
        add_problem(p, field, "the folder %s is no root filesystem: it has no bin, sbin or usr/bin", image);
}

static void check_mounts(const cJSON *mounts, struct job_spec_problems *p)
{
    const cJSON *mount;
    cJSON_ArrayForEach(mount, mounts)
    {
        const char *text = cJSON_IsString(mount) ? mount->valuestring : json_str(mount, "source", "");
        _cleanup_free_ char *source =
            xstrndup(text, cJSON_IsString(mount) ? strcspn(text, ":") : strlen(text));
        struct stat st;
        if (source[0] == '/' && stat(source, &st) != 0)
            add_problem(p, "mounts", "%s can't be mounted: %s", source, strerror(errno));
    }
}

static void check_inputs(const cJSON *inputs, struct job_spec_problems *p)
{
    const cJSON *input;
    cJSON_ArrayForEach(input, inputs)
    {
        const char *path = cJSON_IsObject(input) ? json_str(input, "path", "") : "";
        _cleanup_free_ char *field = xasprintf("inputs.%s", input->string ? input->string : "");
        bool is_file = strcmp(json_str(input, "type", "uri_folder"), "uri_file") == 0;
        struct stat st;
        if (path[0] != '/')
            continue;
        if (stat(path, &st) != 0)
            add_problem(p, field, "%s can't be used: %s", path, strerror(errno));
        else if (!is_file && !S_ISDIR(st.st_mode))
            add_problem(p, field, "%s is not a folder; for a file write `type: uri_file`", path);
        else if (is_file && S_ISDIR(st.st_mode))
            add_problem(p, field, "%s is a folder; write `type: uri_folder`", path);
    }
}

/* What the job file names on this machine must be there: the job would only find out when its turn came. */
static void check_files(const cJSON *file, struct job_spec_problems *p)
{
    const cJSON *environment = json_get(file, "environment");
    const char *code = json_str(file, "code", "");
    struct stat st;
    if (cJSON_IsString(environment))
        check_image(environment->valuestring, "environment", p);
    else
        check_image(json_str(environment, "image", NULL), "environment.image", p);
    check_mounts(json_get(file, "mounts"), p);
    check_inputs(json_get(file, "inputs"), p);
    if (code[0] == '/' && stat(code, &st) != 0)
        add_problem(p, "code", "the code folder %s can't be used: %s", code, strerror(errno));
    else if (code[0] == '/' && !S_ISDIR(st.st_mode))
        add_problem(p, "code", "the code folder %s is not a folder", code);
}

int submission_check(struct submission *s)
{
    if (!cJSON_IsObject(s->file)) {
        cli_note("%s is no job file: it holds no fields (NAME: VALUE)", s->source_name);
        return EXIT_REFUSED;
    }
    struct job_spec_problems problems = {0};
    struct error err = {0};
    struct job_spec *spec = job_spec_parse(s->file, &problems, &err);
    check_files(s->file, &problems);
    if (problems.total) {
        bool all_unsupported = true;
        for (size_t i = 0; i < problems.count; i++)
            all_unsupported = all_unsupported && problems.items[i].unsupported;
        print_line(PRINT_ERR, "berth: %s is refused; %zu %s %s", s->source ? s->source_name : "the job",
                   problems.total, problems.total == 1 ? "field" : "fields",
                   all_unsupported ? "can't be honoured yet" : "can't be taken");
        for (size_t i = 0; i < problems.count; i++)
            tell_problem(s, problems.items[i].field, problems.items[i].message);
        if (problems.total > problems.count)
            print_line(PRINT_ERR, "  ... and %zu more", problems.total - problems.count);
        if (s->source)
            print_line(PRINT_ERR, "try: fix %s, then berth validate %s", s->source_name, s->source_name);
        else
            print_line(PRINT_ERR, "try: berth help run");
    }
    bool ok = spec && !problems.total;
    job_spec_problems_finish(&problems);
    job_spec_destroy(spec);
    return ok ? EXIT_OK : EXIT_REFUSED;
}

int submission_check_follow(const struct submission *s)
{
    if (!json_get(s->file, "array"))
        return EXIT_OK;
    cli_note("an array has no log of its own to follow: each of its elements has one");
    print_line(PRINT_ERR, "try: berth submit without --follow, then berth logs NAME@INDEX");
    return EXIT_REFUSED;
}
