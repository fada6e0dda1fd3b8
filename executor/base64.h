/* Base64 (RFC 4648, with padding). */
#ifndef BERTH_EXECUTOR_BASE64_H
#define BERTH_EXECUTOR_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* *bytes is the caller's to free. false where the text is not base64; *bytes is NULL then. */
bool base64_decode(const char *text, char **bytes, size_t *len);

#endif
