/* Job files: any bytes as YAML, converted, checked as a job, asked for the lines of what is wrong. The tree
 * that comes out must be one that travels: what cJSON writes is read back as the same. */
#include "cli/yaml.h"

#include "base/cleanup.h"
#include "proto/jobspec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses the iterator's grown chunk list in fy_atom_format_text where one scalar has many
 * quoted quotes (2 KB, once a scalar). Its frames can't be told apart without its symbols, so that its own
 * leaks are not counted; ours still are. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct yaml_file *file = yaml_parse("job.yml", (const char *)data, size, &err);
    if (!file) {
        if (!err.message[0])
            abort(); /* a refusal without a reason */
        return 0;
    }
    _cleanup_free_ char *text = json_text(yaml_json(file));
    struct error again_err = {0};
    _cleanup_json_ cJSON *again = json_parse(text, strlen(text), &again_err);
    if (!again || !cJSON_Compare(again, yaml_json(file), true))
        abort();
    struct job_spec_problems problems = {0};
    struct job_spec *spec = job_spec_parse(yaml_json(file), &problems, &err);
    for (size_t i = 0; i < problems.count; i++)
        (void)yaml_line(file, problems.items[i].field);
    if (!spec && !problems.total)
        abort();
    job_spec_problems_finish(&problems);
    job_spec_destroy(spec);
    yaml_free(file);
    return 0;
}
