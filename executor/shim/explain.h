/* Why a command could not be executed, in words that name the file, its interpreter and the fix. */
#ifndef BERTH_SHIM_EXPLAIN_H
#define BERTH_SHIM_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#define EXPLAIN_BYTES_MAX 768 /* of an explanation, with its NUL */

/* Looks with the caller's rights and from its working directory, at regular files alone and never waiting for
 * one; control bytes in names are escaped. `path` is PATH, for names without a slash. False, with out "",
 * where nothing is wrong with the program. */
bool explain_program(const char *name, const char *path, char *out, size_t size);
/* The same for a whole command: for a shell's -c, the programs named by path that it begins commands with. */
bool explain_command(char *const *argv, const char *path, char *out, size_t size);

#endif
