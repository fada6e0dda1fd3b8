/* Reading "word number number". */
#include "executor/shim/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int words_after(const char *line, const char *word, int64_t *out, int max, const char **rest)
{
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || (line[n] != '\0' && line[n] != ' '))
        return -1;
    const char *p = line + n;
    int count = 0;
    while (count < max) {
        char *end;
        errno = 0;
        long long value = strtoll(p, &end, 10);
        if (end == p || errno || (*end != '\0' && *end != ' '))
            break;
        out[count++] = value;
        p = end;
    }
    if (rest)
        *rest = p + strspn(p, " ");
    return count;
}
