/* Programs that Berth calls: OCI runtimes, the sub-id helpers; and the GPU probe. */
#include "cli/doctor.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/json.h"
#include "cli/show.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_TIMEOUT_MS 25000 /* the probe ends itself after 20 s */

static bool check_runtime(struct doctor *d, const char *name)
{
    _cleanup_free_ char *path = doctor_which(name);
    if (!path)
        return false;
    const char *argv[] = {path, "--version", NULL};
    _cleanup_free_ char *version = doctor_first_line(argv);
    if (version)
        doctor_add(d, DOCTOR_OK, name, NULL, "%s (%s)", version, path);
    else
        doctor_add(d, DOCTOR_WARN, name, "sudo apt-get install --reinstall crun", "%s does not run", path);
    return version != NULL;
}

/* Set-uid, or with the file capability, which only stat's owner can tell cheaply: Debian's is set-uid. */
static void check_helper(struct doctor *d, const char *name)
{
    _cleanup_free_ char *path = doctor_which(name);
    struct stat st;
    if (!path)
        doctor_add(d, DOCTOR_MISSING, name, "sudo apt-get install uidmap",
                   "not installed: without it an image's users can't be mapped for you");
    else if (stat(path, &st) == 0 && (st.st_mode & S_ISUID))
        doctor_add(d, DOCTOR_OK, name, NULL, "%s", path);
    else
        doctor_add(d, DOCTOR_WARN, name, "sudo apt-get install --reinstall uidmap",
                   "%s is not set-uid; it works only where it has file capabilities", path);
}

/* "name:first:count" for the user, by name or number. */
static void check_sub_ids(struct doctor *d, const char *file, const char *user)
{
    _cleanup_free_ char *mend =
        xasprintf("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", user);
    _cleanup_file_ FILE *f = fopen(file, "re");
    char line[512], uid[32];
    snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
    while (f && fgets(line, sizeof line, f)) {
        char *first = strchr(line, ':');
        char *count = first ? strchr(first + 1, ':') : NULL;
        if (!count)
            continue;
        *first = '\0';
        if (strcmp(line, user) != 0 && strcmp(line, uid) != 0)
            continue;
        long n = strtol(count + 1, NULL, 10);
        if (n >= 65536)
            doctor_add(d, DOCTOR_OK, file, NULL, "%ld ids from %.*s on", n, (int)(count - first - 1),
                       first + 1);
        else
            doctor_add(d, DOCTOR_WARN, file, mend, "only %ld ids; images have up to 65536", n);
        return;
    }
    doctor_add(d, DOCTOR_MISSING, file, mend, "no range for %s: images then have one user only", user);
}

void doctor_check_runtimes(struct doctor *d)
{
    bool crun = check_runtime(d, "crun"), runc = check_runtime(d, "runc");
    if (!crun && !runc)
        doctor_add(d, DOCTOR_MISSING, "OCI runtime", "sudo apt-get install crun",
                   "neither crun nor runc is installed: only `--runtime process` jobs can run");
    else if (!crun)
        doctor_add(d, DOCTOR_WARN, "crun", "sudo apt-get install crun",
                   "not installed; runc is used, which starts slower");
    if (d->is_root)
        return;
    _cleanup_free_ char *user = doctor_user();
    check_helper(d, "newuidmap");
    check_helper(d, "newgidmap");
    check_sub_ids(d, "/etc/subuid", user);
    check_sub_ids(d, "/etc/subgid", user);
}

static void check_devices(struct doctor *d)
{
    glob_t found;
    if (glob("/dev/nvidia[0-9]*", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (access(found.gl_pathv[i], R_OK | W_OK) != 0)
            doctor_add(d, DOCTOR_WARN, found.gl_pathv[i],
                       "add yourself to the group that `ls -l` shows there", "not for you to use");
    globfree(&found);
}

void doctor_check_gpus(struct doctor *d)
{
    const char *argv[] = {"/proc/self/exe", "gpu-probe", NULL};
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = '\0';
        argv[0] = exe;
    }
    _cleanup_free_ char *text = doctor_capture(argv, 1 << 20, PROBE_TIMEOUT_MS);
    _cleanup_json_ cJSON *probe = text ? json_parse(text, strlen(text), NULL) : NULL;
    if (!probe) {
        doctor_add(d, DOCTOR_WARN, "GPUs", "dmesg | grep -i nvidia",
                   "the probe of the GPU driver does not answer");
        return;
    }
    const char *error = json_str(probe, "gpu_error", NULL);
    const cJSON *gpu, *driver = json_get(probe, "gpu_driver");
    if (error)
        doctor_add(d, DOCTOR_WARN, "GPUs", NULL, "%s", error);
    if (cJSON_IsObject(driver))
        doctor_add(d, DOCTOR_OK, "GPU driver", NULL, "version %s, CUDA %s", json_str(driver, "version", "?"),
                   json_str(driver, "cuda", "?"));
    int count = 0;
    cJSON_ArrayForEach(gpu, json_get(probe, "gpus"))
    {
        char size[32];
        doctor_add(d, DOCTOR_OK, "GPU", NULL, "%lld: %s, %s, compute capability %s, %s",
                   (long long)json_int(gpu, "index", 0), json_str(gpu, "name", "?"),
                   show_bytes(json_int(gpu, "memory_bytes", 0), size),
                   json_str(gpu, "compute_capability", "?"), json_str(gpu, "uuid", "?"));
        count++;
    }
    if (!count && !error)
        doctor_add(d, DOCTOR_OK, "GPUs", NULL, "none on this machine");
    check_devices(d);
}
