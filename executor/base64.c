/* Base64 of stdin deltas: by GnuTLS, which is strict about padding and alphabet. */
#include "executor/base64.h"

#include "base/alloc.h"

#include <gnutls/gnutls.h>
#include <stdint.h>
#include <string.h>

bool base64_decode(const char *text, char **bytes, size_t *len)
{
    *bytes = NULL;
    *len = 0;
    size_t n = strlen(text);
    if (n == 0) {
        *bytes = xcalloc(1, 1);
        return true;
    }
    gnutls_datum_t in = {.data = (unsigned char *)(uintptr_t)text, .size = (unsigned)n}, out = {0};
    if (n > (64u << 20) || gnutls_base64_decode2(&in, &out) != 0)
        return false;
    *bytes = xmalloc(out.size + 1u);
    memcpy(*bytes, out.data, out.size);
    *len = out.size;
    gnutls_free(out.data);
    return true;
}
