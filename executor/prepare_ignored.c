/* The ignored files of a task's working directory: first what an earlier attempt left, then the code
 * directory's. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "executor/bundle.h"
#include "executor/ignored.h"
#include "executor/prepare.h"

#include <string.h>

const char *prepare_live_place(const struct preparation *p)
{
    return p->order->spec->image_kind == JOB_IMAGE_HOST ? BUNDLE_LIVE_IN_HOST : BUNDLE_LIVE_IN_IMAGE;
}

static void note_taken(struct preparation *p, const char *path, const struct ignored_file *file)
{
    static const enum kept_kind kinds[] = {
        [IGNORED_GONE] = KEPT_ABSENT,   [IGNORED_MOUNT] = KEPT_MOUNT, [IGNORED_FILE] = KEPT_FILE,
        [IGNORED_LINK] = KEPT_LINK,     [IGNORED_LIVE] = KEPT_LIVE,   [IGNORED_REFUSED] = KEPT_ABSENT,
        [IGNORED_FAILED] = KEPT_ABSENT,
    };
    if (file->kind == IGNORED_GONE && !p->gone++)
        p->gone_example = path;
    if (file->kind == IGNORED_REFUSED && !p->refused++) {
        p->refused_example = path;
        p->refused_error = file->error;
    }
    struct kept_file *kept = kept_add(&p->ignored, path, kinds[file->kind], KEPT_AS_IT_WAS);
    kept->mode = file->mode;
    kept->size = file->size;
    kept->mtime_ns = file->mtime_ns;
    if (file->kind == IGNORED_LIVE)
        kept->target = xasprintf("%s/%s", prepare_live_place(p), path);
}

/* The text of the links that were taken as they are, from the copies. */
static void read_links(struct preparation *p, int work)
{
    for (size_t i = 0; i < p->ignored.count; i++) {
        struct kept_file *file = &p->ignored.items[i];
        char target[BENEATH_PATH_MAX + 1];
        const char *name;
        if (file->kind != KEPT_LINK || file->target)
            continue;
        _cleanup_close_ int parent = beneath_open_parent(work, file->path, false, 0, &name);
        ssize_t n = parent < 0 ? -1 : readlinkat(parent, name, target, sizeof target - 1);
        file->target = xstrndup(target, n < 0 ? 0 : (size_t)n);
    }
}

bool prepare_ignored(struct preparation *p, int task, int work)
{
    const struct job_spec *spec = p->order->spec;
    uint32_t attempt;
    _cleanup_buf_ struct buf text = {0};
    if (!spec->code_manifest)
        return true;
    if (!kept_carry(p->order, work, &p->user, &p->ignored, &attempt, &p->err))
        return false;
    kept_sort(&p->ignored);
    kept_describe(&p->ignored, &text);
    if (p->ignored.count) {
        p->carried = buf_take(&text);
        p->carried_from = attempt;
    }
    _cleanup_free_ char **paths = prepare_left_out(p->order);
    size_t count = 0, carried = p->ignored.count;
    while (paths[count])
        count++;
    _cleanup_free_ bool *skip = xcalloc(count + 1, sizeof *skip);
    _cleanup_free_ struct ignored_file *files = xcalloc(count + 1, sizeof *files);
    for (size_t i = 0; i < count; i++)
        skip[i] = carried && kept_find(&p->ignored, paths[i]);
    struct ignored_request request = {.folder = spec->code_path,
                                      .paths = paths,
                                      .skip = skip,
                                      .user = &p->user,
                                      .work_fd = work,
                                      .live_at = prepare_live_place(p)};
    if (count && !ignored_take(&request, files, &p->err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!skip[i])
            note_taken(p, paths[i], &files[i]);
    kept_sort(&p->ignored);
    read_links(p, work);
    return !p->ignored.count || kept_write(&p->ignored, task, &p->err);
}
