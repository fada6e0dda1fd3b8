/*
 * The probe child: everything that runs a vendor's code happens here, so that a hang or a crash costs this
 * process alone. Owns nothing that outlives it. What a library prints on standard output must not get between
 * us and the parent, so it is sent to standard error.
 */
#include "gpu/entry.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/print.h"
#include "gpu/cuda.h"
#include "gpu/nvml.h"
#include "gpu/nvml_topology.h"
#include "gpu/probe.h"
#include "proto/json.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define DEADLINE_MAX_MS 3600000

enum { OPT_USAGE = 256, OPT_TOPOLOGY, OPT_CUDA, OPT_NVML, OPT_ROOT, OPT_DEADLINE };

static const struct option probe_options[] = {
    {"usage", no_argument, NULL, OPT_USAGE},
    {"topology", no_argument, NULL, OPT_TOPOLOGY},
    {"gpu-library", required_argument, NULL, OPT_CUDA},
    {"nvml-library", required_argument, NULL, OPT_NVML},
    {"system-root", required_argument, NULL, OPT_ROOT},
    {"deadline-ms", required_argument, NULL, OPT_DEADLINE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char *non_empty_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A library that was named by path (a driver out of the way, or a test's) has its NVML beside it. The caller
 * frees. */
static char *nvml_name(const char *chosen, const char *cuda)
{
    if (chosen || (chosen = non_empty_env("BERTH_NVML_LIBRARY")))
        return xstrdup(chosen);
    const char *slash = cuda ? strrchr(cuda, '/') : NULL;
    if (slash) {
        char *beside = xasprintf("%.*s/libnvidia-ml.so.1", (int)(slash - cuda), cuda);
        if (access(beside, R_OK) == 0)
            return beside;
        free(beside);
    }
    return xstrdup("libnvidia-ml.so.1");
}

static void set_deadline(long ms)
{
    struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

int gpu_probe_main(int argc, char **argv)
{
    const char *cuda = non_empty_env("BERTH_CUDA_LIBRARY"), *nvml = NULL, *root = "";
    long deadline_ms = GPU_PROBE_DEADLINE_MS;
    bool usage = false, topology = false;
    int opt;
    char *end;
    optind = 0;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "h", probe_options, NULL)) != -1) {
        switch (opt) {
        case OPT_USAGE:
            usage = true;
            break;
        case OPT_TOPOLOGY:
            topology = true;
            break;
        case OPT_CUDA:
            cuda = optarg;
            break;
        case OPT_NVML:
            nvml = optarg;
            break;
        case OPT_ROOT:
            root = optarg;
            break;
        case OPT_DEADLINE:
            deadline_ms = strtol(optarg, &end, 10);
            if (end != optarg && !*end && deadline_ms > 0 && deadline_ms <= DEADLINE_MAX_MS)
                break;
            print_line(PRINT_ERR, "berth gpu-probe: --deadline-ms takes 1 to %d, not '%.80s'",
                       DEADLINE_MAX_MS, optarg);
            return 2;
        default:
            if (opt != 'h')
                print_line(PRINT_ERR, "berth gpu-probe: unknown option, or one without its value: %.80s",
                           argv[optind - 1]);
            print_to(opt == 'h' ? PRINT_OUT : PRINT_ERR,
                     "usage: berth gpu-probe [--usage | --topology] [--gpu-library PATH] "
                     "[--nvml-library PATH] [--system-root DIR] "
                     "[--deadline-ms N]\n");
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind < argc) {
        print_line(PRINT_ERR, "berth gpu-probe: it takes no word '%.80s'", argv[optind]);
        return 2;
    }
    set_deadline(deadline_ms);
    /* The daemon's own choice of devices must not hide any, and the order must be that of the machine. */
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("NVIDIA_VISIBLE_DEVICES");
    setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
    fflush(stdout);
    int out = dup(STDOUT_FILENO);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        perror("berth gpu-probe: standard output");
        return 1;
    }
    _cleanup_json_ cJSON *answer = cJSON_CreateObject();
    _cleanup_free_ char *library = nvml_name(nvml, cuda);
    if (usage) {
        nvml_describe_usage(library, answer);
    } else if (topology) {
        nvml_describe_topology(library, root, answer);
    } else {
        cuda_describe(cuda ? cuda : "libcuda.so.1", root, answer);
    }
    _cleanup_buf_ struct buf text = {0};
    json_write(answer, &text);
    buf_add_char(&text, '\n');
    bool written = fs_write_all(out, text.data, text.len);
    close(out);
    /* Not exit(): the drivers' own end-of-process code has nothing left to give us, and has hung before. */
    fflush(NULL);
    _exit(written ? 0 : 1);
}
