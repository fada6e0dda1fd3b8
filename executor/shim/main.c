/* The shim's beginning: its descriptors are checked, its spec is read, its record is written. */
#include "executor/shim/life.h"
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define OOM_SCORE_OF_SHIM "-999"

/* The shim is the last one that memory pressure may take; its children get the old value back
 * (start_child_setup). */
static int protect_from_oom(void)
{
    char text[16] = "0";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    if (pwrite(fd, OOM_SCORE_OF_SHIM, strlen(OOM_SCORE_OF_SHIM), 0) < 0) {
        /* takes CAP_SYS_RESOURCE, which a user's own Berth has not */
    }
    close(fd);
    return (int)strtol(text, NULL, 10);
}

static bool read_cgroups(struct shim *s)
{
    for (size_t i = 0; i < s->spec.cgroups.n && s->tree.n < CGROUP_HIERARCHIES_MAX; i++) {
        struct cgroup_hierarchy *h = &s->tree.h[s->tree.n];
        if (!cgroup_hierarchy_parse(s->spec.cgroups.v[i], h))
            return false;
        s->tree.controllers |= h->controllers;
        s->tree.n++;
    }
    s->limits = (struct cgroup_limits){.cpus = s->spec.cpus,
                                       .mems = s->spec.mems,
                                       .memory_bytes = (uint64_t)s->spec.memory_bytes,
                                       .pids = (uint64_t)s->spec.pids,
                                       .everywhere = strcmp(s->spec.runtime, "runc") == 0};
    return true;
}

/* Nobody reads what the shim might print: the record is the only way to say why there is no task. */
static void refuse(const struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    kv_add_int(&b, "berth_exit", 1);
    kv_add_int(&b, "code", 125);
    kv_add_int(&b, "signal", 0);
    kv_add(&b, "kind", "start_error");
    kv_add(&b, "text", err->message);
    kv_add_int(&b, "ended_ms", clock_wall_ms());
    record_exit(b.data, b.len, NULL);
}

static int shim_main(void)
{
    static struct shim s; /* zeroed; lives as long as the process */
    struct error err = {0};
    int *const closed[] = {&s.root_fd,     &s.runtime_fd, &s.status_fd,   &s.init_status_fd, &s.out_w,
                           &s.err_w,       &s.in_r,       &s.stdin_fd,    &s.tty_fd,         &s.out.in_fd,
                           &s.out.file_fd, &s.err.in_fd,  &s.err.file_fd, &s.fence_fd};
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        *closed[i] = -1;
    prctl(PR_SET_NAME, "berth-shim", 0, 0, 0);
    s.pid = getpid();
    umask(077);
    s.rootless = geteuid() != 0;
    s.saved_oom_adj = protect_from_oom();
    s.exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    FAULT("shim.started");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || s.exe_fd < 0 || !keyring_join(&err) ||
        !spec_read(&s.spec, SHIM_TASK_FD, &err) || !read_cgroups(&s) || !record_shim(&s, &err)) {
        refuse(&err);
        return 1;
    }
    FAULT("shim.recorded");
    return life_run(&s);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--init") == 0)
        return init_main(argc, argv);
    struct stat st;
    if (fstat(SHIM_TASK_FD, &st) != 0 || !S_ISDIR(st.st_mode) || fstat(SHIM_CTL_FD, &st) != 0 ||
        !S_ISSOCK(st.st_mode)) {
        fprintf(stderr, "berth-shim is started by Berth's executor\n");
        return 2;
    }
    return shim_main();
}
