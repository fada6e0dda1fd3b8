/* What of the submitting shell's environment travels with a job. */
#ifndef BERTH_CLI_SHELL_ENVIRONMENT_H
#define BERTH_CLI_SHELL_ENVIRONMENT_H

#include "proto/json.h"

/* For an image NULL: it brings its own. With `host` an object (the caller deletes): what finds a program's
 * interpreter and libraries, and what training libraries read; with `all`, every variable but those in which
 * a shell keeps its own state, and TMPDIR, since each task has a /tmp of its own. */
cJSON *shell_environment_object(const cJSON *file, bool all);

#endif
