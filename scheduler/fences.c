/* Fences and the two clocks. */
#include "scheduler/fences.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define JUMP_MS 1000 /* more than slewing makes between two looks, and less than the core's margin */
#define WORD_BYTES_MAX 64

static void begin_afresh(struct daemon *d, bool up_too)
{
    for (uint32_t i = 0; i < d->nodes.count; i++) {
        struct core_node_view view;
        struct node_id id = {d->nodes.items[i]->id};
        if (core_node_get(d->core, id, &view) && (view.up ? up_too : !view.lost && view.task_count))
            engine_step(d, &(struct core_event){.kind = CORE_EVENT_NODE_DOWN, .as.node = {.node = id}}, NULL);
    }
}

static int64_t offset_now(void)
{
    return clock_wall_ms() - clock_boot_ms();
}

void fences_begin(struct daemon *d)
{
    d->clock_offset_ms = offset_now();
    begin_afresh(d, true);
}

void fences_watch_clock(struct daemon *d)
{
    int64_t offset = offset_now(), ahead = offset - d->clock_offset_ms;
    d->clock_offset_ms = offset;
    if (ahead <= JUMP_MS)
        return;
    log_warn("the clock went ahead by %lld ms: what waits for silent nodes begins its time afresh",
             (long long)ahead);
    begin_afresh(d, false);
}

static bool says(int dir_fd, const char *supply, const char *file, const char *word)
{
    char path[512];
    _cleanup_buf_ struct buf text = {0};
    snprintf(path, sizeof path, "%s/%s", supply, file);
    if (!fs_read_file(dir_fd, path, WORD_BYTES_MAX, &text, NULL) || !text.data)
        return false;
    text.data[strcspn(text.data, "\n")] = '\0';
    return strcmp(text.data, word) == 0;
}

/* A mouse's battery has the scope Device. */
bool fences_may_sleep(const char *class_dir)
{
    _cleanup_dir_ DIR *dir = opendir(class_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] != '.' && says(dirfd(dir), e->d_name, "type", "Battery") &&
            !says(dirfd(dir), e->d_name, "scope", "Device"))
            return true;
    }
    return false;
}
