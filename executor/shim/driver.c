/*
 * The GPU driver's user-space libraries for an image: they belong to the node's kernel module, not to the
 * image, so the node's are mounted into /berth/driver and found by LD_LIBRARY_PATH, behind what the job has
 * in it. Only with a leased GPU.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INSIDE "/berth/driver"
#define LIBRARY_PATH "LD_LIBRARY_PATH="

static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu",
                                      "/usr/lib/aarch64-linux-gnu",
                                      "/usr/lib/x86_64-linux-gnu/nvidia/current",
                                      "/usr/lib/aarch64-linux-gnu/nvidia/current",
                                      "/usr/lib64",
                                      "/usr/lib",
                                      "/usr/local/nvidia/lib64",
                                      "/run/opengl-driver/lib"};

/* What a CUDA program loads: the driver itself, its compilers, management (the NVIDIA container toolkit's
 * compute and utility). */
static const char *const libraries[] = {"libcuda.so",
                                        "libcudadebugger.so",
                                        "libnvidia-ml.so",
                                        "libnvidia-cfg.so",
                                        "libnvidia-nvvm.so",
                                        "libnvidia-ptxjitcompiler.so",
                                        "libnvidia-gpucomp.so",
                                        "libnvidia-opencl.so",
                                        "libnvidia-fatbinaryloader.so",
                                        "libnvidia-allocator.so",
                                        "libnvidia-pkcs11.so",
                                        "libnvidia-pkcs11-openssl3.so"};

static bool is_driver_library(const char *name)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        size_t n = strlen(libraries[i]);
        if (strncmp(name, libraries[i], n) == 0 && (name[n] == '\0' || name[n] == '.'))
            return true;
    }
    return false;
}

/* The file that the name leads to on the node, under that name: links in the node's folders lead to each
 * other and elsewhere. */
static bool put_library(struct new_root *r, const char *folder, const char *name, struct error *err)
{
    char from[PATH_BYTES_MAX], real[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    snprintf(from, sizeof from, "%s/%s", folder, name);
    snprintf(to, sizeof to, INSIDE "/%s", name);
    struct stat st;
    if (!realpath(from, real) || stat(real, &st) != 0 || !S_ISREG(st.st_mode))
        return true;
    _cleanup_close_ int there = agent_find(r->agent, r->fd, to, 0, NULL);
    if (there >= 0)
        return true; /* a folder before this one has it */
    int tree = tree_clone(AT_FDCWD, real, err);
    return tree >= 0 && tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err) &&
           root_put(r, tree, to, err);
}

static bool put_folder(struct new_root *r, const char *folder, bool *any, struct error *err)
{
    _cleanup_dir_ DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!is_driver_library(e->d_name))
            continue;
        *any = true;
        if (!put_library(r, folder, e->d_name, err))
            return false;
    }
    return true;
}

static void extend_library_path(struct shim *s)
{
    struct strings *env = &s->spec.env;
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->v[i], LIBRARY_PATH, strlen(LIBRARY_PATH)) != 0)
            continue;
        const char *value = env->v[i] + strlen(LIBRARY_PATH);
        env->v[i] = xasprintf(LIBRARY_PATH "%s%s" INSIDE, value, *value ? ":" : "");
        return;
    }
    env->v = xrealloc(env->v, (env->n + 2) * sizeof *env->v);
    env->v[env->n++] = LIBRARY_PATH INSIDE;
    env->v[env->n] = NULL;
}

bool root_put_driver(struct shim *s, struct new_root *r, struct error *err)
{
    bool any = false;
    if (s->spec.gpu_minors.n == 0 || !s->root_writable)
        return true;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!put_folder(r, folders[i], &any, err))
            return error_wrap(err, "the GPU driver's libraries");
    if (!any)
        return true;
    extend_library_path(s);
    int tool =
        access("/usr/bin/nvidia-smi", X_OK) == 0 ? tree_clone(AT_FDCWD, "/usr/bin/nvidia-smi", NULL) : -1;
    return tool < 0 || (tree_restrict(tool, TREE_READ_ONLY | TREE_NO_DEVICES, err) &&
                        root_put(r, tool, "/usr/bin/nvidia-smi", err));
}
