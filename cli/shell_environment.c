/* Which variables of the submitting shell a job gets: one list, which docs/PROTOCOL.md section 6 repeats. */
#include "cli/shell_environment.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static const char *const names[] = {
    "PATH",      "VIRTUAL_ENV", "LD_LIBRARY_PATH",        "PYTHONPATH", "CUDA_HOME",
    "CUDA_PATH", "LANG",        "TOKENIZERS_PARALLELISM", "TZ",         "TF_CONFIG",
};
/* TensorFlow's of TF_ alone: Terraform has credentials and a configuration under it. */
static const char *const prefixes[] = {
    "CONDA_",     "LC_",       "HF_",     "WANDB_",  "MLFLOW_", "NCCL_",   "GLOO_",     "TORCH_",
    "PYTORCH_",   "JAX_",      "XLA_",    "OMP_",    "MKL_",    "TF_CPP_", "TF_CUDNN_", "TF_DETERMINISTIC_",
    "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_USE_", "TF_XLA_"};
static const char *const never[] = {"PWD", "OLDPWD", "SHLVL", "_", "TMPDIR"};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool is_one_of(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool has_prefix(const char *name)
{
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Shells export functions under names that no job file may use. */
static bool is_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_')
        name++;
    return *name == '\0';
}

cJSON *shell_environment_object(const cJSON *file, bool all)
{
    const cJSON *environment = json_get(file, "environment");
    const char *image =
        cJSON_IsString(environment) ? environment->valuestring : json_str(environment, "image", "host");
    if (strcmp(image, "host") != 0)
        return NULL;
    cJSON *out = cJSON_CreateObject();
    for (char **e = environ; *e; e++) {
        const char *equals = strchr(*e, '=');
        _cleanup_free_ char *name = equals ? xstrndup(*e, (size_t)(equals - *e)) : NULL;
        bool wanted = name && (is_one_of(names, COUNT(names), name) || has_prefix(name) ||
                               (all && is_name(name) && !is_one_of(never, COUNT(never), name)));
        if (wanted && !json_get(out, name))
            json_add_bytes(out, name, equals + 1);
    }
    return out;
}
